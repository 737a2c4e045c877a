package trace

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/urlpath"
)

// Tracer is a bundle, indexed for walks. Messages are parsed when a walk first needs them. It is not safe for concurrent
// use.
type Tracer struct {
	b         *bundle.Bundle
	views     map[string]*view
	shelves   map[*bundle.Set]*shelf
	parsed    map[*bundle.Resource]proto.Message
	byAddress map[netip.Addr][]*bundle.Workload
	late      bool
	whole     bool // what has no endpoints has none, even where its pods were not seen
}

// New indexes a bundle.
func New(b *bundle.Bundle) *Tracer {
	w := &Tracer{b: b, views: map[string]*view{}, shelves: map[*bundle.Set]*shelf{}, parsed: map[*bundle.Resource]proto.Message{}, byAddress: map[netip.Addr][]*bundle.Workload{}}
	for i := range b.Workloads {
		for _, a := range b.Workloads[i].Addresses {
			if ip, err := netip.ParseAddr(a); err == nil {
				w.byAddress[ip] = append(w.byAddress[ip], &b.Workloads[i])
			}
		}
	}
	w.late = !slices.ContainsFunc(b.Resources, func(r *bundle.Resource) bool {
		return r.Type == bundle.EndpointsType && r.Join != nil && len(r.Bytes) > len(r.Name)+8
	})
	return w
}

// Late tells whether the bundle has no endpoints of Kubernetes at all: they come when it is served. Where it has some, a service
// without any has nothing behind it.
func (w *Tracer) Late() bool { return w.late }

// Whole says that where the bundle has some endpoints of Kubernetes, it has those of every service.
func (w *Tracer) Whole() { w.whole = true }

// unseen tells whether no pod was seen of the workloads that a service selects, so that its endpoints may come when the bundle is
// served though those of others are in it.
func (w *Tracer) unseen(s *endpoint.Selector) bool {
	return !w.whole && !slices.ContainsFunc(w.b.Workloads, func(x bundle.Workload) bool {
		return len(x.Addresses) > 0 && x.Namespace == s.Namespace && endpoint.Subset(s.Workloads, x.Labels) && endpoint.Subset(s.Labels, x.Labels)
	})
}

// Observe says that the bundle is of a cluster as it was: a service without endpoints has none, even if no service has any.
func (w *Tracer) Observe() { w.late, w.whole = false, true }

// located is a message with the resource it came in.
type located[M proto.Message] struct {
	msg M
	res *bundle.Resource
}

// view is what the proxies of one class have.
type view struct {
	w         *Tracer
	class     *bundle.Class
	listeners []located[*listenerv3.Listener]
	at        map[socket][]*located[*listenerv3.Listener] // by address and port; nil: not yet known
	shelves   []*shelf
	seen      []*bundle.Service // see services
	tables    map[*routev3.RouteConfiguration]*hostTable
}

func (w *Tracer) view(class string) (*view, error) {
	if v := w.views[class]; v != nil {
		return v, nil
	}
	c := w.b.Class(class)
	if c == nil {
		return nil, fmt.Errorf("the bundle has no class %q", class)
	}
	v := &view{w: w, class: c, tables: map[*routev3.RouteConfiguration]*hostTable{}}
	var listeners [][]*bundle.Resource
	for _, set := range c.Sets {
		s := w.shelf(set)
		v.shelves, listeners = append(v.shelves, s), append(listeners, s.listeners)
	}
	for _, r := range bundle.Union(listeners...) {
		l, err := parse[*listenerv3.Listener](w, r)
		if err != nil {
			return nil, err
		}
		v.listeners = append(v.listeners, located[*listenerv3.Listener]{l, r})
	}
	w.views[class] = v
	return v, nil
}

// shelf is what the classes that share a set of resources have in common: most of a mesh, where each of its services is a class.
type shelf struct {
	listeners []*bundle.Resource
	hosts     map[string][]*bundle.Resource    // virtual hosts by route configuration
	byName    map[typedName]*bundle.Resource   // the others
	named     map[namedHost][]*bundle.Resource // virtual hosts by a domain of theirs, without its port, as far as they were asked for
	read      map[string]bool                  // route configurations whose virtual hosts are in named
}

type typedName struct{ url, name string }

