//go:build linux

package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// storm is a mesh that changes all the time. The host shop is called; what is behind it moves.
type storm struct {
	random  *rand.Rand
	mtls    string   // between proxies
	backend int      // the service behind shop is called backend-N
	port    int      // its port
	target  int      // the port of its pods
	subsets []string // of its DestinationRule, and with a share of the traffic each
	rules   []rule   // before the route of everything else
	pods    int      // how many of the pods serve, besides the first
	limits  int      // of the connection pool
	bare    bool     // inside the mesh there is no VirtualService for shop
	logs    bool     // proxies write an access log: all listeners change
}

// rule leads requests to one path or with one header to a subset.
type rule struct {
	match, subset string
}

const stormPods = 6 // the first two with proxies

func newStorm(seed uint64, mtls string) *storm {
	return &storm{mtls: mtls, random: rand.New(rand.NewPCG(seed, 0)), port: 80, target: 8080, subsets: []string{"v1"}, pods: 4}
}

// change makes one random change and says which.
func (s *storm) change() string {
	for {
		switch s.random.IntN(10) {
		case 0: // subset added
			if free := slices.DeleteFunc([]string{"v1", "v2"}, func(v string) bool { return slices.Contains(s.subsets, v) }); len(free) > 0 {
				s.subsets = append(s.subsets, free[0])
				return "subset " + free[0] + " added"
			}
		case 1: // subset removed, with all that leads to it
			if len(s.subsets) > 1 {
				gone := s.subsets[s.random.IntN(len(s.subsets))]
				s.subsets = slices.DeleteFunc(s.subsets, func(v string) bool { return v == gone })
				s.rules = slices.DeleteFunc(s.rules, func(r rule) bool { return r.subset == gone })
				return "subset " + gone + " removed"
			}
		case 2:
			s.backend++
			return fmt.Sprint("host moved to backend-", s.backend)
		case 3:
			s.port = 80 + (s.port-80+1+s.random.IntN(3))%4
			return fmt.Sprint("port changed to ", s.port)
		case 4:
			s.target = 8080 + (s.target-8080+1)%2
			return fmt.Sprint("target port changed to ", s.target)
		case 5:
			match := fmt.Sprintf("{uri: {prefix: /rule/%d}}", s.random.IntN(4))
			if s.random.IntN(2) == 0 {
				match = fmt.Sprintf("{headers: {x-rule: {exact: \"%d\"}}}", s.random.IntN(4))
			}
			s.rules = slices.Insert(s.rules, 0, rule{match, s.subsets[s.random.IntN(len(s.subsets))]})
			if s.rules = slices.CompactFunc(s.rules, func(a, b rule) bool { return a.match == b.match }); len(s.rules) > 5 {
				s.rules = s.rules[:5]
			}
			return "rule inserted first: " + match + " to " + s.rules[0].subset
		case 6:
			s.pods = 1 + (s.pods+s.random.IntN(stormPods-2))%(stormPods-1)
			return fmt.Sprint("pods that serve: 1 and ", s.pods, " more")
		case 7:
			s.limits++
			return "connection pool changed"
		case 8:
			s.bare = !s.bare
			return fmt.Sprint("VirtualService there: ", !s.bare)
		case 9:
			s.logs = !s.logs
			return fmt.Sprint("access log: ", s.logs)
		}
	}
}

// manifests writes the state down.
func (s *storm) manifests() manifests {
	log := "\"\""
	if s.logs {
		log = "/dev/stdout"
	}
	m := meshWith(s.mtls, "accessLogFile: "+log)
	backend := fmt.Sprint("backend-", s.backend)
	m.pod("sidecar", "client", "app: client", "10.9.0.9", "http:8080")
	m.pod("gateway", "ingress", "istio: ingress, app: ingress", "10.9.0.1")
	for i := range stormPods {
		kind, app := "plain", "web"
		if i < 2 {
			kind = "sidecar"
		}
		if i > s.pods && i >= 2 {
			app = "spare" // the labels of pods with proxies stay: their identity is in their bootstrap
		}
		m.pod(kind, fmt.Sprint("web-", i), fmt.Sprintf("app: %s, version: v%d", app, 1+i%2), fmt.Sprintf("10.9.1.%d", i+1), "http:8080", "http-other:8081")
	}
	m.serves("shop", "web", "10.96.9.1", "http:80:8080")
	m.serves(backend, "web", fmt.Sprintf("10.96.10.%d", 1+s.backend%200), fmt.Sprintf("http:%d:%d", s.port, s.target))
	m.serves("ingress", "ingress", "10.96.9.2", "http:80:8080")
	subsets, weights := "", ""
	for i, v := range s.subsets {
		subsets += fmt.Sprintf("  - {name: %s, labels: {version: %s}}\n", v, v)
		weight := 100 / len(s.subsets)
		if i == 0 {
			weight = 100 - weight*(len(s.subsets)-1)
		}
		weights += fmt.Sprintf("    - {destination: {host: %s, subset: %s, port: {number: %d}}, weight: %d}\n", backend, v, s.port, weight)
	}
	m.add("storm.yaml", `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: lab}
spec:
  host: %s
  trafficPolicy: {connectionPool: {tcp: {maxConnections: %d}}}
  subsets:
%s`, backend, 1000+s.limits, subsets)
	http := ""
	for _, r := range s.rules {
		http += fmt.Sprintf("  - match: [%s]\n    route: [{destination: {host: %s, subset: %s, port: {number: %d}}}]\n", r.match, backend, r.subset, s.port)
	}
	for host, gateway := range map[string]string{"shop.lab.svc.cluster.local": "mesh", "shop.example.com": "front"} {
		if s.bare && gateway == "mesh" {
			continue
		}
		m.add("storm-"+gateway+".yaml", `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop-%s, namespace: lab}
spec:
  hosts: [%s]
  gateways: [%s]
  http:
%s  - route:
%s`, gateway, host, gateway, http, weights)
	}
	m.ingress("shop.example.com")
	return m
}

