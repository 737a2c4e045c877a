package mesh

import (
	"cmp"
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/suggest"
	"github.com/meshc/meshc/schema"
)

// check reports every reference that leads nowhere.
func (m *Mesh) check() diag.List {
	var c checker
	c.m = m
	for _, v := range m.VirtualServices {
		c.virtualService(v)
	}
	c.hostConflicts()
	for _, r := range m.DestinationRules {
		c.destinationRule(r)
	}
	for _, g := range m.Gateways {
		c.gateway(g)
	}
	for _, p := range m.AuthorizationPolicies {
		c.targetRefs(p.Object, "this policy protects nothing")
		c.policyPorts(p)
	}
	for _, p := range m.RequestAuthentications {
		c.targetRefs(p.Object, "this policy checks nothing")
	}
	for _, p := range m.PeerAuthentications {
		c.portModes(p)
	}
	for _, t := range m.Telemetries {
		c.targetRefs(t.Object, "this object has no effect")
	}
	c.namedEntries()
	c.unaddressed()
	return c.findings
}

// namedEntries reports WorkloadEntries that a service selects and leaves out, as they have no IP address.
func (c *checker) namedEntries() {
	type pair struct{ entry, service *schema.Object }
	seen := map[pair]bool{}
	for _, s := range c.m.Services {
		if len(s.Selector) == 0 || s.Resolution == Passthrough {
			continue
		}
		for _, w := range c.m.index.entries.Matching(s.Namespace, s.Selector) {
			at := pair{w.Object, s.Object}
			if e := w.Object.Spec.(*networking.WorkloadEntry); !s.takes(e) && !seen[at] {
				seen[at] = true
				c.findings.Add(w.Object.Finding(diag.Warning, "MESHC1242", s.Object.Ref().String()+" selects this workload and leaves it out: "+e.Address+" is no IP address, and only a ServiceEntry of resolution DNS takes others", "write the IP address, or set resolution: DNS", "spec", "address"))
			}
		}
	}
}

// targetRefs reports an object that attaches to what a bundle never has.
func (c *checker) targetRefs(o *schema.Object, outcome string) {
	field := attachmentOf(o).Targets
	if field == "" {
		return
	}
	c.findings.Add(o.Finding(diag.Error, "MESHC1221", field+" reaches only waypoints and Gateway API gateways, which a bundle has none of: "+outcome, "use a selector", "spec", field))
}

type checker struct {
	m        *Mesh
	findings diag.List
}

func (c *checker) virtualService(v *VirtualService) {
	o := v.Object
	raw, _ := o.Spec.(*networking.VirtualService)
	for i, g := range v.Spec.Gateways {
		if g != "mesh" && !c.m.gatewayExists(g) {
			path := []any{"spec", "gateways", i}
			if len(raw.GetGateways()) == 0 {
				path = []any{"spec"}
			}
			c.findings.Add(o.Finding(diag.Error, "IST0101", "the Gateway "+g+" does not exist", cmp.Or(c.m.gatewayHint(g), "create it, or correct the name; it has to be a Gateway of networking.istio.io, since those of the Gateway API are not compiled"), path...))
		}
	}
	for i, h := range v.Spec.Http {
		at := v.HTTP[i]
		for j, r := range h.Route {
			c.destination(at.Object, v, r.Destination, "spec", "http", at.Index, "route", j, "destination")
		}
		if h.Mirror != nil {
			c.destination(at.Object, v, h.Mirror, "spec", "http", at.Index, "mirror")
		}
		for j, x := range h.Mirrors {
			c.destination(at.Object, v, x.Destination, "spec", "http", at.Index, "mirrors", j, "destination")
		}
		for j, x := range h.Match {
			c.matchGateways(v, at.Object, x.Gateways, "spec", "http", at.Index, "match", j, "gateways")
		}
	}
	for i, t := range v.Spec.Tcp {
		for j, r := range t.Route {
			c.destination(o, v, r.Destination, "spec", "tcp", i, "route", j, "destination")
		}
		for j, x := range t.Match {
			c.matchGateways(v, o, x.Gateways, "spec", "tcp", i, "match", j, "gateways")
		}
	}
	for i, t := range v.Spec.Tls {
		for j, r := range t.Route {
			c.destination(o, v, r.Destination, "spec", "tls", i, "route", j, "destination")
		}
		for j, x := range t.Match {
			c.matchGateways(v, o, x.Gateways, "spec", "tls", i, "match", j, "gateways")
		}
	}
}

