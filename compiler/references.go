package compiler

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
)

// codeUnresolved is for a name in a proxy's configuration that stands for nothing which the proxy gets.
const codeUnresolved = "MESHC1492"

// unresolved finds the references that lead nowhere: names in what a class of proxies gets, of what it does not get. What
// scopes share is looked at once. What was said before of broken links in the source is not said again.
func (out *loweredSets) unresolved(said diag.List) diag.List {
	groups := map[*xds.Group]*inventory{}
	shared := map[*mesh.Scope][]*inventory{}
	open := map[*mesh.Scope][]use{}
	for s, gs := range out.scopes {
		for _, g := range gs {
			if groups[g] == nil {
				groups[g] = out.inventory(g.Resources)
			}
			shared[s] = append(shared[s], groups[g])
		}
		for _, i := range shared[s] {
			open[s] = append(open[s], missing(i.uses, shared[s]...)...)
		}
	}
	lost := map[use][]*mesh.Class{}
	for c, rs := range out.classes {
		own := out.inventory(rs)
		for _, u := range append(missing(open[c.Scope], own), missing(own.uses, append(shared[c.Scope], own)...)...) {
			if lives(c) && u.called(c) && out.linked(u, c) {
				lost[u] = append(lost[u], c)
			}
		}
	}
	return out.lostFindings(lost, said)
}

// lives tells whether there are proxies of a class. Where a namespace has no workload in the source, nobody knows. A gateway
// that is implied by a selector stands for one that the source lacks, and for none if a declared workload has its labels.
func lives(c *mesh.Class) bool {
	if slices.ContainsFunc(c.Workloads, func(w *mesh.Workload) bool { return !w.Implied }) {
		return true
	}
	return c.Gateway && !slices.ContainsFunc(c.Scope.Mesh.Workloads, func(w *mesh.Workload) bool {
		return !w.Implied && endpoint.Subset(c.Workload().Labels, w.Labels)
	})
}

// called tells whether anybody means to call what a use is for: a virtual host of a service is called on the ports that the
// service has.
func (u use) called(c *mesh.Class) bool {
	if u.resource.Type != xds.VirtualHost || c.Gateway {
		return true
	}
	_, name := names.ParseVirtualHost(u.resource.Name)
	host, text, err := net.SplitHostPort(name)
	if err != nil {
		return true
	}
	port, err := strconv.ParseUint(text, 10, 16)
	svc := c.Scope.View().Service(host)
	return err != nil || svc == nil || svc.HasPort(uint32(port)) != nil
}

// linked tells whether a use is a link that the source can have meant: a cluster of a host that no service has is a broken
// link, which is reported where the host is named, unless it came with a patch.
func (out *loweredSets) linked(u use, c *mesh.Class) bool {
	n, ok := names.ParseCluster(u.reference.Name)
	if u.reference.Kind != validate.ToCluster || !ok || n.Inbound || len(patches(u.resource)) > 0 || len(out.removed[u.reference.Name]) > 0 {
		return true
	}
	return slices.ContainsFunc(c.Scope.Mesh.Services, func(s *mesh.Service) bool { return s.Hostname == n.Host })
}

// place is where a finding stands and what it is about.
type place struct {
	pos       diag.Pos
	field     string
	reference validate.Reference
}

// placeOf leaves the port out of a reference to a cluster: one destination may stand for a cluster on each.
func placeOf(d diag.Diagnostic, r validate.Reference) place {
	if c, ok := names.ParseCluster(r.Name); ok && r.Kind == validate.ToCluster && !c.Inbound {
		r.Name = names.Outbound(0, c.Subset, c.Host)
	}
	return place{d.Pos, d.Field, r}
}

// lostFindings makes the findings, one for each place and reference, however many resources and classes it is about.
func (out *loweredSets) lostFindings(lost map[use][]*mesh.Class, said diag.List) diag.List {
	pass := validate.New().Pass()
	at := map[place]diag.Diagnostic{}
	classes := map[place]map[string]bool{}
	var order []place
	for _, u := range slices.SortedFunc(maps.Keys(lost), compareUses) {
		slices.SortFunc(lost[u], func(a, b *mesh.Class) int { return cmp.Compare(a.ID, b.ID) })
		d := out.lostFinding(pass, u, lost[u][0])
		if saidBefore(d, said) {
			continue
		}
		p := placeOf(d, u.reference)
		if classes[p] == nil {
			order = append(order, p)
			at[p], classes[p] = d, map[string]bool{}
		}
		for _, c := range lost[u] {
			classes[p][c.ID] = true
		}
	}
	var findings diag.List
	for _, p := range order {
		d := at[p]
		if more := len(classes[p]) - 1; more > 0 {
			d.Message += fmt.Sprintf(", and so for %d more classes", more)
		}
		findings.Add(d)
	}
	return findings
}

func compareUses(a, b use) int {
	return cmp.Or(cmp.Compare(a.resource.Type, b.resource.Type), cmp.Compare(a.resource.Name, b.resource.Name), cmp.Compare(a.reference.Kind, b.reference.Kind),
		cmp.Compare(a.reference.Name, b.reference.Name))
}

// block is the part of a path that names one route of a VirtualService.
var block = regexp.MustCompile(`^spec\.(http|tcp|tls)\[\d+\]`)

// saidBefore tells whether a finding about the same route says already that its destination is not there.
func saidBefore(d diag.Diagnostic, said diag.List) bool {
	in := func(object diag.Ref, field string) bool {
		return slices.ContainsFunc(said, func(x diag.Diagnostic) bool {
			return saysLost(x.Code) && x.Object == object && (x.Field == field || strings.HasPrefix(x.Field, field+"."))
		})
	}
	return block.MatchString(d.Field) && in(d.Object, block.FindString(d.Field))
}

// saysLost tells whether findings with a code say of a destination that it is not there: no such host or subset, and no such
// port, named or of the listener.
func saysLost(code string) bool {
	return code == "IST0101" || code == "MESHC1210" || code == "MESHC1426"
}
