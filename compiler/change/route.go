package change

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/change/text"
	"github.com/meshc/meshc/compiler/change/topics"
)

// share is one of several destinations.
type share struct {
	name     string
	weight   float64
	settings []setting // of this destination alone
}

// blockAll is the virtual host for names that nobody knows, where these may not be called.
const blockAll = "block_all"

// route is the outcome of one route.
func (b *builder) route(m *hcmv3.HttpConnectionManager, rc *routev3.RouteConfiguration, vh *routev3.VirtualHost, r *routev3.Route) (*outcome, error) {
	o := &outcome{passes: passing}
	switch a := r.GetAction().(type) {
	case *routev3.Route_DirectResponse:
		d := a.DirectResponse
		o.answer, o.status = true, int(d.GetStatus())
		o.end = fmt.Sprintf("answer %d %s", d.GetStatus(), d.GetBody().GetInlineString()+string(d.GetBody().GetInlineBytes()))
		o.text = fmt.Sprintf("the route answers %d", d.GetStatus())
		switch {
		case vh.GetName() == blockAll:
			o.passes, o.reason, o.text = refused, byBlackHole, "names that nobody knows may not be called"
		case o.status >= 400:
			o.passes, o.reason = refused, byAnswer
		}
	case *routev3.Route_Redirect:
		o.answer, o.end = true, redirectText(r, a.Redirect)
		o.text = o.end
	case *routev3.Route_Route:
		if err := b.forwardRoute(o, rc, vh, r, a.Route); err != nil {
			return nil, err
		}
	default:
		return b.refuse(byRoute, 404, "the route does nothing"), nil
	}
	o.headers("response", r.GetResponseHeadersToAdd(), r.GetResponseHeadersToRemove())
	o.headers("response", vh.GetResponseHeadersToAdd(), vh.GetResponseHeadersToRemove())
	o.headers("response", rc.GetResponseHeadersToAdd(), rc.GetResponseHeadersToRemove())
	o.settings = append(o.settings, fieldSettings("", r, topics.Route)...)
	b.filtersOf(o, m, rc, vh, r)
	return o, nil
}

// redirectText says where a redirect leads.
func redirectText(r *routev3.Route, a *routev3.RedirectAction) string {
	var parts []string
	add := func(what string, v any) { parts = append(parts, fmt.Sprint(what, " ", v)) }
	switch {
	case a.GetHttpsRedirect():
		add("scheme", "https")
	case a.GetSchemeRedirect() != "":
		add("scheme", a.GetSchemeRedirect())
	}
	if a.GetHostRedirect() != "" {
		add("host", a.GetHostRedirect())
	}
	if a.GetPortRedirect() != 0 {
		add("port", a.GetPortRedirect())
	}
	switch p := a.GetPathRewriteSpecifier().(type) {
	case *routev3.RedirectAction_PathRedirect:
		if p.PathRedirect != "" {
			add("path", p.PathRedirect)
		}
	case *routev3.RedirectAction_PrefixRewrite:
		if p.PrefixRewrite != "" {
			add(matchedPart(r.GetMatch())+" to", p.PrefixRewrite)
		}
	case *routev3.RedirectAction_RegexRewrite:
		add("path by", text.Message(p.RegexRewrite))
	}
	if a.GetStripQuery() {
		parts = append(parts, "without query")
	}
	code := a.GetResponseCode().String()
	return "redirects (" + strings.ToLower(code) + ") to " + strings.Join(parts, ", ")
}

// matchedPart is what a rewrite of the prefix replaces.
func matchedPart(m *routev3.RouteMatch) string {
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		return "prefix " + p.Prefix
	case *routev3.RouteMatch_PathSeparatedPrefix:
		return "prefix " + p.PathSeparatedPrefix
	}
	return "path"
}

