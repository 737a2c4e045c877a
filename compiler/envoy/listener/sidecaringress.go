package listener

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// CodeIneffectiveIngressTLS is reported for Sidecar ingress tls on a port where mutual TLS is on.
const CodeIneffectiveIngressTLS = "MESHC1501"

// sidecarTLS is Sidecar.ingress.tls: TLS for clients from outside the mesh.
type sidecarTLS = networking.ServerTLSSettings

// ingress lowers the ingress listeners of a Sidecar.
func (b *inbound) ingress(sc *mesh.Sidecar) []*inboundPort {
	var out []*inboundPort
	seen := map[uint32]bool{}
	for i, l := range sc.Spec.Ingress {
		port := l.GetPort().GetNumber()
		if seen[port] {
			b.diags.Add(sc.Object.Finding(diag.Error, CodeDroppedChain, fmt.Sprintf("port %d has an ingress listener already, so this one gets no traffic", port),
				"remove one of the two", "spec", "ingress", i, "port", "number"))
			continue
		}
		seen[port] = true
		p := &inboundPort{
			number: port, servicePort: port, protocol: mesh.ParseProtocol(l.GetPort().GetProtocol()), cluster: names.Inbound(port),
			service: cluster.IngressService(b.in, port), from: xds.OriginAt(sc.Object, "spec", "ingress", i),
		}
		if p.protocol == mesh.UDP || port == 0 {
			continue
		}
		if l.CaptureMode == networking.CaptureMode_NONE || interceptionNone(b.in.Proxy) {
			p.bind = l.Bind
			if p.bind == "" {
				p.bind = xds.Wildcard
			}
		}
		if l.Tls != nil {
			if p.tls = b.ingressTLS(sc, i, port, l.Tls); p.tls != nil {
				p.protocol = p.protocol.Terminated()
			}
		}
		out = append(out, p)
	}
	return out
}

// ingressTLS returns the settings where they can have effect: mutual TLS of the mesh must be off on the port.
func (b *inbound) ingressTLS(sc *mesh.Sidecar, index int, port uint32, t *sidecarTLS) *sidecarTLS {
	if b.in.ModeFor(port) == mesh.Disable {
		return t
	}
	b.diags.Add(sc.Object.Finding(diag.Error, CodeIneffectiveIngressTLS,
		fmt.Sprintf("tls of ingress listener %d has no effect, because the mesh's own mutual TLS is on for the port", port),
		fmt.Sprintf("set portLevelMtls %d to DISABLE in a PeerAuthentication of the workload, or remove tls", port),
		"spec", "ingress", index, "tls"))
	return nil
}

// ingressKinds are the chains of an ingress listener with TLS of its own: TLS ends here, or passes through untouched.
func ingressKinds(f family, t *sidecarTLS) []kind {
	passthrough := t.Mode == networking.ServerTLSSettings_PASSTHROUGH
	return []kind{{transport: "tls", terminate: !passthrough, http: f == httpFamily && !passthrough}}
}
