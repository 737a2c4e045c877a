//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shop is a mesh of two services over the same pods; the split and the connect timeout of one can be set.
func shop(v1 int, policy string) manifests {
	m := meshOf("enableTracing: false")
	m.backends()
	for i, name := range []string{"changed", "other"} {
		m.service(name, "web", fmt.Sprintf("10.96.9.%d", i+1), "http:80:8080")
		if name == "other" {
			m.subsets(name, "")
			m.routes(name, weights(name, 50))
			continue
		}
		m.subsets(name, policy)
		m.routes(name, weights(name, v1))
	}
	return m
}

func weights(name string, v1 int) string {
	return fmt.Sprintf(`
  http:
  - route:
    - {destination: {host: %s, subset: v1}, weight: %d}
    - {destination: {host: %s, subset: v2}, weight: %d}
`, name, v1, name, 100-v1)
}

// load sends requests without a pause until it is told to stop, and counts failures and versions.
type load struct {
	stop     chan struct{}
	done     sync.WaitGroup
	mu       sync.Mutex
	versions map[string]int
	failures []string
}

func startLoad(t *testing.T, l *Lab, from string, r Request, clients int) *load {
	t.Helper()
	ld := &load{stop: make(chan struct{}), versions: map[string]int{}}
	for range clients {
		c, err := l.Client(from)
		if err != nil {
			t.Fatal(err)
		}
		ld.done.Go(func() {
			defer c.CloseIdleConnections()
			for {
				select {
				case <-ld.stop:
					return
				default:
				}
				resp, err := Do(context.Background(), c, r)
				ld.mu.Lock()
				switch {
				case err != nil:
					ld.failures = append(ld.failures, err.Error())
				case resp.Status != 200:
					ld.failures = append(ld.failures, fmt.Sprint(resp.Status, " ", resp.Body))
				default:
					ld.versions[resp.Echo.Version]++
				}
				ld.mu.Unlock()
			}
		})
	}
	return ld
}

// seen returns the counts so far and begins new ones.
func (ld *load) seen() map[string]int {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	was := ld.versions
	ld.versions = map[string]int{}
	return was
}

// only waits until fifty answers in a row come from these pods, from each of them, and from no other.
func (ld *load) only(t *testing.T, what string, want ...string) {
	t.Helper()
	row := map[string]int{}
	eventually(t, func() error {
		total, missing := 0, false
		for v, n := range ld.seen() {
			row[v] += n
			if !slices.Contains(want, v) {
				clear(row)
				return fmt.Errorf("%s: %d answers of %s", what, n, v)
			}
		}
		for _, v := range want {
			total, missing = total+row[v], missing || row[v] == 0
		}
		if missing || total < 50 {
			return fmt.Errorf("%s: %v", what, row)
		}
		return nil
	})
}

func (ld *load) end() []string {
	close(ld.stop)
	ld.done.Wait()
	return ld.failures
}

// A change of one VirtualService under load loses no request, and of all resources exactly the virtual host it
// changes is sent, once to each proxy that sees it.
func TestChangeUnderLoad(t *testing.T) {
	require(t)
	l := run(t, Spec{Source: shop(100, "").write(t)})
	ld := startLoad(t, l, "client", Request{URL: "http://changed/"}, 4)
	eventually(t, func() error {
		if ld.seen()["v1"] == 0 {
			return fmt.Errorf("no request answered yet")
		}
		return nil
	})
	before := len(l.Pushes())
	if err := l.Apply(context.Background(), shop(0, "").write(t)); err != nil {
		t.Fatal(err)
	}
	ld.only(t, "after the change", "v2")
	if failures := ld.end(); len(failures) > 0 {
		t.Errorf("%d requests failed, the first: %s", len(failures), failures[0])
	}
	sent := map[string][]string{}
	for _, p := range l.Pushes()[before:] {
		for _, n := range p.Names {
			sent[p.Node] = append(sent[p.Node], p.Type+" "+n)
		}
		for _, n := range p.Removed {
			sent[p.Node] = append(sent[p.Node], "removed "+p.Type+" "+n)
		}
	}
	want := []string{"VirtualHost 80/changed.lab.svc.cluster.local:80"}
	for node, got := range sent {
		if !slices.Equal(got, want) {
			t.Errorf("sent to %s: %q, want only %q", node, got, want)
		}
	}
	if len(sent) != 3 {
		t.Errorf("sent to %q, want the three proxies", slices.Sorted(maps.Keys(sent)))
	}
}

