package coverage

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Codes of findings about calls that fail whoever makes them.
const (
	codePlain     = "MESHC1277" // plain HTTP to a port that speaks TLS
	codeTLSTwice  = "MESHC1278" // TLS inside TLS
	codeHandshake = "MESHC1279" // the rule of the client and that of the server exclude each other
)

// calls reports what fails for every request: what a route or rule makes of a call, and what the server takes, exclude each
// other. Each service port is asked once for each view of the services.
func (c *checker) calls() {
	servers := c.servers()
	views := map[*mesh.View]bool{}
	said := map[mark]bool{}
	for _, p := range c.proxies {
		view := p.Class.Scope.View()
		if views[view] {
			continue
		}
		views[view] = true
		for _, s := range view.Services {
			r := view.Rule(s)
			if r == nil {
				continue
			}
			for _, port := range s.Ports {
				c.call(r, s, port, "", servers, said)
				for _, ss := range r.Spec.Subsets {
					c.call(r, s, port, ss.Name, servers, said)
				}
			}
		}
	}
	c.plain()
}

// server is the workloads of one class behind a service port.
type server struct {
	class *mesh.Class
	port  uint32 // of the workload
}

type portKey struct {
	host string
	port uint32
}

// servers are the classes of declared workloads behind each service port.
func (c *checker) servers() map[portKey][]server {
	out := map[portKey][]server{}
	for _, p := range c.all {
		if p.Class.Gateway || !declared(p.Class) {
			continue
		}
		for _, t := range p.Class.Inbound.Targets {
			k := portKey{t.Service.Hostname, t.Port.Number}
			out[k] = append(out[k], server{p.Class, t.TargetPort})
		}
	}
	return out
}

// call looks at what one layer of a rule makes of calls to a service port.
func (c *checker) call(r *mesh.DestinationRule, s *mesh.Service, port *mesh.Port, subset string, servers map[portKey][]server, said map[mark]bool) {
	mode := c.mesh.PolicyOf(r, port, subset).GetTls()
	if mode == nil {
		return
	}
	object, path := tlsPlace(r, port, subset)
	report := func(sev diag.Severity, code, message, help string) {
		if key := (mark{object.Ref(), schema.FieldPath(path...)}); !said[key] {
			said[key] = true
			c.findings.Add(object.Finding(sev, code, message, help, path...))
		}
	}
	if used := c.used[names.Outbound(port.Number, subset, s.Hostname)]; port.Protocol.IsTLS() && originates(mode.GetMode()) && used.tcp && !used.http && !c.elsewhere && slices.ContainsFunc(c.proxies, func(p Proxies) bool { return !p.Class.Gateway && declared(p.Class) }) {
		report(diag.Warning, codeTLSTwice, fmt.Sprintf("calls to port %d of %s are TLS already, as its protocol %s says, and tls mode %s puts them into TLS once more: the server does not understand them", port.Number, s.Hostname, port.Protocol, mode.GetMode()),
			"Leave tls out, or let applications speak HTTP to a port whose requests are routed here.")
	}
	list := slices.DeleteFunc(slices.Clone(servers[portKey{s.Hostname, port.Number}]), func(x server) bool { return !x.in(r, subset) })
	if len(list) == 0 {
		return
	}
	every := func(is func(server) bool) bool {
		return !slices.ContainsFunc(list, func(x server) bool { return !is(x) })
	}
	strict := func(x server) bool {
		return x.class.Inbound.ModeFor(x.port) == mesh.Strict && !c.bare(x.class)
	}
	switch what := fmt.Sprintf("port %d of %s", port.Number, s.Hostname); mode.GetMode() {
	case networking.ClientTLSSettings_DISABLE, networking.ClientTLSSettings_SIMPLE:
		if every(strict) {
			report(diag.Error, codeHandshake, fmt.Sprintf("every call to %s fails: tls mode %s shows no certificate of the mesh, and PeerAuthentication makes its workloads ask for one (STRICT)", what, mode.GetMode()),
				"Use ISTIO_MUTUAL or leave tls out, or make the port PERMISSIVE.")
		}
	case networking.ClientTLSSettings_ISTIO_MUTUAL:
		switch {
		case every(func(x server) bool { return c.bare(x.class) }):
			report(diag.Warning, codeHandshake, fmt.Sprintf("every call to %s fails: tls mode ISTIO_MUTUAL wants a proxy there, and none of its workloads has one", what), "Leave tls out, or inject proxies.")
		case every(func(x server) bool { return x.class.Inbound.ModeFor(x.port) == mesh.Disable }):
			report(diag.Error, codeHandshake, fmt.Sprintf("every call to %s fails: tls mode ISTIO_MUTUAL wants mutual TLS, and PeerAuthentication switches it off there (DISABLE)", what), "Leave tls out, or make the port PERMISSIVE.")
		}
	}
}

