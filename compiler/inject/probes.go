package inject

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshc/meshc/internal/intercept"
)

// hook is a place in a container where kubelet asks something of the application.
type hook struct {
	under, key string // lifecycle for hooks of it, else ""
	path       string // under which the proxy answers
}

var hooks = []hook{
	{"", "livenessProbe", "/app-health/%s/livez"},
	{"", "readinessProbe", "/app-health/%s/readyz"},
	{"", "startupProbe", "/app-health/%s/startupz"},
	{"lifecycle", "postStart", "/app-lifecycle/%s/poststartz"},
	{"lifecycle", "preStop", "/app-lifecycle/%s/prestopz"},
}

// probes turns what kubelet would ask the application to what it asks the proxy: kubelet has no certificate of the mesh, so
// that the proxy would refuse it at the application's own port under mutual TLS, and would take a TCP connection for an
// application that is not there. It returns what the proxy has to know, as JSON, "" if there is nothing.
func (p *pod) probes() string {
	if p.gateway || !p.flag("sidecar.istio.io/rewriteAppHTTPProbers", true) {
		return ""
	}
	known := map[string]any{}
	spec := child(p.value, "spec")
	for _, key := range []string{"initContainers", "containers"} {
		l := list(spec, key)
		for i, e := range l {
			c, ok := e.(map[string]any)
			name, _ := c["name"].(string)
			if !ok || name == proxyName || key == "initContainers" && c["restartPolicy"] != string(corev1.ContainerRestartPolicyAlways) {
				continue
			}
			for _, h := range hooks {
				p.rewrite(h, c, name, p.tmpl.At("spec", key, i), known)
			}
		}
	}
	if len(known) == 0 {
		return ""
	}
	b, err := json.Marshal(known)
	if err != nil {
		panic("inject: " + err.Error()) // plain data
	}
	return string(b)
}

// rewrite turns one hook, in a container under the given name, to what kubelet asks the proxy instead.
func (p *pod) rewrite(h hook, c map[string]any, name string, at []any, known map[string]any) {
	in := c
	if h.under != "" {
		in, _ = c[h.under].(map[string]any)
		at = append(at, h.under)
	}
	at = append(at, h.key)
	v, ok := in[h.key].(map[string]any)
	if !ok {
		return
	}
	var probe corev1.Probe
	if err := message(v, &probe); err != nil {
		p.fail("MESHC1904", "this cannot be read: "+err.Error(), "correct it", at...)
		return
	}
	target, scheme, ok := p.target(&probe, c, at)
	if !ok {
		return
	}
	path := fmt.Sprintf(h.path, name)
	entry := map[string]any{}
	for _, k := range []string{"httpGet", "tcpSocket", "grpc"} {
		if a, ok := v[k].(map[string]any); ok {
			a = clone(a).(map[string]any)
			a["port"] = int64(target)
			entry[k] = a
			delete(v, k)
		}
	}
	for _, k := range []string{"timeoutSeconds", "periodSeconds"} {
		if n, ok := v[k]; ok {
			entry[k] = n
		}
	}
	known[path] = entry
	get := map[string]any{"path": path, "port": int64(intercept.ProbePort)}
	if scheme != "" {
		get["scheme"] = "HTTP"
	}
	v["httpGet"] = get
}

// target is the port of the application that a probe asks at; not for one that runs a program, asks another host, or asks
// the proxy.
func (p *pod) target(probe *corev1.Probe, c map[string]any, at []any) (port int32, scheme corev1.URIScheme, ok bool) {
	var to intstr.IntOrString
	switch {
	case probe.HTTPGet != nil && probe.HTTPGet.Host == "":
		to, scheme = probe.HTTPGet.Port, probe.HTTPGet.Scheme
	case probe.TCPSocket != nil && probe.TCPSocket.Host == "":
		to = probe.TCPSocket.Port
	case probe.GRPC != nil:
		to = intstr.FromInt32(probe.GRPC.Port)
	default:
		return 0, "", false
	}
	port = to.IntVal
	if to.Type == intstr.String {
		var typed corev1.Container
		if err := message(c, &typed); err == nil {
			if i := slices.IndexFunc(typed.Ports, func(p corev1.ContainerPort) bool { return p.Name == to.StrVal }); i >= 0 {
				port = typed.Ports[i].ContainerPort
			}
		}
	}
	switch {
	case port < 1 || port > 65535:
		p.fail("MESHC1904", fmt.Sprintf("the probe is at the port %s, which the container does not have", to.String()), "name a port of the container, or write its number", at...)
		return 0, "", false
	case port == intercept.ProbePort || port == intercept.HealthPort || port == intercept.StatsPort:
		return 0, "", false
	}
	return port, scheme, true
}
