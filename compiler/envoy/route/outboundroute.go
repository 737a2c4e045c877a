package route

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// tableInputs is everything that one route configuration of the outbound side depends on.
type tableInputs struct {
	OutboundInputs
	key       Key
	namespace string // of the caller, whose own services have one more name; "": none
}

// Outbound lowers the route configurations that the outbound listeners of proxies in a namespace ask for. Each is
// without virtual hosts, which are resources of their own. shared tells whether proxies in no namespace have the same.
func (r *Routes) Outbound(in *OutboundInputs, keys []Key, namespace string) (out []*xds.Resource, shared bool) {
	shared = true
	for _, k := range keys {
		if k.Listener == nil {
			continue
		}
		t := r.tables.Get(tableInputs{OutboundInputs: *in, key: k})
		if len(t.bareNames[namespace]) > 0 {
			t, shared = r.tables.Get(tableInputs{OutboundInputs: *in, key: k, namespace: namespace}), false
		}
		out = append(out, t.resources...)
	}
	return out, shared
}

// table builds a route configuration.
func (r *Routes) table(in tableInputs) (*routeTable, diag.List) {
	if in.namespace != "" {
		base := in
		base.namespace = ""
		if t := r.tables.Get(base).in(in.namespace); t != nil {
			return t, nil
		}
	}
	o := &outboundConfig{tableInputs: &in, routes: r, index: r.indexes.Get(in.key.Listener)}
	t := o.table()
	return t, o.diags
}

// hostIndex finds the VirtualServices that may speak for a service.
type hostIndex struct {
	listener *mesh.EgressListener
	exact    map[string][]*mesh.VirtualService // in precedence order
	wildcard map[string]*mesh.VirtualService   // "*.example.com": the first of them
	odd      bool                              // some wildcard does not end at a dot
	aliases  map[string][]string               // host -> ExternalName services that stand for it
	services map[string][]*mesh.Service        // by host
}

func newHostIndex(l *mesh.EgressListener) *hostIndex {
	x := &hostIndex{listener: l, exact: map[string][]*mesh.VirtualService{}, wildcard: map[string]*mesh.VirtualService{}, aliases: map[string][]string{}, services: map[string][]*mesh.Service{}}
	for _, svc := range l.Services {
		x.services[svc.Hostname] = append(x.services[svc.Hostname], svc)
	}
	for _, vs := range l.VirtualServices {
		for _, h := range vs.Spec.GetHosts() {
			if !strings.HasPrefix(h, "*") {
				x.exact[h] = append(x.exact[h], vs)
				continue
			}
			x.odd = x.odd || h != "*" && h[1] != '.'
			if x.wildcard[h] == nil {
				x.wildcard[h] = vs
			}
		}
	}
	target := map[string]string{}
	for _, svc := range l.Services {
		if svc.ExternalName != "" {
			target[svc.Hostname] = svc.ExternalName
		}
	}
	for _, host := range slices.Sorted(maps.Keys(target)) {
		end := target[host]
		for range target { // an alias of an alias; a circle ends with the count
			next, ok := target[end]
			if !ok {
				break
			}
			end = next
		}
		x.aliases[end] = append(x.aliases[end], host)
	}
	return x
}

// owner returns the VirtualService whose host is the most specific for a service: its name, or the longest wildcard.
func (x *hostIndex) owner(host string) *mesh.VirtualService {
	if vs := x.exact[host]; len(vs) > 0 {
		return vs[0]
	}
	return wildcardFor(host, x.wildcard, x.odd)
}

// wildcardFor finds the longest pattern above a host. A wildcard host has itself as the longest. odd: some patterns do
// not end at a dot, as *-canary.example.com.
func wildcardFor[T any](host string, patterns map[string]T, odd bool) (found T) {
	if len(patterns) == 0 {
		return
	}
	rest := strings.TrimPrefix(host, "*")
	for rest != "" {
		if odd || rest[0] == '.' {
			if v, ok := patterns["*"+rest]; ok {
				return v
			}
		}
		rest = rest[1:]
	}
	return patterns["*"]
}

// outboundConfig builds one route configuration.
type outboundConfig struct {
	*tableInputs
	routes *Routes
	index  *hostIndex
	diags  diag.List

	services map[string]*mesh.Service // that have the port, by host
	plans    []hostPlan
	done     map[string]bool // names of planned virtual hosts
}

