package envoy

import (
	"sync"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// RouteKey asks for one route configuration of a sidecar's outbound side. Listeners produce the keys: one for each HTTP
// connection manager that fetches its routes.
type RouteKey struct {
	Name     string               // of the route configuration: "9080", "reviews.default.svc.cluster.local:9080", a socket path
	Listener *mesh.EgressListener // what the listener may see
	Port     uint32               // service port; 0 for a forward proxy or Unix socket, whose domains keep host:port
	Host     string               // not empty: only the virtual host of this service, for any authority (a listener of its own address)
}

// Memo remembers lowered virtual hosts during one compile. Most scopes see most services alike, so one virtual host
// serves many scopes: the same content is built once and the same *Resource is handed out, whose bytes can be made once
// as well. The zero value is ready; all methods are safe for concurrent use. A Memo must not outlive its Mesh.
type Memo struct {
	mu     sync.Mutex
	routes map[routesKey]*routesEntry
	hosts  map[hostKey]*Resource
	shells map[shellKey]*Resource
	deps   map[*mesh.VirtualService]*routeInputs

	callers map[*mesh.EgressListener][]caller
	indexes map[*mesh.EgressListener]*hostIndex
}

// routesKey is everything that the routes of a virtual host depend on. A VirtualService leaves service and host empty
// and the other way round.
type routesKey struct {
	vs      *mesh.VirtualService
	object  *schema.Object // of the service, with host: services cut to one port are copies
	host    string
	port    uint32
	all     bool // routeScope.allPorts
	tls     bool
	context string // what the scope adds: clusters, hash policies, source matches, proxy header settings
}

type routesEntry struct {
	once  sync.Once
	set   *routeSet
	diags diag.List
}

// hostKey is everything that a virtual host depends on.
type hostKey struct {
	config, name string
	routes       *routeSet
	domains      string
	attempts     bool
}

type shellKey struct {
	name       string
	ignorePort bool
}

// routeSet returns the routes of a key, building them if they are asked for the first time.
func (m *Memo) routeSet(key routesKey, build func(*diag.List) *routeSet) (*routeSet, diag.List) {
	m.mu.Lock()
	if m.routes == nil {
		m.routes = map[routesKey]*routesEntry{}
	}
	e := m.routes[key]
	if e == nil {
		e = &routesEntry{}
		m.routes[key] = e
	}
	m.mu.Unlock()
	e.once.Do(func() { e.set = build(&e.diags) })
	return e.set, e.diags
}

// host returns the virtual host of a key. Two callers may build the same one at once; one of them is kept.
func (m *Memo) host(key hostKey, build func() *Resource) *Resource {
	m.mu.Lock()
	r := m.hosts[key]
	m.mu.Unlock()
	if r != nil {
		return r
	}
	r = build()
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.hosts[key]; old != nil {
		return old
	}
	if m.hosts == nil {
		m.hosts = map[hostKey]*Resource{}
	}
	m.hosts[key] = r
	return r
}

// shell returns the route configuration without virtual hosts.
func (m *Memo) shell(key shellKey) *Resource {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.shells[key]
	if r == nil {
		r = routeConfiguration(key)
		if m.shells == nil {
			m.shells = map[shellKey]*Resource{}
		}
		m.shells[key] = r
	}
	return r
}

// inputs returns what the routes of a VirtualService read of a scope.
func (m *Memo) inputs(vs *mesh.VirtualService) *routeInputs {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.deps[vs]
	if d == nil {
		d = inputsOf(vs)
		if m.deps == nil {
			m.deps = map[*mesh.VirtualService]*routeInputs{}
		}
		m.deps[vs] = d
	}
	return d
}
