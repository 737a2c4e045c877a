package coverage

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// annotationRewrite keeps injection from leading the probes of a pod around its proxy.
const annotationRewrite = "sidecar.istio.io/rewriteAppHTTPProbers"

// probes reports probes that the kubelet makes without a certificate against a port that wants one.
func (c *checker) probes() {
	for _, p := range c.proxies {
		for _, w := range p.Class.Workloads {
			if p.Class.Gateway || !w.Injected || w.Annotations[annotationRewrite] != "false" {
				continue
			}
			pods := w.Object.Pods()
			if pods == nil {
				continue
			}
			for i, container := range pods.Spec.Containers {
				for name, probe := range map[string]*corev1.Probe{"livenessProbe": container.LivenessProbe, "readinessProbe": container.ReadinessProbe, "startupProbe": container.StartupProbe} {
					port, kind := probed(probe, w)
					if port != 0 && p.Class.Inbound.ModeFor(port) == mesh.Strict {
						c.findings.Add(w.Object.Finding(diag.Error, codeHandshake, fmt.Sprintf("the %s always fails: the kubelet shows no certificate, port %d takes mutual TLS only (STRICT), and the annotation %s keeps the probe from being led around the proxy", name, port, annotationRewrite),
							"Remove the annotation, or make the port PERMISSIVE.", pods.At("spec", "containers", i, name, kind)...))
					}
				}
			}
		}
	}
}

// probed is the port that a probe asks with a request; one that only opens a connection gets it from the proxy.
func probed(p *corev1.Probe, w *mesh.Workload) (port uint32, kind string) {
	switch {
	case p == nil:
	case p.HTTPGet != nil && p.HTTPGet.Port.IntVal != 0:
		return uint32(p.HTTPGet.Port.IntVal), "httpGet"
	case p.HTTPGet != nil:
		return w.Ports[p.HTTPGet.Port.StrVal], "httpGet"
	case p.GRPC != nil:
		return uint32(p.GRPC.Port), "grpc"
	}
	return 0, ""
}