// hostPlan is a virtual host before its domains are known.
type hostPlan struct {
	host   string
	svc    *mesh.Service // nil: only a VirtualService knows the host
	port   uint32
	object *schema.Object
	routes *routeSet
}

func (p hostPlan) name() string { return names.HostRoutes(bracket(p.host), p.port) }

// table plans and builds the configuration.
func (o *outboundConfig) table() *routeTable {
	o.collect()
	o.done = map[string]bool{}
	vss := o.index.listener.VirtualServices
	if o.key.Host != "" {
		vss = o.candidates(o.key.Host)
	}
	for _, vs := range vss {
		o.planVirtualService(vs)
	}
	for _, host := range slices.Sorted(maps.Keys(o.services)) {
		svc := o.services[host]
		if svc.Resolution == mesh.Alias {
			continue // its name belongs to what it stands for
		}
		for _, p := range o.httpPorts(svc) {
			o.plan(hostPlan{host: host, svc: svc, port: p.Number, object: svc.Object, routes: nil})
		}
	}
	return o.build()
}

// collect finds the services on the port.
func (o *outboundConfig) collect() {
	o.services = map[string]*mesh.Service{}
	list := o.key.Listener.Services
	if o.key.Host != "" {
		list = o.index.services[o.key.Host]
	}
	for _, svc := range list {
		if o.key.Port == 0 || slices.ContainsFunc(svc.Ports, func(p *mesh.Port) bool { return p.Number == o.key.Port }) {
			o.services[svc.Hostname] = svc
		}
	}
}

// candidates are the VirtualServices that may take over one service, the winner first.
func (o *outboundConfig) candidates(host string) []*mesh.VirtualService {
	if vs := o.index.exact[host]; len(vs) > 0 {
		return vs
	}
	if vs := o.index.owner(host); vs != nil {
		return []*mesh.VirtualService{vs}
	}
	return nil
}

// httpPorts are the ports of a service whose requests this configuration routes.
func (o *outboundConfig) httpPorts(svc *mesh.Service) []*mesh.Port {
	var out []*mesh.Port
	for _, p := range svc.Ports {
		if (p.Protocol.IsHTTP() || p.Protocol.IsAuto()) && (o.key.Port == 0 || p.Number == o.key.Port) {
			out = append(out, p)
		}
	}
	return out
}

// planVirtualService plans the hosts that a VirtualService takes over, port by port. Hosts without a service ride
// along on the ports of those with one; a VirtualService that knows no service at all lives on port 80.
func (o *outboundConfig) planVirtualService(vs *mesh.VirtualService) {
	services, hosts := o.split(vs)
	byPort := map[uint32][]*mesh.Service{}
	for _, svc := range services {
		for _, p := range o.httpPorts(svc) {
			byPort[p.Number] = append(byPort[p.Number], svc)
		}
	}
	if len(byPort) == 0 && o.key.Port == 80 {
		byPort[80] = nil
	}
	for _, port := range slices.Sorted(maps.Keys(byPort)) {
		rs := &routeScope{mesh: o.Mesh, view: o.View, proxy: o.Proxy, port: port, allPorts: o.key.Port == 0, holds: o.Holds.Has}
		set := o.routes.virtualServiceRoutes(rs, vs)
		if len(set.routes) == 0 {
			continue
		}
		if o.key.Host == "" {
			for _, h := range hosts {
				o.plan(hostPlan{host: h, port: port, object: vs.Object, routes: set})
			}
		}
		for _, svc := range byPort[port] {
			o.plan(hostPlan{host: svc.Hostname, svc: svc, port: port, object: vs.Object, routes: set})
		}
	}
}

// split sorts the hosts of a VirtualService into services on the port and the rest. A wildcard stands for all services
// below it which no VirtualService names more precisely, and for nothing else as soon as it overlaps with any service:
// also if none is left to it.
func (o *outboundConfig) split(vs *mesh.VirtualService) (services []*mesh.Service, others []string) {
	for _, h := range vs.Spec.GetHosts() {
		if !strings.HasPrefix(h, "*") {
			if svc := o.services[h]; svc != nil {
				services = append(services, svc)
			} else {
				others = append(others, h)
			}
			continue
		}
		overlaps := false
		for _, host := range slices.Sorted(maps.Keys(o.services)) {
			if hosts.Overlap(host, h) {
				overlaps = true
				if hosts.Within(host, h) && o.index.owner(host) == vs {
					services = append(services, o.services[host])
				}
			}
		}
		if !overlaps {
			others = append(others, h)
		}
	}
	return services, others
}

