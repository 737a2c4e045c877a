package bootstrap_test

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/lab"
)

func TestPodInfo(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "labels"), []byte("app=\"web\"\nnote=\"a \\\"word\\\"=\\n\""), 0o600); err != nil {
		t.Fatal(err)
	}
	labels, annotations, err := bootstrap.ReadPodInfo(dir)
	if err != nil || labels["app"] != "web" || labels["note"] != "a \"word\"=\n" || len(annotations) != 0 {
		t.Errorf("%v %v %v", labels, annotations, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "annotations"), []byte("x=\"1\"\nthis is none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bootstrap.ReadPodInfo(dir); err == nil || !strings.Contains(err.Error(), "annotations:2") {
		t.Errorf("a broken line: %v", err)
	}
}

func TestParseProbes(t *testing.T) {
	for _, text := range []string{`{`, `{"/a":{}}`, `{"a":{"tcpSocket":{"port":80}}}`, `{"/a":{"tcpSocket":{"port":"http"}}}`, `{"/a":{"exec":{"command":["x"]}}}`, `{"/a":{"httpGet":{"port":70000}}}`, `{"/a":{"tcpSocket":{"port":80},"more":1}}`} {
		if p, err := bootstrap.ParseProbes(text); err == nil {
			t.Errorf("%s is taken: %v", text, p)
		}
	}
}

// A real proxy answers for an application: what HTTP says, whether TCP is there, and not for other paths.
func TestProbesThroughEnvoy(t *testing.T) {
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ports, err := lab.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan *http.Request, 100)
	app := &http.Server{Addr: "127.0.0.1:" + ports[0], ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/ill":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = app.ListenAndServe() }()
	defer app.Close()
	port, gone := intstr.Parse(ports[0]), intstr.Parse(ports[1])
	get := func(path string) bootstrap.Probe {
		return bootstrap.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port, Path: path, HTTPHeaders: []corev1.HTTPHeader{{Name: "Host", Value: "web.example"}, {Name: "X-Share", Value: "50%"}}}}}
	}
	tcp := func(p intstr.IntOrString) bootstrap.Probe {
		return bootstrap.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: p}}}
	}
	service := "shop.Cart"
	o := options()
	o.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	o.AdminAddress, o.NoServing = "127.0.0.1:0", true
	o.Probes = bootstrap.Probes{
		"/app-health/web/livez": get("/ok?full=1"), "/app-health/web/readyz": get("/ill"), "/app-health/web/startupz": get("moved"),
		"/app-health/db/livez": tcp(port), "/app-health/db/readyz": tcp(gone),
		"/app-health/cart/livez": {ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: gone.IntVal, Service: &service}}},
	}
	if o.Probes, err = bootstrap.ParseProbes(o.Probes.String()); err != nil {
		t.Fatal(err)
	}
	b, err := bootstrap.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.DynamicResources, b.LayeredRuntime = nil, nil // no server here: Envoy would wait for it
	text, err := bootstrap.JSON(b)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "envoy.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, envoy, "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]int{
		"/app-health/web/livez": 200, "/app-health/web/readyz": 503, "/app-health/web/startupz": 302,
		"/app-health/db/livez": 200, "/app-health/db/readyz": 503, "/app-health/cart/livez": 503, "/ok": 404, "/app-health/web/livez/more": 404,
	} {
		var got int
		for try := 0; try < 100 && got != want; try++ { // until the proxy is there and has looked
			res, err := client.Get("http://127.0.0.1:15020" + path)
			if err == nil {
				res.Body.Close()
				got = res.StatusCode
				if res.Header.Get("Location") != "" {
					t.Errorf("%s leads to %s, which the proxy does not have", path, res.Header.Get("Location"))
				}
			}
			if got != want {
				time.Sleep(100 * time.Millisecond)
			}
		}
		if got != want {
			t.Errorf("%s answers %d, not %d", path, got, want)
		}
	}
	close(asked)
	for r := range asked {
		if r.Host != "web.example" || r.Header.Get("X-Share") != "50%" || r.URL.Path == "/ok" && r.URL.RawQuery != "full=1" {
			t.Errorf("the application was asked for %s%s with %v", r.Host, r.URL, r.Header)
		}
	}
}
