package change

import (
	"fmt"
	"slices"
	"strings"
	"time"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	networkauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	sniclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/sni_cluster/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/change/text"
	"github.com/meshc/meshc/compiler/change/topics"
	"github.com/meshc/meshc/compiler/change/transport"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/compiler/trace/match"
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
	read      []proto.Message // that it is made of
	made      *hop            // which was kept, if this is one of those made from it, or itself; nil: it was not kept
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
	is       condition.Assumptions
	inbound  bool
	gateway  bool

	guards    []rule          // refusals before the end of the chain
	asks      []ask           // external authorizers
	settings  []setting       // of the chain
	odd       []string        // filters that cannot be judged
	vouching  []bundle.Origin // of what vouches for the token
	read      []proto.Message
	resources []string // that the chain is made of
	sni       bool     // the server name chooses the cluster
	managed   bool     // a connection manager reads the requests
	deps      []destKey
}

// destination reads a cluster and notes what it is made of.
func (b *builder) destination(p *trace.Proxy, name string) (*destination, error) {
	key, _, _, err := b.destKey(p, name)
	if err != nil {
		return nil, err
	}
	b.deps = append(b.deps, key)
	return b.side.destination(p, name)
}

// ask is an external authorizer and when it is asked.
type ask struct {
	when sets.Cond
	setting
	more []setting // how it is asked
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
	b.read = append(b.read, b.listener.Message)
	if m := b.listener.Message; m.GetFilterChainMatcher() != nil || m.GetFcdsConfig() != nil {
		b.odd = append(b.odd, "a matcher of filter chains "+text.Message(m.GetFilterChainMatcher())+text.Message(m.GetFcdsConfig()))
	}
	b.listenerFilters()
	b.chain = trace.Chain(b.listener.Message, b.conn)
	if b.chain == nil {
		return b.finish(nil, b.refuse(byTLS, 0, "no filter chain takes the connection", b.otherChains()...)), nil
	}
	b.read = append(b.read, b.chain)
	b.settings = append(b.settings, fieldSettings("filter chain ", b.chain, topics.Chain)...)
	text, wants, mutual, asks := transport.Terminated(b.chain.GetTransportSocket())
	switch {
	case wants && !b.conn.TLS:
		return b.finish(nil, b.refuse(byTLS, 0, "the server wants TLS", b.origins()...)), nil
	case mutual && b.is.Anonymous:
		return b.finish(nil, b.refuse(byTLS, 0, "the server wants a client certificate", b.origins()...)), nil
	}
	if wants {
		b.settings = append(b.settings, setting{topic: Encryption, name: "", value: text})
		b.settings = append(b.settings, tlsDetails("", b.chain.GetTransportSocket())...)
		b.identities()
	}
	b.is.Secure = wants
	if !asks || !wants {
		b.is.Plain = true
	}
	if err := b.logs("listener", b.listener.Message.GetAccessLog()); err != nil {
		return nil, err
	}
	return b.network(wants)
}

// listenerFilters notes what the listener and its filters do to every connection.
func (b *builder) listenerFilters() {
	l := b.listener.Message
	// Which listener takes a connection is no effect of its own, and how another one is bound is none either.
	which := setting{name: "listener", value: l.GetName()}
	own := fieldSettings("listener ", l, topics.Listener)
	if n := l.GetName(); n == names.VirtualInbound || n == names.VirtualOutbound {
		own = append(own, setting{topic: Routing, name: "listener at", value: text.Message(l.GetAddress())})
	}
	own = append(own, fieldSettings("listener address ", l.GetAddress().GetSocketAddress(), map[string]string{"": Tuning, "address": "-", "port_value": "-"})...)
	b.settings = append(b.settings, which)
	for _, s := range own {
		s.with = which.text()
		b.settings = append(b.settings, s)
	}
	if b.inbound {
		for _, protocol := range waits(l, b.conn.To.Port()) {
			b.settings = append(b.settings, setting{topic: Tuning, name: "waits for", value: protocol, latent: true})
		}
	}
	inspects := false
	for _, f := range l.GetListenerFilters() {
		a := f.GetTypedConfig()
		if x, ok := unpack(a, &tlsinspectorv3.TlsInspector{}); ok {
			inspects = true
			b.settings = append(b.settings, fieldSettings("TLS inspector ", x, map[string]string{"": Tuning})...)
			continue
		}
		if x, ok := unpack(a, &httpinspectorv3.HttpInspector{}); ok {
			inspects = true
			b.settings = append(b.settings, fieldSettings("HTTP inspector ", x, map[string]string{"": Tuning})...)
			continue
		}
		topic := Routing
		if strings.Contains(a.GetTypeUrl(), "original_dst") {
			topic = Tuning // which listener takes a connection is compared by address
		}
		b.settings = append(b.settings, setting{topic: topic, name: "listener filter " + shortType(a.GetTypeUrl()), value: text.Message(f)})
	}
	longest := 15 * time.Second // Envoy's default
	if t := l.GetListenerFiltersTimeout(); t != nil {
		longest = t.AsDuration()
	}
	if inspects && longest > 0 {
		b.settings = append(b.settings, setting{topic: Tuning, name: "waits for the first bytes", value: fmt.Sprintf("%s, goes on then %t", longest, l.GetContinueOnListenerFiltersTimeout())})
	}
}