// forwardRoute is the outcome of a route that sends requests on.
func (b *builder) forwardRoute(o *outcome, rc *routev3.RouteConfiguration, vh *routev3.VirtualHost, r *routev3.Route, a *routev3.RouteAction) error {
	o.action(vh, r, a)
	o.headers("request", r.GetRequestHeadersToAdd(), r.GetRequestHeadersToRemove())
	o.headers("request", vh.GetRequestHeadersToAdd(), vh.GetRequestHeadersToRemove())
	o.headers("request", rc.GetRequestHeadersToAdd(), rc.GetRequestHeadersToRemove())
	mirrors := a.GetRequestMirrorPolicies()
	if len(mirrors) == 0 {
		mirrors = vh.GetRequestMirrorPolicies()
	}
	if len(mirrors) == 0 {
		mirrors = rc.GetRequestMirrorPolicies()
	}
	for _, m := range mirrors {
		share := "100%"
		if m.GetRuntimeFraction() != nil {
			share = fraction(m.GetRuntimeFraction().GetDefaultValue())
		}
		if share == "0%" {
			continue
		}
		d, err := b.destination(b.p, m.GetCluster())
		if err != nil {
			return err
		}
		mirror := setting{topic: Routing, name: "mirror", value: share + " to " + strings.TrimPrefix(d.places, atPlaces)}
		order := setting{topic: Tuning, name: "mirror by preference", value: strings.TrimPrefix(d.end, atPlaces), show: true, with: mirror.text()}
		o.settings = append(o.settings, mirror, order)
		o.resources = append(o.resources, d.resources...)
		b.read = append(b.read, d.read...)
		for _, s := range append(fieldSettings(d.name+" ", m, map[string]string{"": Routing, "cluster": "-", "runtime_fraction": "-"}), d.settings...) {
			s.name, s.with = "mirror "+s.name, mirror.text()
			o.settings = append(o.settings, s)
		}
	}
	var list []share
	switch c := a.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		list = []share{{name: c.Cluster, weight: 1}}
	case *routev3.RouteAction_WeightedClusters:
		for _, w := range c.WeightedClusters.GetClusters() {
			one := outcome{}
			one.headers("request", w.GetRequestHeadersToAdd(), w.GetRequestHeadersToRemove())
			one.headers("response", w.GetResponseHeadersToAdd(), w.GetResponseHeadersToRemove())
			one.settings = append(one.settings, fieldSettings("", w, topics.Share)...)
			if h := w.GetHostRewriteLiteral(); h != "" {
				one.settings = append(one.settings, setting{topic: Routing, name: "host", value: h})
			}
			list = append(list, share{w.GetName(), float64(w.GetWeight().GetValue()), one.settings})
		}
	default:
		o.undecided = append(o.undecided, "how the route chooses its cluster: "+text.Message(a))
		o.end = "a cluster that the request names"
		return nil
	}
	return b.forward(o, list)
}

// forward resolves where the requests of an outcome go.
func (b *builder) forward(o *outcome, list []share) error {
	total, good, n := 0.0, 0, 0
	list = slices.DeleteFunc(list, func(s share) bool { return s.weight == 0 })
	for _, s := range list {
		total += s.weight
	}
	shares, places := map[string]float64{}, map[string]float64{}
	for _, s := range list {
		d, err := b.destination(b.p, s.name)
		if err != nil {
			return err
		}
		n++
		b.read = append(b.read, d.read...)
		o.clusters = append(o.clusters, s.name)
		o.origins = append(o.origins, d.origins...)
		o.resources = append(o.resources, d.resources...)
		switch {
		case d.direction == "blackhole":
			o.reason = byBlackHole
		case d.empty && d.strangers > 0:
			o.reason = byTLS
		case d.empty:
			o.reason = byEndpoints
		default:
			good++
		}
		o.leaves = o.leaves || d.leaves
		if d.direction == "passthrough" && len(list) == 1 {
			one := direct()
			one.leaves = d.leaves
			one.clusters, one.settings, one.resources, one.origins, one.bare = []string{s.name}, append(o.settings, d.settings...), o.resources, o.origins, false
			*o = *one
			return nil
		}
		with := ""
		if len(list) > 1 && len(s.settings) > 0 {
			with = " with " + strings.Join(textsOf(s.settings), ", ")
		}
		shares[d.end+with] += s.weight / total
		places[d.places+with] += s.weight / total
		if len(list) == 1 {
			o.settings = append(o.settings, s.settings...)
		} else {
			for _, x := range s.settings {
				x.name = d.name + " " + x.name
				o.settings = append(o.settings, x)
			}
		}
		o.settings = append(o.settings, d.settings...)
	}
	o.end, o.places = sharesText(shares), sharesText(places)
	o.arrive(n, good)
	return nil
}