// namedHost is a domain in a route configuration.
type namedHost struct{ routes, domain string }

// shelf indexes a set once.
func (w *Tracer) shelf(set *bundle.Set) *shelf {
	if s := w.shelves[set]; s != nil {
		return s
	}
	s := &shelf{hosts: map[string][]*bundle.Resource{}, named: map[namedHost][]*bundle.Resource{}, read: map[string]bool{}, byName: map[typedName]*bundle.Resource{}}
	for _, r := range set.Resources {
		switch r.Type {
		case bundle.ListenerType:
			s.listeners = append(s.listeners, r)
		case bundle.VirtualHostType:
			rc, _ := names.ParseVirtualHost(r.Name)
			s.hosts[rc] = append(s.hosts[rc], r)
		default:
			s.byName[typedName{r.Type, r.Name}] = r
		}
	}
	w.shelves[set] = s
	return s
}

// resource is that of the class with a type and name, which is no listener and no virtual host; nil: there is none.
func (v *view) resource(url, name string) *bundle.Resource {
	for _, s := range v.shelves {
		if r := s.byName[typedName{url, name}]; r != nil {
			return r
		}
	}
	return nil
}

// hosts are the virtual hosts of a route configuration that come as resources of their own.
func (v *view) hosts(rc string) []*bundle.Resource {
	lists := make([][]*bundle.Resource, len(v.shelves))
	for i, s := range v.shelves {
		lists[i] = s.hosts[rc]
	}
	return bundle.Union(lists...)
}

// hostsNamed are those of them that have a domain, with whatever port.
func (v *view) hostsNamed(rc, domain string) []*bundle.Resource {
	lists := make([][]*bundle.Resource, len(v.shelves))
	for i, s := range v.shelves {
		if !s.read[rc] {
			s.read[rc] = true
			v.w.nameHosts(s, rc)
		}
		lists[i] = s.named[namedHost{rc, domain}]
	}
	return bundle.Union(lists...)
}

// nameHosts indexes the virtual hosts of a route configuration by their domains. One that cannot be read has none.
func (w *Tracer) nameHosts(s *shelf, rc string) {
	for _, r := range s.hosts[rc] {
		h, err := parse[*routev3.VirtualHost](w, r)
		if err != nil {
			continue
		}
		for _, d := range h.GetDomains() {
			key := namedHost{rc, urlpath.StripPort(d)}
			if list := s.named[key]; len(list) == 0 || list[len(list)-1] != r {
				s.named[key] = append(list, r)
			}
		}
	}
}

// parse decodes a resource once.
func parse[M proto.Message](w *Tracer, r *bundle.Resource) (M, error) {
	m, ok := w.parsed[r].(M)
	if ok {
		return m, nil
	}
	m = m.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(r.Bytes, m); err != nil {
		return m, fmt.Errorf("%s of the bundle cannot be read: %w", r.Name, err)
	}
	w.parsed[r] = m
	return m, nil
}

// find returns a resource of the class by type and name; nothing is no error.
func find[M proto.Message](v *view, url, name string) (located[M], bool, error) {
	r := v.resource(url, name)
	if r == nil {
		return located[M]{}, false, nil
	}
	m, err := parse[M](v.w, r)
	return located[M]{m, r}, err == nil, err
}

func (v *view) cluster(name string) (located[*clusterv3.Cluster], bool, error) {
	return find[*clusterv3.Cluster](v, bundle.ClusterType, name)
}

func (v *view) endpoints(name string) (located[*endpointv3.ClusterLoadAssignment], bool, error) {
	return find[*endpointv3.ClusterLoadAssignment](v, bundle.EndpointsType, name)
}

// virtualHosts returns the virtual hosts of a route configuration, inline ones first.
func (v *view) virtualHosts(rc *routev3.RouteConfiguration) (*hostTable, error) {
	if t := v.tables[rc]; t != nil {
		return t, nil
	}
	var out []located[*routev3.VirtualHost]
	for _, h := range rc.GetVirtualHosts() {
		out = append(out, located[*routev3.VirtualHost]{msg: h})
	}
	for _, r := range v.hosts(rc.GetName()) {
		h, err := parse[*routev3.VirtualHost](v.w, r)
		if err != nil {
			return nil, err
		}
		out = append(out, located[*routev3.VirtualHost]{h, r})
	}
	t := newHostTable(out)
	if r := v.resource(bundle.RouteConfigurationType, rc.GetName()); r != nil && v.w.parsed[r] == proto.Message(rc) {
		v.tables[rc] = t // one within a listener is read anew each time
	}
	return t, nil
}

