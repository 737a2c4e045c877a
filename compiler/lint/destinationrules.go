package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// destinationRules: subsets that have endpoints, and TLS that knows whom it talks to.
func (l *linter) destinationRules() {
	services := map[string]*mesh.Service{}
	for _, s := range l.m.Services {
		if services[s.Hostname] == nil {
			services[s.Hostname] = s
		}
	}
	for _, r := range l.m.DestinationRules {
		if s := services[r.Spec.Host]; s != nil && s.Kubernetes && len(s.Selector) > 0 {
			l.subsets(r, s)
		}
	}
	for _, o := range l.objects {
		d, ok := o.Spec.(*networking.DestinationRule)
		if !ok {
			continue
		}
		p := d.GetTrafficPolicy()
		if l.unverified(d, p.GetTls()) {
			l.add(o, diag.Warning, "IST0128", noCA(d, p.GetTls()), helpCA, "spec", "trafficPolicy", "tls")
		}
		for i, pp := range p.GetPortLevelSettings() {
			if l.unverified(d, pp.GetTls()) {
				l.add(o, diag.Warning, "IST0129", noCA(d, pp.GetTls())+fmt.Sprintf(" on port %d", pp.GetPort().GetNumber()), helpCA, "spec", "trafficPolicy", "portLevelSettings", i, "tls")
			}
		}
	}
}

const helpCA = "Set caCertificates, or credentialName or caCertCredentialName with a workloadSelector."

func noCA(d *networking.DestinationRule, t *networking.ClientTLSSettings) string {
	return fmt.Sprintf("TLS mode %s without caCertificates: whoever answers for %s is held for it, unless the proxy's own roots refuse", t.GetMode(), d.GetHost())
}

// unverified tells whether TLS settings name no roots to hold the server's certificate against.
func (l *linter) unverified(d *networking.DestinationRule, t *networking.ClientTLSSettings) bool {
	switch t.GetMode() {
	case networking.ClientTLSSettings_SIMPLE, networking.ClientTLSSettings_MUTUAL:
		named := cmp.Or(t.GetCaCertCredentialName(), t.GetCredentialName())
		return t.GetCaCertificates() == "" && !strings.HasPrefix(named, "configmap://") && (named == "" || d.GetWorkloadSelector() == nil)
	}
	return false
}

// subsets reports those that no workload of the source has the labels of. Labels of nodes are not known of every pod.
func (l *linter) subsets(r *mesh.DestinationRule, s *mesh.Service) {
	for i, ss := range r.Spec.Subsets {
		labels := map[string]string{}
		for k, v := range ss.GetLabels() {
			if !strings.HasPrefix(k, "topology.") && !strings.HasPrefix(k, "kubernetes.io/") && k != "istio-locality" {
				labels[k] = v
			}
		}
		if len(ss.GetLabels()) == 0 || l.someone(s, labels) {
			continue
		}
		at := r.Subsets[i]
		l.add(at.Object, diag.Warning, "IST0173", fmt.Sprintf("subset %s selects no workload of %s (%s): requests that are routed to it get 503", ss.GetName(), s.Hostname, text(ss.GetLabels())),
			"Correct the labels, or add the workload to the source.", "spec", "subsets", at.Index)
	}
}

func (l *linter) someone(s *mesh.Service, labels map[string]string) bool {
	for _, w := range l.byNamespace[s.Namespace] {
		if endpoint.Subset(s.Selector, w.Labels) && endpoint.Subset(labels, w.Labels) {
			return true
		}
	}
	for _, p := range s.Ports {
		for _, e := range p.Endpoints {
			if endpoint.Subset(labels, e.Labels) {
				return true
			}
		}
	}
	return false
}