// plan adds a virtual host unless its name is taken: the first VirtualService for a host wins.
func (o *outboundConfig) plan(p hostPlan) {
	if n := p.name(); !o.done[n] {
		o.done[n] = true
		o.plans = append(o.plans, p)
	}
}

// build resolves the domains of all planned hosts and makes the resources.
func (o *outboundConfig) build() *routeTable {
	t := &routeTable{config: o, names: &domainSet{taken: map[string]bool{}, fqdns: map[string]bool{}}, bareNames: map[string][]int{}}
	t.resources = []*xds.Resource{o.routes.configurations.Get(configurationInputs{name: o.key.Name, ignorePort: o.key.Port != 0})}
	for _, p := range o.plans {
		if p.svc != nil {
			t.names.fqdns[p.host] = true
		}
	}
	if o.key.Port == 0 {
		// The plain names belong to port 80; the others are told apart by their port.
		slices.SortStableFunc(o.plans, func(a, b hostPlan) int { return cmp.Compare(b2i(a.port != 80), b2i(b.port != 80)) })
	}
	for i := range o.plans {
		p := &o.plans[i]
		h := tableHost{plan: p}
		all, short := o.domains(*p)
		if h.asked, h.domains = all, all; o.key.Host == "" {
			h.domains = t.names.take(all, short)
			t.indexBareNames(p, len(t.hosts))
		}
		if len(h.domains) == 0 {
			o.reportShadowed(*p)
		} else {
			if p.routes == nil {
				p.routes = o.serviceRoutes(p.svc, p.port)
			}
			h.resource = o.host(p.name(), h.domains, p.routes)
			t.resources = append(t.resources, h.resource)
		}
		t.hosts = append(t.hosts, h)
	}
	if o.key.Host == "" {
		t.resources = append(t.resources, o.catchAll())
	}
	slices.SortStableFunc(t.resources[1:], func(a, b *xds.Resource) int { return cmp.Compare(a.Name, b.Name) })
	return t
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// serviceRoutes are those of a service port that no VirtualService speaks for.
func (o *outboundConfig) serviceRoutes(svc *mesh.Service, port uint32) *routeSet {
	return o.routes.services.Get(serviceRouteInputs{mesh: o.Mesh, object: svc.Object, host: svc.Hostname, name: svc.Name, port: port, hash: serviceHash(o.View, svc, port)})
}

// domains are the names that a virtual host asks for, and which of them are short forms.
func (o *outboundConfig) domains(p hostPlan) (domains, short []string) {
	if o.key.Host != "" {
		return []string{"*"}, nil // the listener has one service: whoever comes means it
	}
	domains = []string{bracket(p.host)}
	if p.svc != nil {
		domains, short = serviceDomains(p.svc, o.index.aliases[p.host], o.namespace, o.Mesh.Domain)
	}
	if o.key.Port == 0 {
		domains = withPort(domains, p.port)
	}
	return domains, short
}

func (o *outboundConfig) host(name string, domains []string, set *routeSet) *xds.Resource {
	return o.routes.hosts.Get(hostInputs{config: o.key.Name, name: name, domains: o.routes.domains.Of(domains...), routes: set,
		attempts: !o.Proxy.GetProxyHeaders().GetAttemptCount().GetDisabled().GetValue()})
}

// catchAll answers for every other host. A Sidecar that chose the policy is its origin.
func (o *outboundConfig) catchAll() *xds.Resource {
	name, routes := catchAllHost(&o.OutboundInputs)
	return o.host(name, []string{"*"}, o.routes.catchAlls.Get(routes))
}

// reportShadowed reports a host all of whose names another virtual host has.
func (o *outboundConfig) reportShadowed(p hostPlan) {
	if p.object == nil {
		return
	}
	o.diags.Add(p.object.Finding(diag.Warning, codeShadowedHost, "requests to "+p.name()+" never reach this object: other hosts on the port have all of its names",
		"rename one of them, or narrow exportTo or a Sidecar so that callers see only one", "metadata", "name"))
}
