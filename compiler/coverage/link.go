package coverage

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// codeNothing is for what is named and is not there: for nobody, or not for the proxies that look for it.
const codeNothing = "IST0101"

// link is a cluster that a route block of a VirtualService leads to.
type link struct {
	block   mark
	cluster string
}

// lost is a link that some proxies cannot follow.
type lost struct {
	link
	without []*mesh.Class // who have the route and lack the cluster
	with    bool          // others have both
}

// links reports the destinations of routes that the proxies which carry them out do not know, whoever else does.
func (c *checker) links() {
	found := map[link]*lost{}
	var order []*lost
	gaps := map[[2]*xds.Group][]reference{}
	for _, p := range c.proxies {
		own := clusterNames(p.Own)
		for _, r := range c.missing(p, own, gaps) {
			for _, block := range blocksBehind(r) {
				l := link{block, r.cluster}
				if found[l] == nil {
					found[l] = &lost{link: l}
					order = append(order, found[l])
				}
				if !slices.Contains(found[l].without, p.Class) {
					found[l].without = append(found[l].without, p.Class)
				}
			}
		}
	}
	if len(found) == 0 {
		return
	}
	c.followed(found)
	for _, l := range order {
		c.lost(l)
	}
}

// missing are the references of proxies to clusters that they do not have. Pairs of groups are looked at once.
func (c *checker) missing(p Proxies, own map[string]bool, gaps map[[2]*xds.Group][]reference) (out []reference) {
	has := func(cluster string) bool {
		return own[cluster] || slices.ContainsFunc(p.Shared, func(g *xds.Group) bool { return c.reads.clustersOf(g)[cluster] })
	}
	if len(p.Shared) > 0 {
		clusters := p.Shared[0] // where the clusters of a scope are
		for _, g := range p.Shared[1:] {
			pair := [2]*xds.Group{clusters, g}
			gap, ok := gaps[pair]
			if !ok {
				for _, r := range c.reads.group(g) {
					if !c.reads.clustersOf(clusters)[r.cluster] {
						gap = append(gap, r)
					}
				}
				gaps[pair] = gap
			}
			for _, r := range gap {
				if !has(r.cluster) {
					out = append(out, r)
				}
			}
		}
	}
	for _, r := range c.reads.list(p.Own) {
		if !has(r.cluster) {
			out = append(out, r)
		}
	}
	return out
}

// followed notes which of the links other proxies can follow.
func (c *checker) followed(found map[link]*lost) {
	for _, p := range c.proxies {
		refs := c.reads.list(p.Own)
		for _, g := range p.Shared {
			refs = append(refs, c.reads.group(g)...)
		}
		for _, r := range refs {
			for _, block := range blocksBehind(r) {
				if l := found[link{block, r.cluster}]; l != nil && !slices.Contains(l.without, p.Class) {
					l.with = true
				}
			}
		}
	}
}