func (c *checker) matchGateways(v *VirtualService, o *schema.Object, names []string, path ...any) {
	for i, g := range names {
		if !slices.Contains(v.Spec.Gateways, g) {
			c.findings.Add(o.Finding(diag.Error, "MESHC1234", "this match names gateway "+g+", to which the VirtualService is not bound: it can never hold", cmp.Or(suggest.Ask(suggest.Parts(g, "/", v.Spec.Gateways)), "add the gateway to spec.gateways"), append(slices.Clone(path), i)...))
		}
	}
}

// destination asks whether anybody has what a destination names. Whether the proxies that carry out the route see it is
// asked when these are known.
func (c *checker) destination(o *schema.Object, v *VirtualService, d *networking.Destination, path ...any) {
	at := func(last string) []any { return append(slices.Clone(path), last) }
	lost := lostAt(path)
	list := c.m.index.services[d.GetHost()]
	if len(list) == 0 {
		c.findings.Add(o.Finding(diag.Error, "IST0101", "no Service or ServiceEntry has the host "+d.GetHost()+": "+lost, cmp.Or(c.m.hostHint(o.Namespace, d.GetHost()), "create it, or correct the host (a short name means a service of namespace "+o.Namespace+"); what only a cluster has counts by --observed FILE, or --kubernetes of serve --compile"), at("host")...))
		return
	}
	svc := list[0]
	if i := slices.IndexFunc(list, func(s *Service) bool { return s.Visibility.In(v.Object.Namespace) }); i >= 0 {
		svc = list[i]
	}
	if n := d.GetPort().GetNumber(); n != 0 && svc.HasPort(n) == nil {
		c.findings.Add(o.Finding(diag.Error, "MESHC1210", fmt.Sprintf("service %s has no port %d: %s", d.Host, n, lost), portHint(svc), append(at("port"), "number")...))
	}
	if d.GetPort().GetNumber() == 0 && len(svc.Ports) > 1 && !slices.Contains(v.Spec.Gateways, "mesh") {
		c.findings.Add(o.Finding(diag.Warning, "IST0112", fmt.Sprintf("service %s has %d ports and the destination names none: the port of the gateway is used", d.Host, len(svc.Ports)), "add port.number", at("host")...))
	}
	if d.GetSubset() != "" && !c.subsetExists(svc, d.Subset) {
		c.findings.Add(o.Finding(diag.Error, "IST0101", "no DestinationRule for "+d.Host+" defines the subset "+d.Subset+": "+lost, cmp.Or(c.m.subsetHint(svc, d.Subset), "define the subset, or correct its name"), at("subset")...))
	}
}

// lostAt says what becomes of what a destination that does not exist would get, by its place in a VirtualService.
func lostAt(path []any) string {
	switch {
	case path[1] != "http":
		return "connections would be closed"
	case path[3] == "mirror" || path[3] == "mirrors":
		return "the copies would go nowhere"
	}
	return "requests would get 503"
}

func (c *checker) subsetExists(svc *Service, name string) bool {
	for _, r := range c.m.DestinationRules {
		if hosts.Within(svc.Hostname, r.Spec.Host) && slices.ContainsFunc(r.Spec.Subsets, func(s *networking.Subset) bool { return s.Name == name }) {
			return true
		}
	}
	return false
}

func (c *checker) destinationRule(r *DestinationRule) {
	for _, s := range c.m.Services {
		if hosts.Within(s.Hostname, r.Spec.Host) {
			return
		}
	}
	for _, o := range r.Objects {
		c.findings.Add(o.Finding(diag.Error, "IST0174", "no Service or ServiceEntry has the host "+r.Spec.Host+": this rule has no effect", cmp.Or(c.m.hostHint(o.Namespace, r.Spec.Host), "create the service, or correct the host (a short name means a service of namespace "+o.Namespace+")"), "spec", "host"))
	}
}

func (c *checker) gateway(g *Gateway) {
	if len(g.Spec.Selector) == 0 || labelKey(g.Spec.Selector) == "istio=ingressgateway" {
		return // the second is the gateway that an installation of Istio brings
	}
	for _, w := range c.m.Workloads {
		if endpoint.Subset(g.Spec.Selector, w.Labels) {
			return
		}
	}
	for _, s := range c.m.Services {
		if len(s.Selector) > 0 && endpoint.Subset(g.Spec.Selector, s.Selector) {
			return
		}
	}
	c.findings.Add(g.Object.Finding(diag.Warning, "IST0101", "no workload of the source has the labels of the selector ("+labelKey(g.Spec.Selector)+")", "add the gateway's Deployment to the input, or correct the selector", "spec", "selector"))
}
