package envoy

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

// RouteKey asks for one route configuration of a sidecar's outbound side. Listeners produce the keys: one for each HTTP
// connection manager that fetches its routes.
type RouteKey struct {
	Name     string               // of the route configuration: "9080", "reviews.default.svc.cluster.local:9080", a socket path
	Listener *mesh.EgressListener // what the listener may see
	Port     uint32               // service port; 0 for a forward proxy or Unix socket, whose domains keep host:port
	Host     string               // not empty: only the virtual host of this service, for any authority (a listener of its own address)
}

// routes makes the routes of a mesh, each once. Most scopes see most services alike, so one virtual host serves many
// scopes: the same content is built once and the same *Resource is handed out, whose bytes can be made once as well. It is
// safe for concurrent use and must not outlive its mesh.
type routes struct {
	tables     *memo.Table[tableInputs, *routeTable]
	virtual    *memo.Table[RouteInputs, *routeSet]
	services   *memo.Table[serviceRouteInputs, *routeSet]
	catchAlls  *memo.Table[catchAllInputs, *routeSet]
	hosts      *memo.Table[hostInputs, *Resource]
	shells     *memo.Table[shellInputs, *Resource]
	indexes    *memo.Table[*mesh.EgressListener, *hostIndex]
	questions  *memo.Table[*mesh.VirtualService, *routeQuestions]
	conditions *memo.Table[*mesh.EgressListener, []sourceMatch]
	answers    *memo.Table[memo.List[sourceMatch], *matchSet]

	matches      memo.Lists[sourceMatch]
	destinations memo.Lists[destination]
	domains      memo.Lists[string]
}

func newRoutes() *routes {
	r := &routes{}
	r.tables = memo.New(r.table)
	r.virtual = memo.New(httpRoutes)
	r.services = memo.Plain(defaultRoutes)
	r.catchAlls = memo.Plain(catchAllRoutes)
	r.hosts = memo.Plain(virtualHost)
	r.shells = memo.Plain(routeConfiguration)
	r.indexes = memo.Plain(newHostIndex)
	r.questions = memo.Plain(questionsOf)
	r.conditions = memo.Plain(conditionsOf)
	r.answers = memo.Plain(newMatchSet)
	return r
}

// findings are those of all routes made so far.
func (r *routes) findings() diag.List {
	var out diag.List
	out.Add(r.tables.Findings()...)
	out.Add(r.virtual.Findings()...)
	return out
}

// sourceMatch is the match of a VirtualService in so far as it looks at the caller and not at what is called.
type sourceMatch interface {
	GetGateways() []string
	GetSourceLabels() map[string]string
	GetSourceNamespace() string
}

// looksAtCaller tells whether a match depends on the proxy that evaluates it.
func looksAtCaller(m sourceMatch) bool {
	return len(m.GetGateways()) > 0 || len(m.GetSourceLabels()) > 0 || m.GetSourceNamespace() != ""
}

// conditionsOf are all matches in the VirtualServices of a listener that depend on the caller.
func conditionsOf(el *mesh.EgressListener) []sourceMatch {
	var out []sourceMatch
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

func httpConditions(vs *mesh.VirtualService) (out []sourceMatch) {
	for _, h := range vs.Spec.GetHttp() {
		out = addConditions(out, h.GetMatch())
	}
	return out
}

func addConditions[M sourceMatch](out []sourceMatch, matches []M) []sourceMatch {
	for _, m := range matches {
		if looksAtCaller(m) {
			out = append(out, m)
		}
	}
	return out
}

// matchSet is the matches that hold for a proxy, of those that depend on it. Two with the same matches are one.
type matchSet struct{ holds map[sourceMatch]bool }

func newMatchSet(list memo.List[sourceMatch]) *matchSet {
	s := &matchSet{holds: map[sourceMatch]bool{}}
	for _, m := range list.All() {
		s.holds[m] = true
	}
	return s
}

// has tells whether a match holds, or does not depend on the proxy.
func (s *matchSet) has(m sourceMatch) bool { return !looksAtCaller(m) || s.holds[m] }

// those returns the matches of a list that hold.
func (r *routes) those(list []sourceMatch, hold func(sourceMatch) bool) *matchSet {
	var out []sourceMatch
	for _, m := range list {
		if hold(m) {
			out = append(out, m)
		}
	}
	return r.answers.Get(r.matches.Of(out...))
}

// caller is what matches may look at of the proxies that evaluate them.
type caller struct {
	namespace string
	labels    map[string]string
	gateway   string // namespace/name of the Gateway that they serve; meshGateway for sidecars
}

// fits evaluates a match. In one of HTTP, naming gateways replaces the tests on the source; in others all of it must hold.
func (c caller) fits(m sourceMatch) bool {
	if g := m.GetGateways(); len(g) > 0 {
		_, http := m.(*networking.HTTPMatchRequest)
		if named := slices.Contains(g, c.gateway); http || !named {
			return named
		}
	}
	return endpoint.Subset(m.GetSourceLabels(), c.labels) && (m.GetSourceNamespace() == "" || m.GetSourceNamespace() == c.namespace)
}