// sharesText is where requests go, each place with its share.
func sharesText(shares map[string]float64) string {
	var ends []string
	for _, e := range slices.Sorted(maps.Keys(shares)) {
		if len(shares) > 1 {
			e = fmt.Sprintf("%.4g%% %s", shares[e]*100, e)
		}
		ends = append(ends, e)
	}
	return strings.Join(ends, " | ")
}

// arrive resolves whether requests come to where they go: good of n destinations have something behind them.
func (o *outcome) arrive(n, good int) {
	o.text = o.end
	switch {
	case n == 0:
		o.passes, o.reason, o.end = refused, byBlackHole, "refused"
		o.text = "all weights are 0"
	case good == n:
		o.passes = passing
	case good == 0:
		o.passes = refused
		o.text = map[string]string{byBlackHole: "nothing may go there", byEndpoints: "nothing is behind " + strings.TrimPrefix(o.end, atPlaces),
			byTLS: "the certificates behind " + strings.TrimPrefix(o.end, atPlaces) + " have other names than the client expects"}[o.reason]
	default:
		o.passes = partly
	}
}

func textsOf(list []setting) (out []string) {
	for _, s := range list {
		out = append(out, s.name+" "+s.value)
	}
	return out
}

// action reads what a route does to requests besides choosing their destination.
func (o *outcome) action(vh *routev3.VirtualHost, r *routev3.Route, a *routev3.RouteAction) {
	add := func(topic, name, value string, show bool) {
		o.settings = append(o.settings, setting{topic: topic, name: name, value: value, show: show})
	}
	switch t := a.GetTimeout(); {
	case t == nil:
		add(Tuning, "timeout", "15s", true)
	case t.AsDuration() > 0:
		add(Tuning, "timeout", t.AsDuration().String(), true)
	}
	if t := a.GetIdleTimeout(); t != nil {
		add(Tuning, "idle timeout", t.AsDuration().String(), false)
	}
	if t := a.GetMaxStreamDuration(); t.GetMaxStreamDuration().AsDuration() > 0 || t.GetGrpcTimeoutHeaderMax() != nil || t.GetGrpcTimeoutHeaderOffset() != nil {
		add(Tuning, "longest stream", text.Message(t), false)
	}
	o.settings = append(o.settings, fieldSettings("", a, topics.Action)...)
	retry := a.GetRetryPolicy()
	if retry == nil {
		retry = vh.GetRetryPolicy()
	}
	if text := retryText(retry); text != "" {
		add(Tuning, "retries", text, true)
	}
	if a.GetPrefixRewrite() != "" {
		add(Routing, "rewrites "+matchedPart(r.GetMatch())+" to", a.GetPrefixRewrite(), true)
	}
	if a.GetRegexRewrite() != nil {
		add(Routing, "rewrites the path by", text.Message(a.GetRegexRewrite()), true)
	}
	if a.GetPathRewritePolicy() != nil {
		add(Routing, "rewrites the path by", text.Message(a.GetPathRewritePolicy()), true)
	}
	if name, value := hostRewrite(a); value != "" {
		add(Routing, name, value, true)
	}
	var hash []string
	for _, h := range a.GetHashPolicy() {
		hash = append(hash, text.Message(h))
	}
	if len(hash) > 0 {
		add(Tuning, "hash", strings.Join(hash, ", "), false)
	}
	for _, u := range a.GetUpgradeConfigs() {
		switch {
		case u.GetEnabled() != nil && !u.GetEnabled().GetValue():
			add(Routing, "no upgrade", u.GetUpgradeType(), true)
		case u.GetConnectConfig() != nil:
			add(Routing, "upgrade", text.Message(u), true)
		default:
			add(Routing, "upgrade", u.GetUpgradeType(), true)
		}
	}
	for _, l := range append(slices.Clone(a.GetRateLimits()), vh.GetRateLimits()...) {
		add(Routing, "rate limit", text.Message(l), true)
	}
}

