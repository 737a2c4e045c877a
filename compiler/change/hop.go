package change

import (
	"fmt"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	networkauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	sniclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/sni_cluster/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// rule is one of a hop: requests that meet its condition, and none before it, have its outcome.
type rule struct {
	when sets.Cond
	*outcome
	text string // the condition for people
}

// hop is what one proxy does with the requests of one kind of connection: a list of rules of which the first decides.
type hop struct {
	rules     []rule
	otherwise *outcome
}

// list is the hop for the set engine.
func (h *hop) list() sets.List {
	out := sets.List{Default: h.otherwise.key}
	for _, r := range h.rules {
		out.Rules = append(out.Rules, sets.Rule{When: r.when, Outcome: r.key})
	}
	return out
}

// at returns the rule at a position as the set engine counts.
func (h *hop) at(i int) rule {
	if i < len(h.rules) {
		return h.rules[i]
	}
	return rule{outcome: h.otherwise}
}

// always is a hop that does one thing with all requests.
func always(o *outcome) *hop { return &hop{otherwise: o} }

// builder makes the hop of one filter chain.
type builder struct {
	*side
	p        *trace.Proxy
	listener *trace.Found[*listenerv3.Listener]
	chain    *listenerv3.FilterChain
	conn     trace.Connection
	is       circumstances
	inbound  bool
	gateway  bool

	guards    []rule    // refusals before the end of the chain
	asks      []ask     // external authorizers
	settings  []setting // of the chain
	odd       []string  // filters that cannot be judged
	resources []string  // that the chain is made of
	sni       bool      // the server name chooses the cluster
}

// ask is an external authorizer and when it is asked.
type ask struct {
	when sets.Cond
	setting
}

// throughListener makes the hop of a listener; nil stands for no listener.
func (b *builder) throughListener() (*hop, error) {
	if b.listener == nil {
		switch {
		case b.gateway:
			return always(b.refuse(byGateway, 0, "nothing listens there")), nil
		case b.inbound && b.conn.TLS:
			return always(b.refuse(byTLS, 0, "there is no proxy that could end the TLS")), nil
		}
		return always(direct()), nil
	}
	b.resources = append(b.resources, resourceName(b.listener.Resource))
	b.chain = trace.Chain(b.listener.Message, b.conn)
	if b.chain == nil {
		return b.finish(nil, b.refuse(byTLS, 0, "no filter chain takes the connection", b.listener.Resource.OriginsAt(names.Part{})...)), nil
	}
	text, wants, mutual, asks := terminated(b.chain.GetTransportSocket())
	switch {
	case wants && !b.conn.TLS:
		return b.finish(nil, b.refuse(byTLS, 0, "the server wants TLS", b.origins()...)), nil
	case mutual && b.is.anonymous:
		return b.finish(nil, b.refuse(byTLS, 0, "the server wants a client certificate", b.origins()...)), nil
	}
	if wants {
		b.settings = append(b.settings, setting{topic: Encryption, name: "", value: text})
		b.identities()
	}
	b.is.secure = wants
	if !asks || !wants {
		b.is.plain = true
	}
	b.logs("", b.listener.Message.GetAccessLog())
	return b.network(wants)
}

// identities refuses client certificates with other names than those that the chain takes.
func (b *builder) identities() {
	matchers := identityMatchers(b.chain.GetTransportSocket())
	if len(matchers) == 0 {
		return
	}
	if b.is.peer != "" {
		ok := false
		for _, m := range matchers {
			in, err := trace.MatchString(m, b.is.peer)
			ok = ok || in && err == nil
		}
		if !ok {
			b.guards = append(b.guards, rule{when: sets.Always(), outcome: b.refuse(byTLS, 0, "the server does not take the name in the certificate", b.origins()...)})
		}
		return
	}
	var any []sets.Cond
	for _, m := range matchers {
		any = append(any, matcherIn(sets.Principal, m))
	}
	if !b.gateway {
		b.is.trusted = append(b.is.trusted, sets.Any(any...))
	}
	bad := sets.All(sets.In(sets.Principal, sets.AnyString()), sets.Any(any...).Not())
	b.guards = append(b.guards, rule{when: bad, outcome: b.refuse(byTLS, 0, "the server does not take the name in the certificate", b.origins()...), text: "another identity"})
}

func (b *builder) origins() []bundle.Origin {
	if b.listener == nil || b.listener.Resource == nil {
		return nil
	}
	return b.listener.Resource.OriginsAt(names.ChainPart(b.chain.GetName()))
}

func (b *builder) refuse(reason string, status int, text string, origins ...bundle.Origin) *outcome {
	o := refusal(reason, status, text, origins...)
	o.gateway = b.gateway
	return o
}

// direct is a connection that no proxy touches.
func direct() *outcome {
	return (&outcome{passes: passing, end: "goes where it was dialed, untouched", untouched: true, leaves: true, text: "goes where it was dialed, untouched"}).seal()
}

// network reads the network filters of the chain.
func (b *builder) network(ends bool) (*hop, error) {
	for _, f := range b.chain.GetFilters() {
		a := f.GetTypedConfig()
		if m, ok := unpack(a, &networkrbacv3.RBAC{}); ok {
			was := b.is.http
			b.is.http = false
			b.rbac(m.GetRules(), m.GetShadowRules(), m.GetShadowRulesStatPrefix())
			b.is.http = was
			continue
		}
		if m, ok := unpack(a, &networkauthzv3.ExtAuthz{}); ok {
			b.external(m.GetFilterEnabledMetadata() != nil, "asks "+m.GetGrpcService().GetEnvoyGrpc().GetClusterName(), m.GetFailureModeAllow())
			continue
		}
		if m, ok := unpack(a, &hcmv3.HttpConnectionManager{}); ok {
			if !b.conn.HTTP || b.conn.TLS && !ends {
				return b.finish(nil, b.refuse(byTLS, 0, "the connection manager expects HTTP", b.origins()...)), nil
			}
			return b.manager(m)
		}
		if m, ok := unpack(a, &tcpv3.TcpProxy{}); ok {
			return b.tcp(m)
		}
		if _, ok := unpack(a, &sniclusterv3.SniCluster{}); ok {
			b.sni = true
			continue
		}
		b.filter(f.GetName(), a)
	}
	if len(b.odd) > 0 {
		return b.finish(nil, &outcome{passes: passing, end: "filters of its own", text: "filters of its own"}), nil
	}
	return b.finish(nil, b.refuse(byTLS, 0, "no filter of the chain sends it anywhere", b.origins()...)), nil
}

// logs notes where accesses are logged.
func (b *builder) logs(what string, list []*accesslogv3.AccessLog) {
	for _, l := range list {
		b.settings = append(b.settings, setting{topic: Observability, name: strings.TrimSpace(what + " access log"), value: messageText(l)})
	}
}

// filter notes a filter that this package knows no more of than its configuration.
func (b *builder) filter(name string, a *anypb.Any) {
	switch kind := shortType(a.GetTypeUrl()); {
	case strings.Contains(kind, "local_ratelimit"), strings.Contains(kind, "ratelimit"), strings.Contains(kind, "connection_limit"):
		b.settings = append(b.settings, setting{topic: Routing, name: "filter " + name, value: messageText(a)})
	case inert(kind):
	default:
		b.odd = append(b.odd, "filter "+name+" "+messageText(a))
	}
}

// inert filters neither route nor refuse.
func inert(kind string) bool {
	for _, p := range []string{"http.grpc_stats.", "http.grpc_web.", "http.set_filter_state.", "http.compressor.", "http.dynamic_forward_proxy.", "http.router.",
		"network.set_filter_state.", "network.sni_dynamic_forward_proxy", "network.mongo_proxy"} {
		if strings.HasPrefix(kind, p) {
			return true
		}
	}
	return false
}

func shortType(url string) string {
	return strings.TrimPrefix(url[strings.LastIndexByte(url, '/')+1:], "envoy.extensions.filters.")
}

// rbac adds the refusals of an RBAC filter, and reads of its shadow rules when an external authorizer is asked.
func (b *builder) rbac(rules, shadow *rbacv3.RBAC, prefix string) {
	if shadow != nil && prefix == "istio_ext_authz_" {
		b.is.custom = b.is.policiesCond(shadow)
	}
	if rules == nil {
		return
	}
	origins := b.ruleOrigins(rules)
	switch rules.GetAction() {
	case rbacv3.RBAC_ALLOW:
		b.guards = append(b.guards, rule{when: b.is.policiesCond(rules).Not(), text: "no ALLOW rule matches", outcome: b.refuse(byPolicy, 403, "no ALLOW rule matches", origins...)})
	case rbacv3.RBAC_DENY:
		b.guards = append(b.guards, rule{when: b.is.policiesCond(rules), text: "a DENY rule matches", outcome: b.refuse(byPolicy, 403, "a DENY rule matches", origins...)})
	}
}

func (b *builder) ruleOrigins(rules *rbacv3.RBAC) []bundle.Origin {
	var out []bundle.Origin
	if b.listener.Resource == nil {
		return nil
	}
	for _, n := range sortedPolicies(rules) {
		out = append(out, b.listener.Resource.OriginsOf(names.RulePart(strings.TrimPrefix(n, names.CustomPrefix)))...)
	}
	return out
}

// external adds an external authorizer.
func (b *builder) external(sometimes bool, text string, open bool) {
	when := sets.Always()
	if sometimes {
		when = b.is.custom
	}
	if open {
		text += "; passes when it does not answer"
	}
	b.asks = append(b.asks, ask{when, setting{topic: topicGuard, name: "external authorizer", value: text}})
}

func (b *builder) tcp(m *tcpv3.TcpProxy) (*hop, error) {
	b.logs("", m.GetAccessLog())
	if t := m.GetIdleTimeout(); t != nil && t.AsDuration().Hours() != 1 {
		b.settings = append(b.settings, setting{topic: Tuning, name: "idle timeout", value: t.AsDuration().String()})
	}
	if len(m.GetHashPolicy()) > 0 {
		b.settings = append(b.settings, setting{topic: Tuning, name: "hash", value: fmt.Sprint(len(m.GetHashPolicy()))})
	}
	if t := m.GetTunnelingConfig(); t != nil {
		b.settings = append(b.settings, setting{topic: Routing, name: "tunnel", value: messageText(t)})
	}
	o := &outcome{origins: b.origins()}
	var list []share
	for _, w := range m.GetWeightedClusters().GetClusters() {
		list = append(list, share{name: w.GetName(), weight: float64(w.GetWeight())})
	}
	if m.GetWeightedClusters() == nil {
		list = []share{{name: m.GetCluster(), weight: 1}}
	}
	if b.sni && b.conn.SNI != "" {
		list = []share{{name: b.conn.SNI, weight: 1}}
	}
	if err := b.forward(o, list); err != nil {
		return nil, err
	}
	return b.finish(nil, o), nil
}

// finish makes the hop of the guards, the authorizers and what comes after them.
func (b *builder) finish(rules []rule, otherwise *outcome) *hop {
	h := &hop{rules: b.guards}
	complete := func(o *outcome, more ...setting) *outcome {
		one := *o
		one.gateway = b.gateway
		one.resources = append(append([]string(nil), b.resources...), o.resources...)
		one.undecided = append(append([]string(nil), b.odd...), o.undecided...)
		if !one.untouched {
			one.settings = append(append(append([]setting(nil), b.settings...), o.settings...), more...)
		}
		return one.seal()
	}
	for _, r := range append(rules, rule{when: sets.Always(), outcome: otherwise}) {
		for _, a := range b.asks {
			h.rules = append(h.rules, rule{when: sets.All(a.when, r.when), outcome: complete(r.outcome, a.setting), text: r.text})
		}
		h.rules = append(h.rules, rule{when: r.when, outcome: complete(r.outcome), text: r.text})
	}
	h.otherwise = h.rules[len(h.rules)-1].outcome
	h.rules = h.rules[:len(h.rules)-1]
	return h
}

// httpRules returns the rules of an RBAC filter, as a route may replace them.
func httpRules(m *httprbacv3.RBAC, own *anypb.Any) *httprbacv3.RBAC {
	if p, ok := unpack(own, &httprbacv3.RBACPerRoute{}); ok {
		return p.GetRbac()
	}
	return m
}