// pacer sends requests at a fixed rate from two places: a workload, and a visitor through the gateway.
type pacer struct {
	stop   atomic.Bool
	done   sync.WaitGroup
	sent   atomic.Int64
	mu     sync.Mutex
	during string // the change that is being made
	failed []string
}

func startPacer(t *testing.T, l *Lab, perSecond int) *pacer {
	t.Helper()
	p := &pacer{during: "nothing yet"}
	work := make(chan int, perSecond)
	for i := range 40 {
		from, url, host := "client", "http://shop", ""
		if i%4 == 0 {
			from, url, host = "visitor", "http://10.9.0.1:8080", "shop.example.com"
		}
		c, err := l.Client(from)
		if err != nil {
			t.Fatal(err)
		}
		p.done.Go(func() {
			defer c.CloseIdleConnections()
			for n := range work {
				slow := ""
				if n%50 == 0 { // still under way when the next change comes
					slow = "?delay=500ms"
				}
				p.one(c, Request{URL: url + "/rule/" + strconv.Itoa(n%7) + slow, Host: host, Headers: map[string]string{"x-rule": strconv.Itoa(n % 9)}})
			}
		})
	}
	p.done.Go(func() {
		defer close(work)
		for began, n := time.Now(), 0; !p.stop.Load(); n++ {
			time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(perSecond))))
			work <- n
		}
	})
	return p
}

func (p *pacer) one(c *http.Client, r Request) {
	resp, err := Do(context.Background(), c, r)
	p.sent.Add(1)
	if err == nil && resp.Status == 200 {
		return
	}
	what := fmt.Sprint(err)
	if err == nil {
		what = fmt.Sprint(resp.Status, " ", resp.Body, " ", resp.Header)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = append(p.failed, fmt.Sprintf("%s %s %s x-rule %s, at %q: %s", time.Now().Format("15:04:05.000"), r.Host, r.URL, r.Headers["x-rule"], p.during, what))
}

func (p *pacer) at(change string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.during = change
}

// A thousand requests per second, through fifty random changes of everything behind the host they ask for.
func TestStormDelta(t *testing.T) { testStorm(t, false, "DISABLE", 50) }

// The same over state-of-the-world ADS and with identities, some changes long.
func TestStormStateOfTheWorld(t *testing.T) { testStorm(t, true, "PERMISSIVE", 15) }

func testStorm(t *testing.T, sotw bool, mtls string, changes int) {
	require(t)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("MESHC_LAB_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("MESHC_LAB_SEED=%d repeats these changes", seed)
	s := newStorm(seed, mtls)
	p := newPKI(t)
	p.issueTo("lab/default", labIdentity)
	dir := t.TempDir()
	l := run(t, Spec{Source: s.manifests().writeTo(t, dir), StateOfTheWorld: sotw, Visitors: map[string]netip.Addr{"visitor": netip.MustParseAddr("203.0.113.9")},
		ServeFlags: []string{"--grace", "300ms", // so that clusters do go in between
			"--secrets", p.dir, "--insecure-secrets-without-tls"}})
	began := time.Now()
	load := startPacer(t, l, 1000)
	var log []string
	for range changes {
		what := s.change()
		restart := !sotw && s.random.IntN(12) == 0 // over state of the world, proxies do not tell a new server what they hold
		if restart {
			what += ", and the server restarted"
		}
		load.at(what)
		log = append(log, time.Now().Format("15:04:05.000 ")+what)
		apply := func() error { return l.Apply(context.Background(), s.manifests().writeTo(t, dir)) }
		var err error
		if restart {
			err = l.RestartServer(context.Background(), apply)
		} else {
			err = apply()
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(s.random.IntN(400)) * time.Millisecond)
	}
	time.Sleep(time.Second)
	load.stop.Store(true)
	load.done.Wait()
	t.Logf("%d requests in %v, %d changes", load.sent.Load(), time.Since(began).Round(time.Millisecond), changes)
	if len(load.failed) > 0 {
		t.Errorf("%d requests failed:\n%s\nchanges:\n%s", len(load.failed), strings.Join(load.failed[:min(len(load.failed), 20)], "\n"), strings.Join(log, "\n"))
	}
	s.arrived(t, l)
}

// arrived checks that the last state is the one in effect: the first rule leads to its subset.
func (s *storm) arrived(t *testing.T, l *Lab) {
	t.Helper()
	eventually(t, func() error {
		for _, v := range []string{"v1", "v2"} {
			dump, err := l.Admin(context.Background(), "client", "/clusters")
			if err != nil {
				return err
			}
			name := fmt.Sprintf("outbound|%d|%s|backend-%d.lab.", s.port, v, s.backend)
			if strings.Contains(dump, name) != slices.Contains(s.subsets, v) {
				return fmt.Errorf("cluster %s: want it %t", name, slices.Contains(s.subsets, v))
			}
		}
		r, err := l.Send(context.Background(), "visitor", Request{URL: "http://10.9.0.1:8080/", Host: "shop.example.com"})
		if err != nil {
			return err
		}
		if want := strconv.Itoa(s.target); r.Echo.Port != want {
			return fmt.Errorf("answered at port %s, want %s", r.Echo.Port, want)
		}
		return nil
	})
}