// hostRewrite says what becomes of the host of a request; "" for nothing.
func hostRewrite(a *routev3.RouteAction) (name, value string) {
	switch h := a.GetHostRewriteSpecifier().(type) {
	case *routev3.RouteAction_HostRewriteLiteral:
		return "host", h.HostRewriteLiteral
	case *routev3.RouteAction_AutoHostRewrite:
		if h.AutoHostRewrite.GetValue() {
			return "host", "the name of the endpoint"
		}
	case *routev3.RouteAction_HostRewriteHeader:
		return "host", "header " + h.HostRewriteHeader
	case *routev3.RouteAction_HostRewritePathRegex:
		return "host by", text.Message(h.HostRewritePathRegex)
	}
	return "", ""
}

// retryText says when and how often a request is tried again; "" for never.
func retryText(p *routev3.RetryPolicy) string {
	n := uint32(1)
	if p.GetNumRetries() != nil {
		n = p.GetNumRetries().GetValue()
	}
	var on []string
	for s := range strings.SplitSeq(p.GetRetryOn(), ",") {
		if s = strings.TrimSpace(s); s != "" {
			on = append(on, s)
		}
	}
	slices.Sort(on)
	if on = slices.Compact(on); len(on) == 0 || n == 0 {
		return ""
	}
	out := fmt.Sprintf("%d on %s", n, strings.Join(on, ","))
	if slices.Contains(on, "retriable-status-codes") && len(p.GetRetriableStatusCodes()) > 0 {
		codes := slices.Sorted(slices.Values(p.GetRetriableStatusCodes()))
		out += fmt.Sprintf(" %v", codes)
	}
	if t := p.GetPerTryTimeout().AsDuration(); t > 0 {
		out += ", each " + t.String()
	}
	if p.GetRetryBackOff() != nil {
		out += ", back off " + text.Message(p.GetRetryBackOff())
	}
	for _, h := range p.GetRetryHostPredicate() {
		out += ", " + cmp.Or(shortType(h.GetTypedConfig().GetTypeUrl()), h.GetName())
		if len(h.GetTypedConfig().GetValue()) > 0 {
			out += " " + text.Message(h.GetTypedConfig())
		}
	}
	if p.GetRetryPriority() != nil {
		out += ", " + cmp.Or(shortType(p.GetRetryPriority().GetTypedConfig().GetTypeUrl()), p.GetRetryPriority().GetName())
		if len(p.GetRetryPriority().GetTypedConfig().GetValue()) > 0 {
			out += " " + text.Message(p.GetRetryPriority().GetTypedConfig())
		}
	}
	for _, s := range fieldSettings("", p, topics.Retry) {
		out += ", " + s.name + " " + s.value
	}
	return out
}

// headers notes what is done to headers. Of several levels that set one, the first counts.
func (o *outcome) headers(what string, add []*corev3.HeaderValueOption, remove []string) {
	for _, h := range add {
		verb := "sets"
		switch h.GetAppendAction() {
		case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			if h.GetAppend() == nil || h.GetAppend().GetValue() { //nolint:staticcheck // Envoy honours it
				verb = "adds"
			}
		case corev3.HeaderValueOption_ADD_IF_ABSENT:
			verb = "adds if absent"
		}
		name := what + " " + verb + " " + strings.ToLower(h.GetHeader().GetKey())
		if verb == "sets" && slices.ContainsFunc(o.settings, func(s setting) bool { return s.name == name }) {
			continue
		}
		o.settings = append(o.settings, setting{topic: Routing, name: name, value: h.GetHeader().GetValue() + string(h.GetHeader().GetRawValue())})
	}
	for _, n := range remove {
		o.settings = append(o.settings, setting{topic: Routing, name: what + " drops", value: strings.ToLower(n)})
	}
}

func fraction(f *typev3.FractionalPercent) string {
	n := float64(f.GetNumerator())
	switch f.GetDenominator() {
	case typev3.FractionalPercent_TEN_THOUSAND:
		n /= 100
	case typev3.FractionalPercent_MILLION:
		n /= 10_000
	}
	return fmt.Sprintf("%.6g%%", n)
}

