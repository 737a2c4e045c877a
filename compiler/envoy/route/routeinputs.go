package route

import (
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/memo"
	"github.com/meshc/meshc/schema"
)

// Inputs is everything that the routes of a VirtualService depend on. What it asks about the proxy and the services
// that the proxy sees is here as answers, so that proxies for which they are the same share the routes. Reading the
// answers is much cheaper than building the routes.
type Inputs struct {
	Mesh           *mesh.Mesh
	VirtualService *mesh.VirtualService
	Port           uint32 // of the listener as the service names it; gateway: server.port.number
	TLS            bool   // the listener terminates TLS: decides which port is the default one in redirects
	Claims         bool   // claims of tokens may be matched: it is a gateway that asks, and the VirtualService has such matches
	ForwardedHost  bool   // ProxyConfig.proxyHeaders.xForwardedHost
	Holds          *matchSet
	Destinations   memo.List[destination] // where each Destination of a route or mirror leads
}

// destination says where a Destination leads, by what is written in it.
type destination struct {
	host, subset string
	port         uint32
	cluster      string
	stray        bool // it has no port, and its service not that of the listener
	hash         *hashSettings
}

// to says where a Destination leads.
func (in *Inputs) to(d *networking.Destination) destination {
	want := written(d)
	for _, x := range in.Destinations.All() {
		if x.host == want.host && x.subset == want.subset && x.port == want.port {
			return x
		}
	}
	return want
}

func written(d *networking.Destination) destination {
	return destination{host: d.GetHost(), subset: d.GetSubset(), port: d.GetPort().GetNumber()}
}

// routeQuestions lists what the routes of a VirtualService ask about a proxy.
type routeQuestions struct {
	matches      []SourceMatch
	destinations []*networking.Destination // of routes and mirrors, each once
	claims       bool                      // claims are matched, which gateways and sidecars treat differently
}

func questionsOf(vs *mesh.VirtualService) *routeQuestions {
	out := &routeQuestions{matches: httpConditions(vs)}
	seen := map[destination]bool{}
	add := func(d *networking.Destination) {
		if w := written(d); d != nil && !seen[w] {
			seen[w] = true
			out.destinations = append(out.destinations, d)
		}
	}
	for _, h := range vs.Spec.GetHttp() {
		for _, m := range h.GetMatch() {
			out.claims = out.claims || matchesClaims(m.GetHeaders()) || matchesClaims(m.GetWithoutHeaders())
		}
		for _, d := range h.GetRoute() {
			add(d.GetDestination())
		}
		add(h.GetMirror())
		for _, m := range h.GetMirrors() {
			add(m.GetDestination())
		}
	}
	return out
}

func matchesClaims(headers map[string]*networking.StringMatch) bool {
	for k := range headers {
		if claimPath(k) != nil {
			return true
		}
	}
	return false
}

// routeScope is where a VirtualService is asked for routes: a port of proxies, with what these see. The same VirtualService
// gives different routes on different ports, on sidecars and gateways, and for callers that see other services or rules.
type routeScope struct {
	mesh     *mesh.Mesh
	view     *mesh.View
	proxy    *meshconfig.ProxyConfig
	gateway  bool
	port     uint32
	allPorts bool // the configuration serves services on all their ports: a forward proxy
	tls      bool
	holds    func(SourceMatch) bool
}

// virtualServiceRoutes returns the routes of a VirtualService for a proxy and port.
func (r *Routes) virtualServiceRoutes(rs *routeScope, vs *mesh.VirtualService) *routeSet {
	q := r.questions.Get(vs)
	in := Inputs{Mesh: rs.mesh, VirtualService: vs, Port: rs.port, TLS: rs.tls, Claims: q.claims && rs.gateway,
		ForwardedHost: rs.proxy.GetProxyHeaders().GetXForwardedHost().GetEnabled().GetValue(), Holds: r.Matches(q.matches, rs.holds)}
	list := make([]destination, 0, len(q.destinations))
	for _, d := range q.destinations {
		list = append(list, rs.leads(vs, d))
	}
	in.Destinations = r.destinations.Of(list...)
	return r.virtual.Get(in)
}

// serviceRouteInputs is everything that the default routes of a service port depend on. Services cut to one port are
// copies and have the same.
type serviceRouteInputs struct {
	mesh       *mesh.Mesh
	object     *schema.Object
	host, name string
	port       uint32
	hash       *hashSettings
}

// catchAllInputs is everything that the routes for all other hosts depend on.
type catchAllInputs struct {
	cluster string         // "": requests are refused
	object  *schema.Object // the Sidecar that chose the policy; nil: the mesh
}

// hostInputs is everything that a virtual host depends on.
type hostInputs struct {
	config, name string // name is unique in the route configuration
	domains      memo.List[string]
	routes       *routeSet
	attempts     bool // x-envoy-attempt-count is added
	requireTLS   bool
}

// configurationInputs is everything that a route configuration without its virtual hosts depends on.
type configurationInputs struct {
	name       string
	ignorePort bool
}
