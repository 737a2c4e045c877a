package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/compiler/replay"
	"github.com/meshc/meshc/internal/watchdog"
)

const mesh = `apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: cart}
  ports: [{name: http, port: 8080, targetPort: 80}]
---
apiVersion: v1
kind: Pod
metadata: {name: cart-0, namespace: shop, labels: {app: cart, sidecar.istio.io/inject: "true"}}
spec: {containers: [{name: cart, image: cart}, {name: istio-proxy, image: envoy}]}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, sidecar.istio.io/inject: "true"}}
    spec: {containers: [{name: web, image: web}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart.shop.svc.cluster.local]
  http:
  - match: [{uri: {prefix: /items/}}]
    timeout: 5s
    route: [{destination: {host: cart.shop.svc.cluster.local}}]
  - match: [{uri: {regex: "/v[0-9]/.*"}}]
    route: [{destination: {host: cart.shop.svc.cluster.local}}]
  - route: [{destination: {host: cart.shop.svc.cluster.local}}]
`

func compile(t testing.TB, text string) *bundle.Bundle {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mesh.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	res, found, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Lenient: true})
	if err != nil || res.Bundle == nil {
		t.Fatalf("%v %v", found, err)
	}
	return res.Bundle
}

func line(path, cluster, local, remote string, code int) string {
	return fmt.Sprintf(`[2026-03-02T09:00:00.112Z] "GET %s HTTP/1.1" %d - via_upstream - "-" 0 295 11 11 "-" "curl" "5c8f" "cart.shop:8080" "10.1.0.1:80" %s 10.1.0.2:39152 %s %s - -`, path, code, cluster, local, remote) + "\n"
}

const cluster = "outbound|8080||cart.shop.svc.cluster.local"

var callers = map[netip.Addr]string{netip.MustParseAddr("10.1.0.2"): "shop/web-7d4b9c6f5d-x2x7k"}

