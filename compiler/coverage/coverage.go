// Package coverage asks, after lowering, what became of the input: each route block, match, subset, rule and import leaves
// a trace in what some proxy gets, and each cluster that a proxy's routes name is one that the proxy has. What left no
// trace, or leads nowhere, is reported with the reason.
//
// There is one mechanism. Resources carry the places they were made of; those of all proxies are gathered, and the mesh is
// walked for parts that are not among them. Only then the rules that decide (visibility, Sidecar, precedence, protocols,
// labels) are asked why, in the order in which they apply.
//
// Proxies that only stand in for workloads which the source does not hold count for gateways, and for everybody where the
// source holds no workload at all: configuration is often kept apart from what it configures.
package coverage

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/httpmatch"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// Proxies is one class of proxies with what it gets.
type Proxies struct {
	Class  *mesh.Class
	Shared []*xds.Group    // with other classes
	Own    []*xds.Resource // of this class alone
}

// Input is a mesh and what became of it.
type Input struct {
	Mesh    *mesh.Mesh
	Proxies []Proxies
	Known   diag.List // the findings so far: what they explain is not said twice

	// Elsewhere tells that documents which are left alone route requests, too: what they send where is not known.
	Elsewhere bool
}

// Check looks at all proxies of a mesh.
func Check(in Input) diag.List {
	m, all := in.Mesh, in.Proxies
	c := &checker{mesh: m, all: all, elsewhere: in.Elsewhere, known: map[diag.Ref][]said{}, read: map[*mesh.VirtualService][]*block{}, reads: newReader(), marks: map[mark]*trace{}, used: map[string]use{}, order: httpmatch.NewOrder(), services: map[string]*mesh.Service{}}
	for _, d := range in.Known {
		c.known[d.Object] = append(c.known[d.Object], said{d.Code, d.Field})
	}
	for _, p := range all {
		if c.counts(p.Class) {
			c.proxies = append(c.proxies, p)
		}
	}
	for _, s := range slices.Backward(m.Services) {
		c.services[s.Hostname] = s
	}
	c.gather()
	c.links()
	c.hosts()
	c.routes()
	c.rules()
	c.subsets()
	c.imports()
	c.shares()
	c.calls()
	c.probes()
	return c.findings
}

type checker struct {
	mesh     *mesh.Mesh
	all      []Proxies
	proxies  []Proxies                // that count
	services map[string]*mesh.Service // the first of a host
	known    map[diag.Ref][]said      // by object
	read     map[*mesh.VirtualService][]*block
	reads    *reader
	marks    map[mark]*trace
	used     map[string]use // clusters that any proxy names
	order    *httpmatch.Order
	findings diag.List

	elsewhere bool // requests are routed by what is not read
}

// said is a finding about an object.
type said struct{ code, field string }

// report adds a finding that may explain others.
func (c *checker) report(d diag.Diagnostic) {
	c.known[d.Object] = append(c.known[d.Object], said{d.Code, d.Field})
	c.findings.Add(d)
}

// said tells whether one of the codes has been reported at a field or within it.
func (c *checker) said(o diag.Ref, field string, codes ...string) bool {
	return slices.ContainsFunc(c.known[o], func(p said) bool { return slices.Contains(codes, p.code) && within(p.field, field) })
}

// within tells whether a field is another or a part of it.
func within(field, of string) bool {
	rest, ok := strings.CutPrefix(field, of)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// mark is a part of an object.
type mark struct {
	object diag.Ref
	field  string
}

// trace says in which proxies a part of an object left something.
type trace struct {
	sidecars bool
	gateways map[*mesh.Gateway]bool
}

// counts tells whether proxies are there, as far as the source can tell. Gateways are often installed by somebody else: one
// that no workload of the source serves is where its Gateway or a Service for it is, or in the root namespace.
func (c *checker) counts(k *mesh.Class) bool {
	if len(c.mesh.Workloads) == 0 || declared(k) {
		return true
	}
	return slices.ContainsFunc(served(k), func(g *mesh.Gateway) bool {
		if slices.ContainsFunc(c.all, func(p Proxies) bool { return declared(p.Class) && slices.Contains(served(p.Class), g) }) {
			return false
		}
		ns := k.Scope.Namespace
		return ns == g.Object.Namespace || ns == c.mesh.RootNamespace || slices.ContainsFunc(c.mesh.Services, func(s *mesh.Service) bool {
			return s.Namespace == ns && len(s.Selector) > 0 && endpoint.Subset(s.Selector, g.Spec.GetSelector())
		})
	})
}

// declared tells whether the source holds a workload of the class.
func declared(k *mesh.Class) bool {
	return slices.ContainsFunc(k.Workloads, func(w *mesh.Workload) bool { return !w.Implied })
}

// gather notes the places behind all resources of the proxies that count, and the clusters that any proxy names.
func (c *checker) gather() {
	done := map[*xds.Group]bool{}
	for _, p := range c.proxies {
		for _, g := range p.Shared {
			if !done[g] {
				done[g] = true
				c.note(g.Resources, nil)
			}
		}
		c.note(p.Own, served(p.Class))
	}
	for _, p := range c.all {
		for _, g := range p.Shared {
			c.use(c.reads.group(g))
		}
		c.use(c.reads.list(p.Own))
	}
}

// note marks the places behind resources: of sidecars, unless gateways are given.
func (c *checker) note(rs []*xds.Resource, gateways []*mesh.Gateway) {
	for _, r := range rs {
		for _, o := range r.Origins {
			c.mark(o.Object, o.Field, gateways)
			if block, _, ok := strings.Cut(o.Field, ".match["); ok {
				c.mark(o.Object, block, gateways)
			}
		}
	}
}

func (c *checker) mark(o diag.Ref, field string, gateways []*mesh.Gateway) {
	t := c.marks[mark{o, field}]
	if t == nil {
		t = &trace{}
		c.marks[mark{o, field}] = t
	}
	if gateways == nil {
		t.sidecars = true
		return
	}
	if t.gateways == nil {
		t.gateways = map[*mesh.Gateway]bool{}
	}
	for _, g := range gateways {
		t.gateways[g] = true
	}
}

// traced tells whether a part of an object is in any proxy.
func (c *checker) traced(o diag.Ref, field string) bool { return c.marks[mark{o, field}] != nil }

// served are the Gateways that the proxies of a class serve; nil for sidecars.
func served(k *mesh.Class) []*mesh.Gateway {
	if !k.Gateway {
		return nil
	}
	out := []*mesh.Gateway{}
	for _, ms := range k.Servers {
		for _, s := range ms.Servers {
			if !slices.Contains(out, s.Gateway) {
				out = append(out, s.Gateway)
			}
		}
	}
	return out
}