// blocksBehind are the route blocks of VirtualServices that a reference comes from.
func blocksBehind(r reference) (out []mark) {
	for _, o := range r.in.Origins {
		if o.At == r.part && o.Object.Kind == "VirtualService" {
			block, _, _ := strings.Cut(o.Field, ".match[")
			if m := (mark{o.Object, block}); !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}

// lost reports a link: an error where no proxy that has the route can follow it.
func (c *checker) lost(l *lost) {
	name, ok := names.ParseCluster(l.cluster)
	at := c.destinationOf(l.block, name)
	if ok && at != nil && at.written.GetPort().GetNumber() == 0 {
		if svc := l.without[0].Scope.View().Service(name.Host); svc != nil && svc.HasPort(name.Port) == nil {
			return // the route is also met on ports that its destination lacks, and that nobody means: MESHC1426 where somebody may
		}
	}
	if !ok || at == nil || c.said(at.object.Ref(), schema.FieldPath(at.path...), codeNothing, "MESHC1210") {
		return
	}
	severity, who := diag.Error, "every proxy that has this route answers"
	if l.with {
		severity = diag.Warning
		who = "proxies of " + namespacesOf(l.without) + " answer"
	}
	field, why, help, related := c.whyLost(name, l.without[0])
	d := at.object.Finding(severity, codeNothing, fmt.Sprintf("%s requests that come here with 503: %s", who, why), help, slices.Concat(at.path, field)...)
	d.Related = related
	c.findings.Add(d)
}

func namespacesOf(classes []*mesh.Class) string {
	var out []string
	for _, k := range classes {
		if ns := k.Scope.Namespace; !slices.Contains(out, ns) {
			out = append(out, ns)
		}
	}
	slices.Sort(out)
	if len(out) > 4 {
		return fmt.Sprintf("namespaces %s and %d more", strings.Join(out[:4], ", "), len(out)-4)
	}
	if len(out) == 1 {
		return "namespace " + out[0]
	}
	return "namespaces " + strings.Join(out, ", ")
}

// whyLost asks the rules in the order in which a destination is looked up: the service, its port, its subset.
func (c *checker) whyLost(name names.Cluster, k *mesh.Class) (field []any, why, help string, related []diag.Related) {
	view := k.Scope.View()
	svc := view.Service(name.Host)
	switch {
	case svc == nil:
		field, help = []any{"host"}, "Export the service to that namespace, or let the route be seen only where the service is."
		why = "the service " + name.Host + " is not among those that namespace " + k.Scope.Namespace + " sees"
		for _, s := range c.mesh.Services {
			if s.Hostname == name.Host && !s.Visibility.In(k.Scope.Namespace) {
				why = "the service " + name.Host + " is not exported to namespace " + k.Scope.Namespace
				related = []diag.Related{{Pos: s.Object.Pos("metadata", "name"), Object: s.Object.Ref(), Message: "the service"}}
			}
		}
	case svc.HasPort(name.Port) == nil:
		field, help = []any{"port", "number"}, "Name a port that the service has."
		why = fmt.Sprintf("the service %s, as namespace %s sees it, has no port %d", name.Host, k.Scope.Namespace, name.Port)
	case name.Subset == "":
		field, why, help = []any{"host"}, "the service "+name.Host+" has no cluster: nothing says where its endpoints are", "Give the ServiceEntry endpoints, or a host that can be looked up."
	default:
		field = []any{"subset"}
		why, help, related = c.whySubset(name, k, svc)
	}
	return field, why, help, related
}

// whySubset says why a subset is not there for the callers of a class though some rule defines it.
func (c *checker) whySubset(name names.Cluster, k *mesh.Class, svc *mesh.Service) (why, help string, related []diag.Related) {
	ns := k.Scope.Namespace
	why, help = "no DestinationRule in effect there defines the subset "+name.Subset, "Define the subset in the rule that is in effect."
	if r := k.Scope.View().Rule(svc); r != nil {
		why = fmt.Sprintf("%s is in effect for callers of namespace %s, and has no subset %s", r.Object.Ref(), ns, name.Subset)
		related = append(related, diag.Related{Pos: r.Object.Pos("spec", "host"), Object: r.Object.Ref(), Message: "the rule in effect"})
	}
	for _, r := range c.mesh.DestinationRules {
		i := slices.IndexFunc(r.Spec.Subsets, func(s *networking.Subset) bool { return s.Name == name.Subset })
		if i < 0 || !hosts.Within(svc.Hostname, r.Spec.Host) {
			continue
		}
		o := r.Subsets[i]
		related = append(related, diag.Related{Pos: o.Object.Pos("spec", "subsets", o.Index), Object: o.Object.Ref(), Message: "defines the subset"})
		owner := r.Object.Namespace
		switch {
		case len(related) > 1: // another rule is in effect
		case r.Spec.WorkloadSelector != nil:
			why, help = o.Object.Ref().String()+" defines the subset for workloads with other labels", "Widen its workloadSelector."
		case owner != ns && owner != svc.Namespace && owner != c.mesh.RootNamespace:
			why = fmt.Sprintf("%s defines the subset, but callers look for rules in their own namespace, that of the service (%s) and the root namespace (%s) only", o.Object.Ref(), svc.Namespace, c.mesh.RootNamespace)
			help = "Move the DestinationRule to namespace " + svc.Namespace + "."
		case !r.Visibility.In(ns):
			why, help = o.Object.Ref().String()+" defines the subset and is not exported to namespace "+ns, "Export it to that namespace, or keep the VirtualService from it with exportTo."
		}
	}
	return why, help, related
}

// destination is where a VirtualService names a cluster.
type destination struct {
	object  *schema.Object
	path    []any
	written *networking.Destination
}

// destinationOf finds the destination of a block that became a cluster; nil where none has its host and subset.
func (c *checker) destinationOf(block mark, name names.Cluster) *destination {
	for _, v := range c.mesh.VirtualServices {
		for _, b := range c.blocks(v) {
			if b.object.Ref() != block.object || b.field() != block.field {
				continue
			}
			for _, d := range b.destinations {
				if d.written.GetSubset() == name.Subset && (d.written.GetHost() == name.Host || c.aliased(d.written.GetHost(), name.Host)) &&
					(d.written.GetPort().GetNumber() == 0 || d.written.GetPort().GetNumber() == name.Port) {
					return &d
				}
			}
		}
	}
	return nil
}

func (c *checker) aliased(host, to string) bool {
	return slices.ContainsFunc(c.mesh.Services, func(s *mesh.Service) bool { return s.Hostname == host && s.ExternalName == to })
}