// waits lists the protocols for whose first bytes a listener waits at a port. It says something of connections to a workload: servers that
// speak first do not go well with that. Outbound ports are shared by services, whose protocols decide together.
func waits(l *listenerv3.Listener, port uint16) (out []string) {
	for _, f := range l.GetListenerFilters() {
		if f.GetFilterDisabled() != nil && trace.DisabledFor(f.GetFilterDisabled(), port) {
			continue
		}
		switch a := f.GetTypedConfig(); {
		case a.MessageIs((*tlsinspectorv3.TlsInspector)(nil)):
			out = append(out, "TLS")
		case a.MessageIs((*httpinspectorv3.HttpInspector)(nil)):
			out = append(out, "HTTP")
		}
	}
	return out
}

// identities refuses client certificates with other names than those that the chain takes.
func (b *builder) identities() {
	matchers, any := transport.IdentityMatchers(b.chain.GetTransportSocket())
	if any || len(matchers) == 0 && b.gateway { // clients of a gateway have certificates of others, with other names
		return
	}
	if b.is.Peer != "" {
		ok := false
		for _, m := range matchers {
			in, err := match.String(m, b.is.Peer)
			ok = ok || in && err == nil
		}
		if !ok {
			b.guards = append(b.guards, rule{when: sets.Always(), outcome: b.refuse(byTLS, 0, "the server does not take the name in the certificate", b.origins()...)})
		}
		return
	}
	var taken []sets.Cond
	for _, m := range matchers {
		taken = append(taken, condition.MatcherIn(sets.Principal, m))
	}
	if !b.gateway {
		b.is.Trusted = append(b.is.Trusted, sets.Any(taken...))
	}
	bad := sets.All(sets.In(sets.Principal, sets.AnyString()), sets.Any(taken...).Not())
	b.guards = append(b.guards, rule{when: bad, outcome: b.refuse(byTLS, 0, "the server does not take the name in the certificate", b.origins()...), text: "another identity"})
}

// otherChains are the places behind the chains for the port of a connection that none of them takes: they say what the port takes instead.
func (b *builder) otherChains() []bundle.Origin {
	all := b.listener.Resource.OriginsAt(names.Part{})
	if !b.inbound {
		return all
	}
	chains := func(fits func(*wrapperspb.UInt32Value) bool) (out []bundle.Origin) {
		for _, c := range b.listener.Message.GetFilterChains() {
			if fits(c.GetFilterChainMatch().GetDestinationPort()) {
				out = append(out, b.listener.Resource.OriginsOf(names.ChainPart(c.GetName()))...)
			}
		}
		return out
	}
	own := chains(func(port *wrapperspb.UInt32Value) bool { return port.GetValue() == uint32(b.conn.To.Port()) })
	if len(own) == 0 {
		own = chains(func(port *wrapperspb.UInt32Value) bool { return port == nil })
	}
	return append(own, all...)
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
	return (&outcome{passes: passing, bare: true, end: "goes where it was dialed, untouched", untouched: true, leaves: true, text: "goes where it was dialed, untouched"}).seal()
}

// network reads the network filters of the chain.
func (b *builder) network(ends bool) (*hop, error) {
	for _, f := range b.chain.GetFilters() {
		a := f.GetTypedConfig()
		if m, ok := unpack(a, &networkrbacv3.RBAC{}); ok {
			was := b.is.HTTP
			b.is.HTTP = false
			b.rbac(m.GetRules(), m.GetShadowRules(), m.GetShadowRulesStatPrefix())
			b.matchers(m.GetMatcher(), m.GetShadowMatcher())
			b.is.HTTP = was
			continue
		}
		if m, ok := unpack(a, &networkauthzv3.ExtAuthz{}); ok {
			if err := b.external(m.GetFilterEnabledMetadata() != nil, "asks "+m.GetGrpcService().GetEnvoyGrpc().GetClusterName(), m.GetFailureModeAllow(), m); err != nil {
				return nil, err
			}
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
			b.sni, b.is.AsksSNI = true, true
			continue
		}
		if f.GetConfigDiscovery() != nil {
			b.odd = append(b.odd, "filter "+f.GetName()+", which comes from elsewhere: "+text.Message(f.GetConfigDiscovery()))
			continue
		}
		if err := b.filter(f.GetName(), a); err != nil {
			return nil, err
		}
	}
	if len(b.odd) > 0 {
		return b.finish(nil, &outcome{passes: passing, end: "filters of its own", text: "filters of its own"}), nil
	}
	return b.finish(nil, b.refuse(byTLS, 0, "no filter of the chain sends it anywhere", b.origins()...)), nil
}

