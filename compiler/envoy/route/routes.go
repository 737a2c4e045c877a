package route

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

// Key asks for one route configuration of a sidecar's outbound side. Listeners produce the keys: one for each HTTP
// connection manager that fetches its routes.
type Key struct {
	Name     string               // of the route configuration: "9080", "reviews.default.svc.cluster.local:9080", a socket path
	Listener *mesh.EgressListener // what the listener may see
	Port     uint32               // service port; 0 for a forward proxy or Unix socket, whose domains keep host:port
	Host     string               // not empty: only the virtual host of this service, for any authority (a listener of its own address)
}

// Routes makes the routes of a mesh, each once. Most scopes see most services alike, so one virtual host serves many
// scopes: the same content is built once and the same *Resource is handed out, whose bytes can be made once as well. It is
// safe for concurrent use and must not outlive its mesh.
type Routes struct {
	tables         *memo.Table[tableInputs, *routeTable]
	virtual        *memo.Table[Inputs, *routeSet]
	services       *memo.Table[serviceRouteInputs, *routeSet]
	catchAlls      *memo.Table[catchAllInputs, *routeSet]
	hosts          *memo.Table[hostInputs, *xds.Resource]
	configurations *memo.Table[configurationInputs, *xds.Resource]
	indexes        *memo.Table[*mesh.EgressListener, *hostIndex]
	questions      *memo.Table[*mesh.VirtualService, *routeQuestions]
	Conditions     *memo.Table[*mesh.EgressListener, []SourceMatch]
	answers        *memo.Table[memo.List[SourceMatch], *matchSet]

	matches      memo.Lists[SourceMatch]
	destinations memo.Lists[destination]
	domains      memo.Lists[string]
}

func New() *Routes {
	r := &Routes{}
	r.tables = memo.New(r.table)
	r.virtual = memo.New(httpRoutes)
	r.services = memo.Plain(defaultRoutes)
	r.catchAlls = memo.Plain(catchAllRoutes)
	r.hosts = memo.Plain(virtualHost)
	r.configurations = memo.Plain(routeConfiguration)
	r.indexes = memo.Plain(newHostIndex)
	r.questions = memo.Plain(questionsOf)
	r.Conditions = memo.Plain(conditionsOf)
	r.answers = memo.Plain(newMatchSet)
	return r
}

// Findings are those of all routes made so far.
func (r *Routes) Findings() diag.List {
	var out diag.List
	out.Add(r.tables.Findings()...)
	out.Add(r.virtual.Findings()...)
	return out
}

// SourceMatch is the match of a VirtualService in so far as it looks at the caller and not at what is called.
type SourceMatch interface {
	GetGateways() []string
	GetSourceLabels() map[string]string
	GetSourceNamespace() string
}

// looksAtCaller tells whether a match depends on the proxy that evaluates it.
func looksAtCaller(m SourceMatch) bool {
	return len(m.GetGateways()) > 0 || len(m.GetSourceLabels()) > 0 || m.GetSourceNamespace() != ""
}

// conditionsOf are all matches in the VirtualServices of a listener that depend on the caller.
func conditionsOf(el *mesh.EgressListener) []SourceMatch {
	var out []SourceMatch
	for _, vs := range el.VirtualServices {
		out = append(out, httpConditions(vs)...)
		for _, t := range vs.Spec.GetTcp() {
			out = addConditions(out, t.GetMatch())
		}
		for _, t := range vs.Spec.GetTls() {
			out = addConditions(out, t.GetMatch())
		}
	}
	return out
}

func httpConditions(vs *mesh.VirtualService) (out []SourceMatch) {
	for _, h := range vs.Spec.GetHttp() {
		out = addConditions(out, h.GetMatch())
	}
	return out
}

func addConditions[M SourceMatch](out []SourceMatch, matches []M) []SourceMatch {
	for _, m := range matches {
		if looksAtCaller(m) {
			out = append(out, m)
		}
	}
	return out
}

// matchSet is the matches that hold for a proxy, of those that depend on it. Two with the same matches are one.
type matchSet struct{ holds map[SourceMatch]bool }

func newMatchSet(list memo.List[SourceMatch]) *matchSet {
	s := &matchSet{holds: map[SourceMatch]bool{}}
	for _, m := range list.All() {
		s.holds[m] = true
	}
	return s
}

// Has tells whether a match holds, or does not depend on the proxy.
func (s *matchSet) Has(m SourceMatch) bool { return !looksAtCaller(m) || s.holds[m] }

// Matches returns the matches of a list that hold.
func (r *Routes) Matches(list []SourceMatch, hold func(SourceMatch) bool) *matchSet {
	var out []SourceMatch
	for _, m := range list {
		if hold(m) {
			out = append(out, m)
		}
	}
	return r.answers.Get(r.matches.Of(out...))
}

// Caller is what matches may look at of the proxies that evaluate them.
type Caller struct {
	Namespace string
	Labels    map[string]string
	Gateway   string // namespace/name of the Gateway that they serve; MeshGateway for sidecars
}

// Fits evaluates a match. In one of HTTP, naming gateways replaces the tests on the source; in others all of it must hold.
func (c Caller) Fits(m SourceMatch) bool {
	if g := m.GetGateways(); len(g) > 0 {
		_, http := m.(*networking.HTTPMatchRequest)
		if named := slices.Contains(g, c.Gateway); http || !named {
			return named
		}
	}
	return endpoint.Subset(m.GetSourceLabels(), c.Labels) && (m.GetSourceNamespace() == "" || m.GetSourceNamespace() == c.Namespace)
}
