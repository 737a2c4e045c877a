package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/envoy/patch"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// claim is what only one resource of a proxy may have: its name, a domain in a route configuration, an address to listen at.
type claim struct{ what, of string }

// claims are the resources that have them.
type claims map[claim]*xds.Resource

// clash is two resources with one claim.
type clash struct {
	claim
	resource, other *xds.Resource
}

// clashes finds what the patches of EnvoyFilters make of the resources of a proxy together: two of one name, two with one domain
// or address, and those whose own name is no longer the one that they are asked for by. What is compiled without patches has
// names, domains and addresses that are settled when it is made.
func (out *loweredSets) clashes() diag.List {
	patched := map[*xds.Resource]bool{}
	var findings diag.List
	for _, r := range out.resources() {
		if patched[r] = len(patches(r)) > 0; patched[r] && !ownName(r) {
			findings.Add(clashFinding(r, "its name is changed, and what refers to it asks for "+r.Name, "Leave the name out of a value that is merged."))
		}
	}
	if !slices.ContainsFunc(out.resources(), func(r *xds.Resource) bool { return patched[r] }) {
		return nil
	}
	found := map[clash]bool{}
	shared := map[*mesh.Scope]claims{}
	for s, groups := range out.scopes {
		shared[s] = claims{}
		for _, g := range groups {
			shared[s].add(g.Resources, nil, patched, found)
		}
	}
	for c, rs := range out.classes {
		claims{}.add(rs, shared[c.Scope], patched, found)
	}
	said := map[string]bool{}
	list := make([]clash, 0, len(found))
	for c := range found {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b clash) int {
		return cmp.Or(cmp.Compare(a.resource.Type, b.resource.Type), cmp.Compare(a.resource.Name, b.resource.Name), cmp.Compare(a.what, b.what), cmp.Compare(a.of, b.of), cmp.Compare(a.other.Name, b.other.Name))
	})
	for _, c := range list {
		d := clashFinding(c.resource, fmt.Sprintf("another %s of the proxy, %s, has the %s %s, too", c.other.Type, c.other.Name, c.what, c.of), "Use another, or merge into what is there.")
		if key := d.Pos.String() + d.Message; !said[key] {
			said[key] = true
			findings.Add(d)
		}
	}
	return findings
}

// clashFinding is a finding at the last patch of a resource.
func clashFinding(r *xds.Resource, says, help string) diag.Diagnostic {
	d := diag.Diagnostic{Code: patch.CodePatchInvalid, Severity: diag.Error, Help: help}
	blame(&d, r, "", false)
	d.Message = "with the patches of EnvoyFilters Envoy would refuse the " + r.Type.String() + " " + r.Name + ": " + says
	return d
}

// add enters resources, and notes those whose claims others have, here or in outer, if a patch had a part in one of them. The
// same resource twice is no clash: a proxy gets it once.
func (in claims) add(rs []*xds.Resource, outer claims, patched map[*xds.Resource]bool, found map[clash]bool) {
	for _, r := range rs {
		for _, c := range claimsOf(r) {
			other := in[c]
			if other == nil {
				other = outer[c]
			}
			if in[c] = r; other == nil || other == r || proto.Equal(other.Message, r.Message) {
				continue
			}
			switch {
			case patched[r]:
				found[clash{c, r, other}] = true
			case patched[other]:
				found[clash{c, other, r}] = true
			}
		}
	}
}

func claimsOf(r *xds.Resource) []claim {
	out := []claim{{"name", r.Type.String() + " " + r.Name}}
	switch m := r.Message.(type) {
	case *routev3.VirtualHost:
		config := strings.TrimSuffix(r.Name, "/"+m.GetName())
		for _, d := range m.GetDomains() {
			out = append(out, claim{"domain", strings.ToLower(d) + " in " + config})
		}
	case *listenerv3.Listener:
		a := m.GetAddress().GetSocketAddress()
		if a.GetPortValue() != 0 {
			out = append(out, claim{"address", fmt.Sprintf("%s:%d/%s", a.GetAddress(), a.GetPortValue(), a.GetProtocol())})
		}
	}
	return out
}

// ownName tells whether a resource says of itself the name that it is asked for by.
func ownName(r *xds.Resource) bool {
	m, ok := r.Message.(interface{ GetName() string })
	if !ok {
		return true
	}
	if r.Type == xds.VirtualHost {
		return strings.HasSuffix(r.Name, "/"+m.GetName())
	}
	return m.GetName() == r.Name
}
