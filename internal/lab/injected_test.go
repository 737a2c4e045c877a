//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// injection plays kubelet for pods that meshc inject has given their proxy.
type injection struct {
	t     *testing.T
	meshc string
	pods  map[string]*corev1.PodTemplateSpec
}

// annotated is what the user says of the proxy of each pod.
const annotated = `        traffic.sidecar.istio.io/excludeInboundPorts: "9000"
        proxy.istio.io/config: "{holdApplicationUntilProxyStarts: true, concurrency: 1, drainDuration: 9s}"
        sidecar.istio.io/statsInclusionPrefixes: cluster.outbound
        sidecar.istio.io/bootstrapOverride: more
`

// configMaps are those of the namespace: their one key, and its text.
var configMaps = map[string][2]string{"more": {"custom_bootstrap.json", `{"static_resources": {"clusters": [{"name": "collector", "type": "STATIC", "connect_timeout": "1s"}]}}`}}

// deployment is the Deployment of a workload as Git has it: without a proxy, with probes at the ports of the application.
func deployment(w *Workload) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: lab}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata:
      labels: {app: %[1]s, version: v1}
      annotations:
%[2]s    spec:
      containers:
      - name: app
        image: registry.example.com/echo:1
        ports: [{name: http, containerPort: 8080}]
        livenessProbe: {httpGet: {path: "/live?from=kubelet", port: http, httpHeaders: [{name: X-Probe, value: "yes"}]}}
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
        startupProbe: {httpGet: {path: /status/500, port: 8080}}
