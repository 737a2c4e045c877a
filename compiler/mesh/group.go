package mesh

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/diag"
)

// member is a workload as one kind of proxy.
type member struct {
	*Workload
	gateway bool
	facts   facts
}

// members are all proxies: a workload whose pods have a gateway beside a sidecar is two.
func (m *Mesh) members(workloads []*Workload) (out []*member) {
	table := newFactTable(m)
	for _, w := range workloads {
		gateway := m.ServesGateway(w)
		if gateway {
			out = append(out, &member{w, true, table.of(w, true)})
		}
		if !gateway || w.Injected || w.Implied {
			out = append(out, &member{w, false, table.of(w, false)})
		}
	}
	return out
}

func (w *member) observed() bool { _, ok := w.Object.Spec.(*corev1.Pod); return ok }

// group is the members of one kind and namespace that the same selectors match.
type group struct {
	gateway   bool
	signature []string
	members   []*member
	facts     facts // of those that count
}

// groups sorts members by what selectors tell of them.
func (s *selectorSet) groups(members []*member) (out []*group) {
	byKey := map[string]*group{}
	for _, w := range members {
		signature := s.match(w.Workload)
		key := strconv.FormatBool(w.gateway) + "|" + w.Namespace + "|" + strings.Join(signature, ";")
		g := byKey[key]
		if g == nil {
			g = &group{gateway: w.gateway, signature: signature}
			byKey[key] = g
		}
		g.members = append(g.members, w)
	}
	for _, key := range sortedKeys(byKey) {
		g := byKey[key]
		slices.SortStableFunc(g.members, func(a, b *member) int { return boolOrder(b.observed(), a.observed()) })
		out = append(out, g)
	}
	return out
}

func (g *group) workloads() (out []*Workload) {
	for _, w := range g.members {
		out = append(out, w.Workload)
	}
	return out
}

// agree groups members so that those of a group agree in the facts. Where members that the selectors of the mesh do not
// tell apart differ, it adds selectors by their labels, or else their addresses; and what nothing tells apart is reported.
func (s *selectorSet) agree(members []*member) ([]*group, diag.List) {
	for {
		groups, more := s.groups(members), false
		var findings diag.List
		for _, g := range groups {
			parts := g.parts()
			if g.facts = parts[0].facts; len(parts) > 1 {
				more = s.part(parts) || more
				findings.Add(indistinct(parts)...)
			}
		}
		if !more {
			return groups, findings
		}
	}
}

// part is members that agree.
type part struct {
	facts   facts
	members []*member
}

// parts sorts the members of a group by their facts, the first member's first.
func (g *group) parts() (out []*part) {
	counting := g.counting()
	families := knownFamilies(counting)
	for _, w := range counting {
		f := w.facts
		if len(w.Addresses) == 0 && len(families) == 1 {
			f.families = families[0] // like those whose addresses are known
		}
		i := slices.IndexFunc(out, func(p *part) bool { return p.facts == f })
		if i < 0 {
			i = len(out)
			out = append(out, &part{facts: f})
		}
		out[i].members = append(out[i].members, w)
	}
	return out
}

// counting are the members that say what the group is like: those that are declared if any is, and of a template and its
// Pods, the Pods, since what runs decides where the two disagree.
func (g *group) counting() []*member {
	if out := slices.DeleteFunc(slices.Clone(g.members), func(w *member) bool { return w.Implied || g.hasPodsOf(w) }); len(out) > 0 {
		return out
	}
	return g.members
}

func (g *group) hasPodsOf(w *member) bool {
	return !w.observed() && slices.ContainsFunc(g.members, func(p *member) bool { return p.observed() && p.Name == w.Name })
}

func knownFamilies(members []*member) (out []families) {
	for _, w := range members {
		if len(w.Addresses) > 0 {
			out = appendNew(out, w.facts.families)
		}
	}
	return out
}

// part adds selectors that tell the parts from each other: by the labels that the members of each have in common, else by
// all that each member has, and where two have the same, by their addresses. It tells whether there are any more selectors.
func (s *selectorSet) part(parts []*part) bool {
	before := len(s.all)
	var common, all []map[string]string
	for _, p := range parts {
		common = append(common, p.common())
		for _, w := range p.members {
			all = append(all, withoutHash(w.Labels))
		}
	}
	namespace := parts[0].members[0].Namespace
	if !tellApart(parts, common) {
		common = all
	}
	for _, labels := range common {
		s.labels(namespace, labels)
	}
	if !tellApart(parts, all) {
		for _, p := range parts {
			for _, w := range p.members {
				for _, a := range w.Addresses {
					if _, err := netip.ParseAddr(a); err == nil { // no proxy announces a name
						s.address(namespace, a)
					}
				}
			}
		}
	}
	return len(s.all) > before
}

// common are the labels that all members have.
func (p *part) common() map[string]string {
	out := withoutHash(p.members[0].Labels)
	for _, w := range p.members[1:] {
		for k, v := range out {
			if have, ok := w.Labels[k]; !ok || have != v {
				delete(out, k)
			}
		}
	}
	return out
}

// tellApart tells whether some selectors match the members of no two parts alike.
func tellApart(parts []*part, selectors []map[string]string) bool {
	owner := map[string]*part{}
	for _, p := range parts {
		for _, w := range p.members {
			var b strings.Builder
			for _, labels := range selectors {
				b.WriteString(strconv.FormatBool(len(labels) > 0 && endpoint.Subset(labels, w.Labels)))
			}
			if have := owner[b.String()]; have != nil && have != p {
				return false
			}
			owner[b.String()] = p
		}
	}
	return true
}

// indistinct reports workloads that nothing tells from others, which need another configuration.
func indistinct(parts []*part) (out diag.List) {
	first := parts[0].members[0]
	for _, p := range parts[1:] {
		w := p.members[0]
		if w.Implied {
			continue
		}
		d := w.Object.Finding(diag.Error, "MESHC1251", "proxies of "+w.Object.Ref().String()+" cannot be told from those of "+first.Object.Ref().String()+", which have the same labels, but other "+
			strings.Join(differences(first.facts, w.facts), " and ")+": they get the configuration of the latter", "give the pods of each a label of their own", "metadata", "name")
		d.Related = []diag.Related{{Pos: first.Object.Pos("metadata", "name"), Object: first.Object.Ref(), Message: "whose configuration is used"}}
		out.Add(d)
	}
	return out
}

// differences names what two facts differ in.
func differences(a, b any) (out []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		f := x.Type().Field(i)
		switch {
		case x.Field(i).Equal(y.Field(i)):
		case f.Name == "scope":
			out = append(out, differences(a.(facts).scope, b.(facts).scope)...)
		default:
			out = appendNew(out, f.Tag.Get("is"))
		}
	}
	return out
}