func TestReplay(t *testing.T) {
	base := compile(t, mesh)
	head := compile(t, strings.NewReplacer("5s", "1s", "v[0-9]", "v[0-8]").Replace(mesh)+`---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {paths: ["/admin*"]}}]}]}
`)
	var log strings.Builder
	for i := range 300 {
		log.WriteString(line(fmt.Sprintf("/items/%d?q=%d", i, i), cluster, "10.96.0.1:8080", "10.1.0.2:4000", 200))
	}
	log.WriteString(line("/admin/x", cluster, "10.96.0.1:8080", "10.1.0.2:4000", 200))
	log.WriteString(line("/v9/x", cluster, "10.96.0.1:8080", "10.1.0.2:4000", 200))
	log.WriteString(line("/other", cluster, "10.96.0.1:8080", "10.1.0.2:4000", 200))
	log.WriteString(line("/other", "outbound|8080|v1|cart.shop.svc.cluster.local", "10.96.0.1:8080", "10.1.0.2:4000", 200)) // another cluster
	log.WriteString(line("/other", cluster, "10.96.0.1:8080", "10.7.7.7:4000", 200))                                        // nobody
	log.WriteString(line("/other", "inbound|80||", "10.1.0.1:80", "10.1.0.2:4000", 200))                                    // seen twice
	log.WriteString(line("/admin/y", "inbound|80||", "10.1.0.1:80", "10.7.7.7:4000", 200))                                  // from outside
	log.WriteString("a line of another kind\n\n[2026-03-02T09:00:00.112Z] \"GET /x")
	r, err := replay.Replay(strings.NewReader(log.String()), base, head, replay.Options{Callers: callers})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range r.Differences {
		got = append(got, fmt.Sprint(d.Kind, " ", d.Requests, " ", d.Callers, " ", d.Examples[0]))
	}
	want := []string{
		"closed 1 [outside] http://10.1.0.1:80/admin/y from outside -H host=cart.shop:8080 --source-ip 10.7.7.7",
		"closed 1 [shop/web] http://cart.shop:8080/admin/x from shop/web",
		"changed 300 [shop/web] 'http://cart.shop:8080/items/0?q=0' from shop/web",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("differences\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r.Lines != 309 || r.Requests != 304 || r.Same != 2 || len(r.Unused) != 5 {
		t.Errorf("%d lines, %d requests, %d same, %d reasons", r.Lines, r.Requests, r.Same, len(r.Unused))
	}
	for _, p := range []func(io.Writer) error{r.Print, r.Markdown, r.JSON} {
		var b bytes.Buffer
		if err := p(&b); err != nil || b.Len() == 0 {
			t.Error(err)
		}
	}
}

// A bundle against itself has no differences, whatever the log, and a log in gzip is read up to where it breaks off.
func TestReplayOfNothingNew(t *testing.T) {
	base := compile(t, mesh)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	for i := range 20000 {
		_, _ = io.WriteString(w, line(fmt.Sprintf("/%d/%d", i%7, i), cluster, "10.96.0.1:8080", "10.1.0.2:4000", 200))
	}
	_ = w.Close()
	for _, c := range []struct {
		log  []byte
		used int
	}{{z.Bytes(), 20000}, {z.Bytes()[:z.Len()-100], -1}} {
		r, err := replay.Replay(bytes.NewReader(c.log), base, base, replay.Options{Callers: callers})
		if err != nil || len(r.Differences) != 0 || r.Requests == 0 || c.used >= 0 && (r.Requests != c.used || len(r.Unused) > 0) || c.used < 0 && len(r.Unused) != 1 && len(r.Unused) != 2 {
			t.Errorf("%v %+v", err, r)
		}
	}
}

func TestReplayOfAnotherMesh(t *testing.T) {
	base := compile(t, mesh)
	log := strings.Repeat(line("/", "outbound|80||a.b.svc.cluster.local", "10.200.0.1:80", "10.201.0.1:4000", 200), 10) + strings.Repeat("x", 2<<20) + "\n"
	r, err := replay.Replay(strings.NewReader(log), base, base, replay.Options{})
	if err != nil || r.Used() || len(r.Unused) != 2 || r.Unused[0].Lines != 10 || r.Lines != 11 {
		t.Errorf("%v %+v", err, r)
	}
	// Said to be of a workload of this mesh, it goes to a host that base does not know in the same way as the log.
	r, err = replay.Replay(strings.NewReader(log), base, base, replay.Options{From: "shop/web"})
	if err != nil || r.Used() {
		t.Errorf("%v %+v", err, r)
	}
}

// A caller that head does not have sends nothing; a gateway that does not listen any more refuses.
func TestReplayOfWhatIsGone(t *testing.T) {
	gateway := `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ingress, namespace: shop}
spec:
  selector: {matchLabels: {istio: ingress}}
  template:
    metadata: {labels: {istio: ingress}}
    spec: {containers: [{name: istio-proxy, image: envoy}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]
`
	routed := strings.Replace(mesh, "  http:\n", "  gateways: [mesh, public]\n  http:\n", 1)
	routed = strings.Replace(routed, "hosts: [cart.shop.svc.cluster.local]", "hosts: [cart.shop.svc.cluster.local, shop.example]", 1)
	base := compile(t, routed+gateway)
	log := strings.ReplaceAll(line("/items/1", cluster, "10.1.0.9:8080", "203.0.113.5:999", 200), "cart.shop:8080", "shop.example")
	o := replay.Options{From: "gateway shop/public"}
	r, err := replay.Replay(strings.NewReader(log), base, compile(t, strings.Replace(routed+gateway, "number: 8080", "number: 9090", 1)), o)
	if err != nil || len(r.Differences) != 1 || r.Differences[0].Kind != change.Closed {
		t.Errorf("%v %+v", err, r)
	}
	without := strings.Replace(mesh, "kind: Deployment\nmetadata: {name: web,", "kind: Deployment\nmetadata: {name: www,", 1)
	r, err = replay.Replay(strings.NewReader(line("/", cluster, "10.96.0.1:8080", "10.1.0.2:4000", 200)), base, compile(t, without), replay.Options{Callers: callers})
	if err != nil || r.Used() || len(r.Unused) != 1 || !strings.Contains(r.Unused[0].Reason, "HEAD has no shop/web") {
		t.Errorf("%v %+v", err, r)
	}
}

// FuzzReplay: whatever a log holds, packed or not, each of its lines is counted once.
func FuzzReplay(f *testing.F) {
	base := compile(f, mesh)
	head := compile(f, strings.NewReplacer("5s", "1s", "v[0-9]", "v[0-8]").Replace(mesh))
	for _, packed := range []bool{false, true} {
		f.Add([]byte(line("/items/1", cluster, "10.96.0.1:8080", "10.1.0.2:4000", 200)), packed)
		f.Add([]byte(line("/v9/%2e%2e//x?a=b", "inbound|80||", "10.1.0.1:80", "10.7.7.7:4000", 403)+"x\n\n[2026"), packed)
		f.Add([]byte(`{"method":"GET","path":"/v1/x","response_code":200,"authority":"cart.shop:8080","upstream_cluster":"`+cluster+`","downstream_local_address":"10.96.0.1:8080","downstream_remote_address":"10.1.0.2:1","requested_server_name":null}`), packed)
	}
	f.Fuzz(func(t *testing.T, log []byte, packed bool) {
		defer watchdog.Watch(t)()
		if packed {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(log)
			_ = w.Close()
			log = z.Bytes()
		}
		r, err := replay.Replay(bytes.NewReader(log), base, head, replay.Options{Callers: callers})
		if err != nil {
			return
		}
		counted := r.Requests
		for _, u := range r.Unused {
			counted += u.Lines
		}
		if broken := len(r.Unused) > 0; counted != r.Lines && !(broken && counted == r.Lines+1) {
			t.Errorf("%d lines, %d counted", r.Lines, counted)
		}
		differ := r.Forgotten
		for _, d := range r.Differences {
			differ += d.Requests
		}
		if differ+r.Same != r.Requests {
			t.Errorf("%d requests, %d differ and %d are the same", r.Requests, differ, r.Same)
		}
		for _, print := range []func(io.Writer) error{r.Print, r.Markdown, r.JSON} {
			if err := print(io.Discard); err != nil {
				t.Error(err)
			}
		}
	})
}