`, w.Name, annotated)
}

// inject gives a workload's Deployment its proxy, by the command.
func (i *injection) inject(w *Workload) (*corev1.PodTemplateSpec, error) {
	cmd := exec.Command(i.meshc, "inject", "-", "--enable-namespaces-by-default", "--identity", "none", "--xds", relayADS)
	cmd.Stdin = strings.NewReader(deployment(w))
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("meshc inject: %w", err)
	}
	var d struct {
		Spec struct{ Template corev1.PodTemplateSpec }
	}
	if err := yaml.Unmarshal(out, &d); err != nil {
		return nil, err
	}
	i.pods[w.Name] = &d.Spec.Template
	return &d.Spec.Template, nil
}

// start does for a pod what kubelet does: volumes, the init containers in their order, then the proxy, which is the last of them.
func (i *injection) start(w *Workload, envoy, folder string) (*exec.Cmd, error) {
	pod, err := i.inject(w)
	if err != nil {
		return nil, err
	}
	info := filepath.Join(folder, "pod")
	if err := os.Mkdir(info, 0o755); err != nil {
		return nil, err
	}
	for name, values := range map[string]map[string]string{"labels": pod.Labels, "annotations": pod.Annotations} {
		var b bytes.Buffer
		for _, k := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(&b, "%s=%s\n", k, strconv.Quote(values[k]))
		}
		if err := os.WriteFile(filepath.Join(info, name), b.Bytes(), 0o644); err != nil {
			return nil, err
		}
	}
	for _, v := range pod.Spec.Volumes {
		if c := v.ConfigMap; c != nil {
			file := configMaps[c.Name]
			if err := os.WriteFile(filepath.Join(folder, file[0]), []byte(file[1]), 0o644); err != nil {
				return nil, err
			}
		}
	}
	list := pod.Spec.InitContainers
	if len(list) != 3 || list[0].Name != "meshc-bootstrap" || list[2].Name != "istio-proxy" || list[2].RestartPolicy == nil || list[2].StartupProbe == nil {
		return nil, fmt.Errorf("the init containers are not those of a proxy that holds the application: %+v", list)
	}
	if out, err := exec.Command(i.meshc, i.arguments(w, &list[0], folder)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("meshc-bootstrap: %w: %s", err, out)
	}
	cmd := exec.Command(envoy, i.arguments(w, &list[2], folder)...)
	for _, e := range list[2].Env {
		value := e.Value
		if e.ValueFrom != nil {
			value = i.field(w, pod, e.ValueFrom.FieldRef.FieldPath)
		}
		cmd.Env = append(cmd.Env, e.Name+"="+strings.ReplaceAll(value, "$$", "$"))
	}
	return cmd, nil
}

// field is what the downward API says.
func (i *injection) field(w *Workload, pod *corev1.PodTemplateSpec, path string) string {
	if key, ok := strings.CutPrefix(path, "metadata.labels['"); ok {
		return pod.Labels[strings.TrimSuffix(key, "']")]
	}
	return map[string]string{"metadata.name": w.Name, "metadata.namespace": w.Namespace, "status.podIPs": w.Addresses[0].String(), "spec.serviceAccountName": w.ServiceAccount}[path]
}

// arguments are those of a container, with its variables and with the folder in the place of its volumes.
func (i *injection) arguments(w *Workload, c *corev1.Container, folder string) []string {
	pairs := []string{"$$", "$", "/etc/istio/proxy", folder, "/etc/istio/pod", filepath.Join(folder, "pod"), "/etc/istio/custom-bootstrap", folder}
	for _, e := range c.Env {
		if e.ValueFrom != nil {
			pairs = append(pairs, "$("+e.Name+")", i.field(w, i.pods[w.Name], e.ValueFrom.FieldRef.FieldPath))
		}
	}
	var out []string
	for _, a := range c.Args {
		out = append(out, strings.NewReplacer(pairs...).Replace(a))
	}
	return out
}

// injectedMesh is two pods and a Service.
func injectedMesh() manifests {
	m := meshOf("enableTracing: false")
	m.pod("sidecar", "client", "app: client, version: v1", "10.9.0.9", "http:8080")
	m.pod("sidecar", "web", "app: web, version: v1", "10.9.1.1", "http:8080", "tcp-echo:9000")
	m.serves("web", "web", "10.96.9.1", "http:80:8080")
	return m
}

// Pods that meshc inject has given their proxy run as kubelet would run them: their traffic is intercepted by their own rules, kubelet is
// answered for the application and for the proxy, the application is held until the proxy has its configuration, and a proxy that drains
// answers what is left and ends.
func TestInjectedPods(t *testing.T) {
	require(t)
	spec := built(t, Spec{Source: injectedMesh().write(t), Doors: map[string]string{relayADS: serverADS},
		Visitors: map[string]netip.Addr{"kubelet": netip.MustParseAddr("10.9.8.8"), "late": netip.MustParseAddr("10.9.1.9")}})
	i := &injection{t: t, meshc: spec.Meshc, pods: map[string]*corev1.PodTemplateSpec{}}
	spec.Proxy = i.start
	l := run(t, spec)
	ctx := context.Background()
	for _, name := range []string{"client", "web"} { // kubelet would have run it before the proxy
		rules := i.pods[name].Spec.InitContainers[1]
		m := l.members[name]
		if err := m.ns.run("iptables", "-t", "nat", "-F"); err != nil {
			t.Fatal(err)
		}
		if err := m.ns.run(append([]string{spec.Meshc}, i.arguments(m.Workload, &rules, l.dir)...)...); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		r, err := l.Get(ctx, "client", "http://web/hello")
		if err == nil && (r.Status != http.StatusOK || !strings.HasPrefix(r.Echo.Peer, "127.0.0.6:")) {
			err = fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return err
	})
	if got, err := speak(l, "kubelet", "10.9.1.1:9000"); err != nil || !strings.Contains(got, "web") {
		t.Errorf("a port that is left alone: %q, %v", got, err)
	}
	if s, err := l.Admin(ctx, "client", "/stats?filter=cluster.outbound.*upstream_rq_2xx"); err != nil || !strings.Contains(s, "web") {
		t.Errorf("statistics that an annotation asks for: %q, %v", s, err)
	}
	if s, err := l.Admin(ctx, "web", "/clusters"); err != nil || !strings.Contains(s, "collector::") || !strings.Contains(s, "xds-grpc::") {
		t.Errorf("a ConfigMap over the bootstrap: %q, %v", s, err)
	}
	testProbes(t, l, i)
	testHeld(t, l, i)
	testDrain(t, l)
}

// answered asks as kubelet does, and returns the status.
func answered(l *Lab, pod string, get *corev1.HTTPGetAction) (int, string, error) {
	r, err := l.Get(context.Background(), "kubelet", fmt.Sprintf("http://%s:%d%s", pod, get.Port.IntVal, get.Path))
	if err != nil {
		return 0, "", err
	}
	return r.Status, r.Body, nil
}

func testProbes(t *testing.T, l *Lab, i *injection) {
	t.Helper()
	app := i.pods["web"].Spec.Containers[0]
	expect := func(when string, want int, get *corev1.HTTPGetAction) {
		t.Helper()
		eventually(t, func() error {
			status, body, err := answered(l, "10.9.1.1", get)
			if err == nil && status != want {
				err = fmt.Errorf("%s: %s answers %d %s, not %d", when, get.Path, status, body, want)
			}
			return err
		})
	}
	expect("the application runs", http.StatusOK, app.LivenessProbe.HTTPGet)
	expect("the application runs", http.StatusOK, app.ReadinessProbe.HTTPGet)
	if _, body, err := answered(l, "10.9.1.1", app.LivenessProbe.HTTPGet); err != nil || !strings.Contains(body, "/live?from=kubelet") || !strings.Contains(body, `"x-probe":"yes"`) {
		t.Errorf("the application is asked %q, %v", body, err)
	}
	proxy := i.pods["web"].Spec.InitContainers[2]
	expect("the proxy runs", http.StatusOK, proxy.StartupProbe.HTTPGet)
	expect("the proxy runs", http.StatusOK, proxy.ReadinessProbe.HTTPGet)
	if err := l.kill("client.app"); err != nil {
		t.Fatal(err)
	}
	for _, probe := range []*corev1.Probe{app.LivenessProbe, app.ReadinessProbe} {
		eventually(t, func() error {
			status, _, err := answered(l, "10.9.0.9", probe.HTTPGet)
			if err == nil && status < http.StatusInternalServerError {
				err = fmt.Errorf("the application is gone, and %s answers %d", probe.HTTPGet.Path, status)
			}
			return err
		})
	}
}

// testHeld starts a proxy that does not reach its server: the startup probe, which holds the application, fails until it does.
func testHeld(t *testing.T, l *Lab, i *injection) {
	t.Helper()
	m := l.members["late"]
	w := &Workload{Name: "client", Namespace: "lab", ServiceAccount: "default", Labels: map[string]string{"app": "client"}, Addresses: m.Addresses}
	folder := filepath.Join(l.dir, "late")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, err := i.start(w, l.spec.Envoy, folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.launchProxy(m.ns, "late", folder, cmd); err != nil {
		t.Fatal(err)
	}
	probe := i.pods["client"].Spec.InitContainers[2].StartupProbe.HTTPGet
	c := clientIn(m.ns, nil)
	defer c.CloseIdleConnections()
	held := 0
	eventually(t, func() error {
		if status, body, err := answered(l, "10.9.1.9", probe); err == nil && status == http.StatusOK {
			t.Fatalf("the proxy is ready without a server: %s", body)
		}
		r, err := Do(context.Background(), c, Request{URL: "http://" + envoyAdmin + "/ready"}) // it runs, and waits
		if err != nil || r.Status != http.StatusServiceUnavailable {
			return fmt.Errorf("a proxy without a server says %v, %w", r, err)
		}
		if held++; held < 5 {
			return errors.New("asked a few times")
		}
		return nil
	})
	in, err := m.ns.listen(relayADS)
	if err != nil {
		t.Fatal(err)
	}
	l.tunnels = append(l.tunnels, in)
	go l.tunnel(in, func() (net.Conn, error) { return l.net.hub.dial(context.Background(), "tcp", serverADS) })
	eventually(t, func() error {
		status, body, err := answered(l, "10.9.1.9", probe)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("with a server it answers %d %s", status, body)
		}
		return err
	})
}

// testDrain drains a proxy as the end of a pod does: what comes is answered, each connection is asked to end, and the process ends
// when it is told to.
func testDrain(t *testing.T, l *Lab) {
	t.Helper()
	m := l.members["web"]
	c := clientIn(m.ns, nil)
	defer c.CloseIdleConnections()
	resp, err := c.Post("http://"+envoyAdmin+"/drain_listeners?graceful&skip_exit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	eventually(t, func() error {
		r, err := l.Get(context.Background(), "client", "http://web/draining")
		if err == nil && r.Status != http.StatusOK {
			err = fmt.Errorf("a proxy that drains answers %d %s", r.Status, r.Body)
		}
		return err
	})
	at := slices.IndexFunc(l.processes, func(p *process) bool { return p.name == "web.envoy" })
	p := l.processes[at]
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		select {
		case <-p.done:
			return nil
		default:
			return errors.New("the proxy does not end")
		}
	})
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the proxy ends with %d: %s", code, l.Log("web.envoy"))
	}
}