// gatewayPorts: what a gateway listens on, its Service offers.
func (l *linter) gatewayPorts() {
	for _, g := range l.m.Gateways {
		if g.Object.Kind != "Gateway" || len(g.Spec.Selector) == 0 {
			continue
		}
		offered := l.offered(g)
		for i, s := range g.Spec.Servers {
			if n := s.GetPort().GetNumber(); offered != nil && n != 0 && !offered[n] {
				l.add(g.Object, diag.Warning, "IST0162", fmt.Sprintf("port %d is no port of the Services before the gateway (%s): clients cannot reach it through them", n, text(g.Spec.Selector)),
					"Add the port to the Service, or use one it has.", "spec", "servers", i, "port", "number")
			}
		}
	}
}

// offered returns the ports of the Services before a gateway, on either side; nil when there is no such Service.
func (l *linter) offered(g *mesh.Gateway) map[uint32]bool {
	var out map[uint32]bool
	proxies := l.gatewayProxies(g.Spec.Selector)
	for _, s := range l.m.Services {
		if !s.Kubernetes || len(s.Selector) == 0 {
			continue
		}
		for _, w := range proxies {
			if w.Namespace != s.Namespace || !endpoint.Subset(s.Selector, w.Labels) {
				continue
			}
			if out == nil {
				out = map[uint32]bool{}
			}
			for _, p := range s.Ports {
				out[p.Number], out[p.TargetPort] = true, true
			}
			break
		}
	}
	if len(proxies) == 0 && defaultGateway(g.Spec.Selector) {
		out = map[uint32]bool{80: true, 443: true, 8080: true, 8443: true, 15021: true, 15443: true, 31400: true}
		for _, s := range l.m.Services { // those that somebody put before it, too
			if s.Kubernetes && len(s.Selector) > 0 && endpoint.Subset(s.Selector, g.Spec.Selector) {
				for _, p := range s.Ports {
					out[p.Number], out[p.TargetPort] = true, true
				}
			}
		}
	}
	return out
}

// certified is a server with the certificate that it shows.
type certified struct {
	gateway *mesh.Gateway
	index   int
	port    uint32
	bind    string
}

// gatewayCertificates: browsers reuse a connection for every host of its certificate, and then ask the wrong server.
func (l *linter) gatewayCertificates() {
	byCertificate := map[string][]certified{}
	for _, g := range l.m.Gateways {
		if g.Object.Kind != "Gateway" {
			continue
		}
		for i, s := range g.Spec.Servers {
			if key := cmp.Or(s.GetTls().GetCredentialName(), s.GetTls().GetServerCertificate()); key != "" {
				byCertificate[key] = append(byCertificate[key], certified{g, i, s.GetPort().GetNumber(), s.GetBind()})
			}
		}
	}
	for _, key := range sorted(byCertificate) {
		said := map[*mesh.Gateway]bool{}
		for at, s := range byCertificate[key] {
			others := []*schema.Object{s.gateway.Object}
			twice := false
			for i, o := range byCertificate[key] {
				switch {
				case o.gateway == s.gateway:
					twice = twice || i < at && o.port == s.port && o.bind == s.bind
				case endpoint.Subset(s.gateway.Spec.Selector, o.gateway.Spec.Selector) && !slices.Contains(others, o.gateway.Object):
					others = append(others, o.gateway.Object)
				}
			}
			const outcome = ": a client that reuses an HTTP/2 connection for another host gets 404"
			if len(others) > 1 && !said[s.gateway] {
				said[s.gateway] = true
				l.add(s.gateway.Object, diag.Warning, "IST0138", fmt.Sprintf("certificate %s is served by several Gateways on one workload (%s)", key, objectNames(others))+outcome,
					"Serve the hosts of one certificate by one server of one Gateway.", "spec", "servers")
			}
			if twice {
				l.add(s.gateway.Object, diag.Warning, "IST0138", fmt.Sprintf("certificate %s is served by another server of port %d, too", key, s.port)+outcome,
					"Serve the hosts of one certificate by one server.", "spec", "servers", s.index, "tls")
			}
		}
	}
}
