package route

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// routeTable is a route configuration as a scope in no namespace would have it, with what is needed to say how it
// differs in a namespace: the services of a namespace can be called by their bare names there. Everything else is the
// same for all scopes with one key.
type routeTable struct {
	config    *outboundConfig
	resources []*xds.Resource // the configuration, then its virtual hosts by name
	hosts     []tableHost     // parallel to config.plans
	names     *domainSet
	bareNames map[string][]int // positions in hosts of the services that a namespace calls by their bare names
}

type tableHost struct {
	plan     *hostPlan
	asked    []string // domains it would have if they were free
	domains  []string // domains it has
	resource *xds.Resource
}

// indexBareNames notes the namespaces in which a host has one more name.
func (t *routeTable) indexBareNames(p *hostPlan, at int) {
	if p.svc == nil {
		return
	}
	domain := t.config.Mesh.Domain
	add := func(host string) {
		if _, ns, ok := inCluster(host, domain); ok && !slices.Contains(t.bareNames[ns], at) {
			t.bareNames[ns] = append(t.bareNames[ns], at)
		}
	}
	add(p.svc.Hostname)
	for _, a := range t.config.index.aliases[p.host] {
		add(a)
	}
}

// in returns the configuration as a scope in the namespace has it; nil if it has to be built anew.
func (t *routeTable) in(namespace string) *routeTable {
	inputs := *t.config.tableInputs
	inputs.namespace = namespace
	own := *t.config
	own.tableInputs = &inputs
	out := slices.Clone(t.resources)
	extra := map[string]bool{}
	for _, i := range t.bareNames[namespace] {
		h := t.hosts[i]
		domains, ok := t.extend(&own, h, extra)
		if !ok { // a bare name is also the name of something else: who gets it depends on all of them
			return nil
		}
		at, _ := slices.BinarySearchFunc(out[1:], h.resource.Name, func(r *xds.Resource, name string) int { return strings.Compare(r.Name, name) })
		out[at+1] = own.host(h.plan.name(), domains, h.plan.routes)
	}
	return &routeTable{resources: out}
}

// extend adds the names that a host has in the namespace of own only. It fails if one of them is taken.
func (t *routeTable) extend(own *outboundConfig, h tableHost, extra map[string]bool) ([]string, bool) {
	if h.resource == nil {
		return nil, false
	}
	asked, _ := own.domains(*h.plan)
	out := make([]string, 0, len(asked))
	for _, name := range asked {
		if slices.Contains(h.asked, name) {
			if slices.Contains(h.domains, name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
			continue
		}
		key := strings.ToLower(name)
		if t.names.taken[key] || t.names.fqdns[name] || extra[key] {
			return nil, false
		}
		extra[key] = true
		out = append(out, name)
	}
	return out, true
}