// logs notes where accesses are logged.
func (b *builder) logs(what string, list []*accesslogv3.AccessLog) error {
	for _, l := range list {
		if err := b.helper(setting{topic: Observability, name: strings.TrimSpace(what + " access log"), value: text.Message(l)}, l); err != nil {
			return err
		}
	}
	return nil
}

// helper adds a setting with the clusters that its message names: where logs, traces and questions go, and how.
func (b *builder) helper(s setting, m proto.Message) error {
	b.settings = append(b.settings, s)
	for _, name := range serviceClusters(m) {
		d, err := b.destination(b.p, name)
		if err != nil {
			return err
		}
		b.read = append(b.read, d.read...)
		b.resources = append(b.resources, d.resources...)
		to := setting{topic: s.topic, name: s.name + " goes to", value: d.end}
		b.settings = append(b.settings, to)
		for _, x := range d.settings {
			x.name, x.with = s.name+" at "+x.name, to.text()
			x.show = false
			if x.topic != Encryption {
				x.topic = Tuning
			}
			b.settings = append(b.settings, x)
		}
	}
	return nil
}

// serviceClusters lists the clusters of the services that a message names.
func serviceClusters(m proto.Message) []string {
	var out []string
	add := func(s string) {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	var visit func(m protoreflect.Message)
	visit = func(m protoreflect.Message) {
		switch x := m.Interface().(type) {
		case *corev3.GrpcService_EnvoyGrpc:
			add(x.GetClusterName())
		case *corev3.HttpUri:
			add(x.GetCluster())
		case *anypb.Any:
			if inner, err := x.UnmarshalNew(); err == nil {
				visit(inner.ProtoReflect())
			}
			return
		}
		m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case fd.IsMap():
				if fd.MapValue().Message() != nil {
					v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool { visit(e.Message()); return true })
				}
			case fd.Message() == nil:
			case fd.IsList():
				for i := range v.List().Len() {
					visit(v.List().Get(i).Message())
				}
			default:
				visit(v.Message())
			}
			return true
		})
	}
	if m != nil && m.ProtoReflect().IsValid() {
		visit(m.ProtoReflect())
	}
	slices.Sort(out)
	return out
}

// filterTopics are the topics of filters that neither route nor refuse, by the beginning of their type; what is not named here
// cannot be judged.
var filterTopics = []struct{ prefix, topic string }{
	{"http.grpc_stats.", Observability}, {"http.grpc_web.", Routing}, {"http.set_filter_state.", Tuning}, {"http.compressor.", Routing}, {"http.dynamic_forward_proxy.", Tuning},
	{"http.router.", Tuning}, {"network.set_filter_state.", Tuning}, {"network.sni_dynamic_forward_proxy", Tuning}, {"network.mongo_proxy", Observability},
	{"stats.PluginConfig", Observability}, {"http.local_ratelimit", Routing}, {"http.ratelimit", Routing}, {"network.local_ratelimit", Routing}, {"network.ratelimit", Routing},
	{"network.connection_limit", Routing},
}

// topicOf is the topic of a filter; "" for one that cannot be judged.
func topicOf(kind string) string {
	for _, t := range filterTopics {
		if strings.HasPrefix(kind, t.prefix) {
			return t.topic
		}
	}
	return ""
}

// filter notes a filter that this package knows no more of than its configuration.
func (b *builder) filter(name string, a *anypb.Any) error {
	topic := topicOf(shortType(a.GetTypeUrl()))
	if topic == "" {
		b.odd = append(b.odd, "filter "+name+" "+text.Message(a))
		return nil
	}
	return b.helper(setting{topic: topic, name: "filter " + shortType(a.GetTypeUrl()), value: text.Message(a)}, a)
}

func shortType(url string) string {
	return strings.TrimPrefix(url[strings.LastIndexByte(url, '/')+1:], "envoy.extensions.filters.")
}