// in tells whether a workload of the server is in a subset.
func (x server) in(r *mesh.DestinationRule, subset string) bool {
	if subset == "" {
		return true
	}
	for _, ss := range r.Spec.Subsets {
		if ss.Name == subset {
			return slices.ContainsFunc(x.class.Workloads, func(w *mesh.Workload) bool { return endpoint.Subset(ss.Labels, w.Labels) })
		}
	}
	return false
}

// bare tells whether the source says that no workload of a class has a proxy of any kind.
func (c *checker) bare(k *mesh.Class) bool {
	return !slices.ContainsFunc(k.Workloads, func(w *mesh.Workload) bool {
		ns := c.mesh.Namespaces[w.Namespace]
		known := ns != nil && ns.Object != nil
		ambient := w.Labels[labelDataplane] == "ambient" || known && ns.Labels[labelDataplane] == "ambient"
		return ambient || w.HasProxy() || c.mesh.ServesGateway(w) || !known && !w.Observed && w.Injection != mesh.NotInjected
	})
}

const labelDataplane = "istio.io/dataplane-mode"

func originates(mode networking.ClientTLSSettings_TLSmode) bool {
	return mode == networking.ClientTLSSettings_SIMPLE || mode == networking.ClientTLSSettings_MUTUAL
}

// tlsPlace is where the tls in effect for a port and subset is written.
func tlsPlace(r *mesh.DestinationRule, port *mesh.Port, subset string) (*schema.Object, []any) {
	for i, ss := range r.Spec.Subsets {
		if subset != "" && ss.Name == subset {
			o := r.Subsets[i]
			if path := tlsIn(ss.GetTrafficPolicy(), port, "spec", "subsets", o.Index, "trafficPolicy"); path != nil {
				return o.Object, path
			}
		}
	}
	for _, o := range r.Objects {
		d, _ := o.Spec.(*networking.DestinationRule)
		if path := tlsIn(d.GetTrafficPolicy(), port, "spec", "trafficPolicy"); path != nil {
			return o, path
		}
	}
	return r.Object, []any{"spec"}
}

func tlsIn(p *networking.TrafficPolicy, port *mesh.Port, path ...any) []any {
	for i, pp := range p.GetPortLevelSettings() {
		if pp.GetPort().GetNumber() == port.Number && pp.Tls != nil {
			return append(path, "portLevelSettings", i, "tls")
		}
	}
	if p.GetTls() != nil {
		return append(path, "tls")
	}
	return nil
}

// plain reports http routes that send plain HTTP to a port which its service declares as TLS.
func (c *checker) plain() {
	tls := map[string]bool{}
	for cluster, u := range c.used {
		n, ok := names.ParseCluster(cluster)
		if s := c.services[n.Host]; ok && u.http && s != nil {
			if p := s.HasPort(n.Port); p != nil && p.Protocol.IsTLS() {
				tls[cluster] = true
			}
		}
	}
	if len(tls) == 0 {
		return
	}
	said := map[link]bool{}
	for _, p := range c.proxies {
		refs := slices.Clone(c.reads.list(p.Own))
		for _, g := range p.Shared {
			refs = append(refs, c.reads.group(g)...)
		}
		for _, r := range refs {
			if r.http && tls[r.cluster] {
				c.plainFrom(p.Class, r, said)
			}
		}
	}
}

func (c *checker) plainFrom(k *mesh.Class, r reference, said map[link]bool) {
	n, _ := names.ParseCluster(r.cluster)
	view := k.Scope.View()
	s := view.Service(n.Host)
	if s == nil {
		return
	}
	port := s.HasPort(n.Port)
	if port == nil || !port.Protocol.IsTLS() || originates(c.mesh.PolicyOf(view.Rule(s), port, n.Subset).GetTls().GetMode()) {
		return
	}
	for _, block := range blocksBehind(r) {
		at := c.destinationOf(block, n)
		if l := (link{block, r.cluster}); at != nil && !said[l] {
			said[l] = true
			d := at.object.Finding(diag.Warning, codePlain, fmt.Sprintf("requests go to port %d of %s in plain HTTP, and its protocol is %s: the server waits for TLS", n.Port, n.Host, port.Protocol),
				"Let a DestinationRule open TLS (tls mode SIMPLE), route to an HTTP port, or pass TLS through by a tls route.", at.path...)
			d.Related = []diag.Related{{Pos: s.Object.Pos("spec", "ports", port.Index), Object: s.Object.Ref(), Message: "the port"}}
			c.findings.Add(d)
		}
	}
}