// A server that dies costs no request, and a new one sends only what has changed in the meantime: proxies tell it what
// they hold.
func TestServerRestart(t *testing.T) {
	require(t)
	l := run(t, Spec{Source: shop(100, "").write(t)})
	ld := startLoad(t, l, "client", Request{URL: "http://changed/"}, 2)
	before := len(l.Pushes())
	err := l.RestartServer(context.Background(), func() error { return l.Apply(context.Background(), shop(0, "").write(t)) })
	if err != nil {
		t.Fatal(err)
	}
	ld.only(t, "after the change", "v2")
	if failures := ld.end(); len(failures) > 0 {
		t.Errorf("%d requests failed, the first: %s", len(failures), failures[0])
	}
	for _, p := range l.Pushes()[before:] {
		if len(p.Names) > 0 && !slices.Equal(p.Names, []string{"80/changed.lab.svc.cluster.local:80"}) || len(p.Removed) > 0 {
			t.Errorf("sent to %s: %s %q, removed %q", p.Node, p.Type, p.Names, p.Removed)
		}
	}
}

// A server that ends in order while another is there hands its proxies over: no request is lost, no stream is left behind, and the
// other sends no resource that they have already; what changes afterwards comes from it.
func TestHandOver(t *testing.T) {
	require(t)
	for _, sotw := range []bool{false, true} {
		l := run(t, Spec{Source: shop(100, "").write(t), StateOfTheWorld: sotw})
		ld := startLoad(t, l, "client", Request{URL: "http://changed/"}, 2)
		before := len(l.Pushes())
		if err := l.HandOver(context.Background()); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if n := strings.Count(l.Log("replica"), "proxy connected"); n < 3 {
				return fmt.Errorf("%d of three proxies are there", n)
			}
			return nil
		})
		if !sotw { // the whole state is sent at every connect, by the protocol
			for _, p := range l.Pushes()[before:] {
				if len(p.Names)+len(p.Removed) > 0 {
					t.Errorf("sent to %s again: %s %q, removed %q", p.Node, p.Type, p.Names, p.Removed)
				}
			}
		}
		if err := l.Apply(context.Background(), shop(0, "").write(t)); err != nil {
			t.Fatal(err)
		}
		ld.only(t, "after the change", "v2")
		if failures := ld.end(); len(failures) > 0 {
			t.Errorf("%d requests failed, the first: %s", len(failures), failures[0])
		}
	}
}

// A change that alters only a cluster takes effect within a second: Envoy warms the changed cluster as soon as its
// endpoints come again, and does not wait for a timeout.
func TestClusterChange(t *testing.T) {
	require(t)
	const limits = "connectionPool: {tcp: {connectTimeout: %s, maxConnections: %d}}"
	l := run(t, Spec{Source: shop(100, fmt.Sprintf(limits, "3s", 100)).write(t)})
	const name = "outbound|80|v1|changed.lab.svc.cluster.local"
	if timeout, most := settings(t, l, "client", name); timeout != "3s" || most != 100 {
		t.Fatalf("at the start: connect timeout %s, %d connections", timeout, most)
	}
	ld := startLoad(t, l, "client", Request{URL: "http://changed/"}, 2)
	if err := l.Apply(context.Background(), shop(100, fmt.Sprintf(limits, "4s", 50)).write(t)); err != nil {
		t.Fatal(err)
	}
	applied := time.Now()
	eventually(t, func() error {
		if timeout, most := settings(t, l, "client", name); timeout != "4s" || most != 50 {
			return fmt.Errorf("connect timeout %s, %d connections", timeout, most)
		}
		return nil
	})
	// The promise is one second; twice that leaves room for a busy machine and is far from Envoy's own 15.
	if took := time.Since(applied); took > 2*time.Second {
		t.Errorf("took effect after %v", took)
	} else {
		t.Logf("took effect after %v", took)
	}
	if failures := ld.end(); len(failures) > 0 {
		t.Errorf("%d requests failed, the first: %s", len(failures), failures[0])
	}
}

// settings reads from Envoy what is in effect for a cluster: active ones only, not those still warming.
func settings(t *testing.T, l *Lab, of, name string) (timeout string, maxConnections int) {
	t.Helper()
	text, err := l.Admin(context.Background(), of, "/config_dump?resource=dynamic_active_clusters&mask=cluster.name,cluster.connect_timeout,cluster.circuit_breakers")
	if err != nil {
		t.Fatal(err)
	}
	var dump struct {
		Configs []struct {
			Cluster struct {
				Name           string
				ConnectTimeout string `json:"connect_timeout"`
				Breakers       struct {
					Thresholds []struct {
						Max int `json:"max_connections"`
					}
				} `json:"circuit_breakers"`
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &dump); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, c := range dump.Configs {
		if c.Cluster.Name == name && len(c.Cluster.Breakers.Thresholds) > 0 {
			return c.Cluster.ConnectTimeout, c.Cluster.Breakers.Thresholds[0].Max
		}
	}
	names := []string{}
	for _, c := range dump.Configs {
		names = append(names, c.Cluster.Name)
	}
	t.Fatalf("no cluster %s with circuit breakers among %s", name, strings.Join(names, ", "))
	return "", 0
}

func eventually(t *testing.T, try func() error) {
	t.Helper()
	if err := poll(context.Background(), try); err != nil {
		t.Fatal(err)
	}
}