// name of the proxies for people: the workload's where there is one, else the id of the class.
func (v *view) name() string {
	return names.ClassProxies(v.class.ID)
}

// originsAt is Resource.OriginsAt for a resource that may be missing.
func originsAt(r *bundle.Resource, at names.Part) []bundle.Origin {
	if r == nil {
		return nil
	}
	return r.OriginsAt(at)
}

// about drops the origins that are other services than o, where o is among them: a listener or an inbound cluster is
// shared by many.
func about(origins []bundle.Origin, o *bundle.Origin) []bundle.Origin {
	if o == nil || !slices.ContainsFunc(origins, func(x bundle.Origin) bool { return sameObject(x, *o) }) {
		return origins
	}
	var out []bundle.Origin
	for _, x := range origins {
		if x.Kind != "Service" && x.Kind != "ServiceEntry" || sameObject(x, *o) {
			out = append(out, x)
		}
	}
	return out
}

func sameObject(a, b bundle.Origin) bool {
	return a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name
}

// unpack reads a packed message if it is of the type of m.
func unpack[M proto.Message](a *anypb.Any, m M) (M, bool) {
	if a == nil || !a.MessageIs(m) {
		return m, false
	}
	return m, a.UnmarshalTo(m) == nil
}

// shortType is the type of a packed message without its package.
func shortType(a *anypb.Any, name string) string {
	url := a.GetTypeUrl()
	if url == "" {
		return name
	}
	url = strings.TrimPrefix(url[strings.LastIndexByte(url, '/')+1:], "envoy.extensions.filters.")
	return url
}

// workload finds a workload by namespace/name. Several kinds may share a name, as a Deployment and its Pods; all have to
// be of one class.
func (w *Tracer) workload(name string) (*bundle.Workload, error) {
	ns, n, ok := strings.Cut(name, "/")
	if !ok {
		ns, n = "default", name
	}
	var hit *bundle.Workload
	for i := range w.b.Workloads {
		x := &w.b.Workloads[i]
		if x.Namespace != ns || x.Name != n || x.Class == "" {
			continue
		}
		switch {
		case hit == nil:
			hit = x
		case hit.Class != x.Class:
			if w.isGateway(hit.Class) != w.isGateway(x.Class) {
				if w.isGateway(hit.Class) {
					hit = x // what a workload asks for goes out through its sidecar
				}
				continue
			}
			return nil, fmt.Errorf("%s is a %s and a %s with different configuration: name the class, %s or %s", name, hit.Kind, x.Kind, hit.Class, x.Class)
		}
	}
	return hit, nil
}

func (w *Tracer) isGateway(class string) bool {
	c := w.b.Class(class)
	return c != nil && c.Gateway
}

// workloadsOf lists the workloads of a class.
func (w *Tracer) workloadsOf(class string) []*bundle.Workload {
	var out []*bundle.Workload
	for i := range w.b.Workloads {
		if w.b.Workloads[i].Class == class {
			out = append(out, &w.b.Workloads[i])
		}
	}
	return out
}

// identity is the SPIFFE identity of a workload.
func (w *Tracer) identity(namespace, account string) string {
	if account == "" {
		account = "default"
	}
	return "spiffe://" + cmp.Or(w.b.TrustDomain, "cluster.local") + "/ns/" + namespace + "/sa/" + account
}

// identityOf is the identity of the workloads of a class, "" where they differ.
func (w *Tracer) identityOf(class string) string {
	c := w.b.Class(class)
	ids := map[string]bool{}
	for _, x := range w.workloadsOf(class) {
		ids[w.identity(x.Namespace, x.ServiceAccount)] = true
	}
	if len(ids) == 0 && c != nil {
		for _, a := range append(slices.Clone(c.ServiceAccounts), "")[:max(1, len(c.ServiceAccounts))] {
			ids[w.identity(c.Namespace, a)] = true
		}
	}
	if len(ids) != 1 {
		return ""
	}
	for id := range maps.Keys(ids) {
		return id
	}
	return ""
}