// filtersOf reads what the filters have set for a route: faults, CORS, and filters of others.
func (b *builder) filtersOf(o *outcome, m *hcmv3.HttpConnectionManager, rc *routev3.RouteConfiguration, vh *routev3.VirtualHost, r *routev3.Route) {
	for _, f := range m.GetHttpFilters() {
		own, off := perRoute(f.GetName(), r.GetTypedPerFilterConfig(), vh.GetTypedPerFilterConfig(), rc.GetTypedPerFilterConfig())
		if x, ok := unpack(f.GetTypedConfig(), &faultv3.HTTPFault{}); ok {
			if p, ok := unpack(own, &faultv3.HTTPFault{}); ok {
				x = p
			} else if off {
				continue
			}
			o.fault(x)
			continue
		}
		if off || own == nil {
			continue
		}
		if p, ok := unpack(own, &corsv3.CorsPolicy{}); ok {
			o.settings = append(o.settings, setting{topic: Routing, name: "CORS", value: corsText(p)})
			continue
		}
		if p, ok := unpack(own, &extauthzv3.ExtAuthzPerRoute{}); ok {
			o.settings = append(o.settings, setting{topic: topics.Guard, name: "external authorizer of the route", value: text.Message(p)})
			continue
		}
		b.perRouteFilter(o, f.GetName(), own)
	}
}

func (b *builder) perRouteFilter(o *outcome, name string, own *anypb.Any) {
	kind := shortType(own.GetTypeUrl())
	switch topic := topicOf(kind); {
	case topic != "":
		o.settings = append(o.settings, setting{topic: topic, name: "filter " + kind, value: text.Message(own)})
	case !strings.Contains(own.GetTypeUrl(), "rbac"):
		o.undecided = append(o.undecided, "filter "+name+" "+text.Message(own))
	}
}

// perRoute is the most specific setting of a filter, and whether it is switched off.
func perRoute(name string, levels ...map[string]*anypb.Any) (own *anypb.Any, off bool) {
	for _, m := range levels {
		a := m[name]
		if a == nil {
			continue
		}
		if c, ok := unpack(a, &routev3.FilterConfig{}); ok {
			return c.GetConfig(), c.GetDisabled()
		}
		return a, false
	}
	return nil, false
}

// fault injects delays and aborts.
func (o *outcome) fault(m *faultv3.HTTPFault) {
	if p := fraction(m.GetDelay().GetPercentage()); m.GetDelay().GetFixedDelay() != nil && p != "0%" {
		o.settings = append(o.settings, setting{topic: Routing, name: "delay", value: p + " wait " + m.GetDelay().GetFixedDelay().AsDuration().String()})
	}
	if d := m.GetDelay(); d.GetHeaderDelay() != nil {
		o.settings = append(o.settings, setting{topic: Routing, name: "delay", value: text.Message(d)})
	}
	o.settings = append(o.settings, fieldSettings("fault ", m, topics.Fault)...)
	p := fraction(m.GetAbort().GetPercentage())
	if m.GetAbort() == nil || p == "0%" {
		return
	}
	status := int(m.GetAbort().GetHttpStatus())
	text := fmt.Sprintf("abort %s with %d", p, status)
	if g, ok := m.GetAbort().GetErrorType().(*faultv3.FaultAbort_GrpcStatus); ok {
		status = 500
		text = fmt.Sprintf("abort %s with gRPC status %d", p, g.GrpcStatus)
	}
	if p != "100%" {
		o.end += " | " + text
		o.places += " | " + text
		o.text = o.end
		return
	}
	o.answer, o.status, o.text, o.end = true, status, "fault injection answers "+fmt.Sprint(status), text
	if status >= 400 {
		o.passes, o.reason = refused, byAnswer
	}
}

// corsText is a CORS policy on one line; the order of its lists makes no difference.
func corsText(p *corsv3.CorsPolicy) string {
	if f := p.GetFilterEnabled(); f != nil && fraction(f.GetDefaultValue()) == "0%" {
		return "off"
	}
	var origins []string
	for _, m := range p.GetAllowOriginStringMatch() {
		origins = append(origins, text.Message(m))
	}
	slices.Sort(origins)
	list := func(s string) string {
		parts := strings.Split(s, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		slices.Sort(parts)
		return strings.Join(parts, ",")
	}
	return fmt.Sprintf("origins %s methods %s headers %s exposed %s age %s credentials %t others forwarded %t", strings.Join(origins, " "), list(p.GetAllowMethods()),
		list(p.GetAllowHeaders()), list(p.GetExposeHeaders()), p.GetMaxAge(), p.GetAllowCredentials().GetValue(),
		p.GetForwardNotMatchingPreflights() == nil || p.GetForwardNotMatchingPreflights().GetValue())
}