// rbac adds the refusals of an RBAC filter, and reads of its shadow rules when an external authorizer is asked.
func (b *builder) rbac(rules, shadow *rbacv3.RBAC, prefix string) {
	if shadow != nil && prefix == customPrefix { // other shadow rules are dry runs, which refuse nothing
		b.is.Custom = b.is.Policies(shadow)
	}
	if rules == nil {
		return
	}
	origins := b.ruleOrigins(rules)
	switch rules.GetAction() {
	case rbacv3.RBAC_ALLOW:
		b.guards = append(b.guards, rule{when: b.is.Policies(rules).Not(), text: "no ALLOW rule matches", outcome: b.refuse(byPolicy, 403, "no ALLOW rule matches", origins...)})
	case rbacv3.RBAC_DENY:
		b.guards = append(b.guards, rule{when: b.is.Policies(rules), text: "a DENY rule matches", outcome: b.refuse(byPolicy, 403, "a DENY rule matches", origins...)})
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
	if len(out) == 0 { // a policy of which no rule can hold, as one about methods on a port without HTTP
		for _, o := range b.listener.Resource.Origins {
			if o.Kind == "AuthorizationPolicy" {
				out = append(out, o)
			}
		}
	}
	return out
}

// customPrefix is before the names of rules that say when an external authorizer is asked.
const customPrefix = "istio_ext_authz_"

// matchers notes rules that are written as a matcher, which this package does not read.
func (b *builder) matchers(rules, shadow *xdsmatcherv3.Matcher) {
	for _, m := range []*xdsmatcherv3.Matcher{rules, shadow} {
		if m != nil {
			b.odd = append(b.odd, "access rules as a matcher "+text.Message(m))
		}
	}
}

// external adds an external authorizer.
func (b *builder) external(sometimes bool, how string, open bool, m proto.Message) error {
	when := sets.Always()
	if sometimes {
		when = b.is.Custom
	}
	if open {
		how += "; passes when it does not answer"
	}
	b.asks = append(b.asks, ask{when: when, setting: setting{topic: topics.Guard, name: "external authorizer", value: how}})
	settings := b.settings
	err := b.helper(setting{topic: Routing, name: "external authorizer", value: condition.Fingerprint([]byte(text.Message(m)))}, m)
	b.asks[len(b.asks)-1].more = slices.Clone(b.settings[len(settings):])
	b.settings = settings
	return err
}

func (b *builder) tcp(m *tcpv3.TcpProxy) (*hop, error) {
	if err := b.logs("", m.GetAccessLog()); err != nil {
		return nil, err
	}
	b.settings = append(b.settings, fieldSettings("", m, topics.Tcp)...)
	if t := m.GetIdleTimeout(); t != nil && t.AsDuration().Hours() != 1 {
		b.settings = append(b.settings, setting{topic: Tuning, name: "idle timeout", value: t.AsDuration().String()})
	}
	for _, h := range m.GetHashPolicy() {
		b.settings = append(b.settings, setting{topic: Tuning, name: "hash", value: text.Message(h)})
	}
	if t := m.GetTunnelingConfig(); t != nil {
		b.settings = append(b.settings, setting{topic: Routing, name: "tunnel", value: text.Message(t)})
	}
	o := &outcome{origins: b.origins()}
	var list []share
	for _, w := range m.GetWeightedClusters().GetClusters() {
		list = append(list, share{w.GetName(), float64(w.GetWeight()), fieldSettings("", w, topics.Share)})
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
	h := &hop{rules: b.guards, read: b.read}
	complete := func(o *outcome, more ...setting) *outcome {
		one := *o
		one.gateway = b.gateway
		if len(b.vouching) > 0 { // else outcomes share what may be thousands
			one.origins = append(b.vouching[:len(b.vouching):len(b.vouching)], o.origins...)
		}
		one.resources = append(append([]string(nil), b.resources...), o.resources...)
		one.undecided = append(append([]string(nil), b.odd...), o.undecided...)
		if one.untouched && b.chain != nil {
			one.via = b.listener.Message.GetName()
			if !b.inbound {
				one.via += fmt.Sprint(b.managed)
			}
		}
		if !one.bare {
			one.settings = append(append(append([]setting(nil), b.settings...), o.settings...), more...)
		}
		return one.seal()
	}
	for _, r := range append(rules, rule{when: sets.Always(), outcome: otherwise}) {
		for _, a := range b.asks {
			h.rules = append(h.rules, rule{when: sets.All(a.when, r.when), outcome: complete(r.outcome, append(a.more, a.setting)...), text: r.text})
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
