package trace

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/trace/match"
	"github.com/meshc/meshc/compiler/trace/urlpath"
)

// redirect returns where a redirect leads to.
func redirect(x *exchange, a *routev3.RedirectAction, c *match.Call) (string, int, error) {
	scheme, path := x.scheme, c.Path
	host := urlpath.StripPort(c.Authority)
	port := strings.TrimPrefix(strings.TrimPrefix(c.Authority, host), ":")
	if a.GetHttpsRedirect() {
		scheme = "https"
	} else if a.GetSchemeRedirect() != "" {
		scheme = a.GetSchemeRedirect()
	}
	if scheme != x.scheme && (x.scheme == "http" && port == "80" || x.scheme == "https" && port == "443") {
		port = ""
	}
	if a.GetHostRedirect() != "" {
		host, port = a.GetHostRedirect(), ""
	}
	if a.GetPortRedirect() != 0 {
		port = fmt.Sprint(a.GetPortRedirect())
	}
	var err error
	switch p := a.GetPathRewriteSpecifier().(type) {
	case *routev3.RedirectAction_PathRedirect:
		if p.PathRedirect != "" {
			_, query := urlpath.CutQuery(path)
			if path = p.PathRedirect; !strings.Contains(path, "?") {
				path += query
			}
		}
	case *routev3.RedirectAction_PrefixRewrite:
		if p.PrefixRewrite != "" {
			path = urlpath.SwapPrefix(x.route.GetMatch(), path, p.PrefixRewrite)
		}
	case *routev3.RedirectAction_RegexRewrite:
		path, err = urlpath.RegexRewrite(path, p.RegexRewrite)
	}
	if a.GetStripQuery() {
		path, _ = urlpath.CutQuery(path)
	}
	if port != "" {
		port = ":" + port
	}
	codes := map[routev3.RedirectAction_RedirectResponseCode]int{routev3.RedirectAction_FOUND: 302, routev3.RedirectAction_SEE_OTHER: 303,
		routev3.RedirectAction_TEMPORARY_REDIRECT: 307, routev3.RedirectAction_PERMANENT_REDIRECT: 308}
	code := codes[a.GetResponseCode()]
	if code == 0 {
		code = 301
	}
	return scheme + "://" + host + port + path, code, err
}

// forward sends a request to the destinations of its route.
func (k *walk) forward(s state, x *exchange, a *routev3.RouteAction, st Step) (*Path, error) {
	st.Effects = append(st.Effects, actionEffects(x, a)...)
	rewritten, err := rewrite(x, a, &s.call)
	if err != nil {
		return nil, err
	}
	st.Effects = append(st.Effects, rewritten...)
	s.add(st)
	for _, m := range mirrorsOf(x, a) {
		p := 1.0
		if m.GetRuntimeFraction() != nil {
			p = percent(m.GetRuntimeFraction().GetDefaultValue())
		}
		if p > 0 {
			s.add(Step{Kind: "mirror", Name: m.GetCluster(), Effects: []Effect{{EffectMirror, m.GetCluster(), percentText(p)}}, Text: fmt.Sprintf("a copy of %s of the requests goes to %s; its answer is thrown away", percentText(p), clusterText(m.GetCluster())), Origins: x.origins()})
		}
	}
	host := s.call.Authority
	apply := func(s *state, add []*corev3.HeaderValueOption, remove []string) {
		for _, n := range remove {
			s.call.SetHeader(n)
		}
		for _, o := range add {
			addHeader(&s.call, o)
		}
	}
	levels := func(s *state) {
		apply(s, x.route.GetRequestHeadersToAdd(), x.route.GetRequestHeadersToRemove())
		apply(s, x.host.msg.GetRequestHeadersToAdd(), x.host.msg.GetRequestHeadersToRemove())
		apply(s, x.rc.GetRequestHeadersToAdd(), x.rc.GetRequestHeadersToRemove())
	}
	switch c := a.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		levels(&s)
		return k.cluster(s, c.Cluster, host)
	case *routev3.RouteAction_ClusterHeader:
		name, ok := s.call.Header(c.ClusterHeader)
		if !ok {
			return s.end(Failed, 503, "header "+c.ClusterHeader+" should name the cluster, and the request has none"), nil
		}
		levels(&s)
		return k.cluster(s, name, host)
	case *routev3.RouteAction_WeightedClusters:
		var list []weighted
		for i, w := range c.WeightedClusters.GetClusters() {
			list = append(list, weighted{w.GetName(), w.GetWeight().GetValue(), i})
		}
		return k.split(s, list, func(s state, one weighted) (*Path, error) {
			w := c.WeightedClusters.GetClusters()[one.index]
			apply(&s, w.GetRequestHeadersToAdd(), w.GetRequestHeadersToRemove())
			levels(&s)
			if h := w.GetHostRewriteLiteral(); h != "" {
				s.call.Authority = h
			}
			return k.cluster(s, one.name, s.call.Authority)
		})
	}
	return s.end(Depends, 0, "how the route chooses its cluster is not judged here"), nil
}

func mirrorsOf(x *exchange, a *routev3.RouteAction) []*routev3.RouteAction_RequestMirrorPolicy {
	for _, l := range [][]*routev3.RouteAction_RequestMirrorPolicy{a.GetRequestMirrorPolicies(), x.host.msg.GetRequestMirrorPolicies(), x.rc.GetRequestMirrorPolicies()} {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

// rewrite changes path and host as the route says, and tells so.
func rewrite(x *exchange, a *routev3.RouteAction, c *match.Call) ([]Effect, error) {
	path, host := c.Path, c.Authority
	var err error
	switch {
	case a.GetRegexRewrite() != nil:
		path, err = urlpath.RegexRewrite(path, a.GetRegexRewrite())
	case a.GetPrefixRewrite() != "":
		path = urlpath.SwapPrefix(x.route.GetMatch(), path, a.GetPrefixRewrite())
	}
	if err != nil {
		return nil, err
	}
	var out []Effect
	switch h := a.GetHostRewriteSpecifier().(type) {
	case *routev3.RouteAction_HostRewriteLiteral:
		host = h.HostRewriteLiteral
	case *routev3.RouteAction_HostRewriteHeader:
		if v, ok := c.Header(h.HostRewriteHeader); ok {
			host = v
		}
	case *routev3.RouteAction_HostRewritePathRegex:
		host, err = urlpath.RegexRewrite(path, h.HostRewritePathRegex)
	case *routev3.RouteAction_AutoHostRewrite:
		if h.AutoHostRewrite.GetValue() {
			out = append(out, Effect{EffectHost, "", "the name of the endpoint"})
		}
	}
	if path != c.Path {
		out = append(out, Effect{EffectPath, "", path})
	}
	if host != c.Authority {
		out = append(out, Effect{EffectHost, "", host})
	}
	if a.GetPathRewritePolicy() != nil {
		out = append(out, Effect{EffectUnjudged, "the path is rewritten by a policy that is not judged here", ""})
	}
	c.Path, c.Authority = path, host
	return out, err
}

// addHeader carries out one header operation. A value with a substitution stays as it is written.
func addHeader(c *match.Call, o *corev3.HeaderValueOption) {
	name, value := strings.ToLower(o.GetHeader().GetKey()), o.GetHeader().GetValue()
	if name == "host" || name == ":authority" {
		c.Authority = value
		return
	}
	old := c.Headers[name]
	action := o.GetAppendAction()
	if o.GetAppend() != nil && !o.GetAppend().GetValue() { //nolint:staticcheck // Envoy honours it
		action = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
	}
	switch action {
	case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
		c.SetHeader(name, append(append([]string(nil), old...), value)...)
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		if len(old) == 0 {
			c.SetHeader(name, value)
		}
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		if len(old) > 0 {
			c.SetHeader(name, value)
		}
	default:
		c.SetHeader(name, value)
	}
}

// actionEffects are the settings of a forwarding route that do not change where a request goes.
func actionEffects(x *exchange, a *routev3.RouteAction) []Effect {
	var out []Effect
	switch t := a.GetTimeout(); {
	case t == nil:
		out = append(out, Effect{EffectTimeout, "Envoy's default", "15s"})
	case t.AsDuration() > 0:
		out = append(out, Effect{EffectTimeout, "", durationText(t)})
	}
	p := a.GetRetryPolicy()
	if p == nil {
		p = x.host.msg.GetRetryPolicy()
	}
	out = append(out, retryEffects(p)...)
	for _, h := range a.GetHashPolicy() {
		switch s := h.GetPolicySpecifier().(type) {
		case *routev3.RouteAction_HashPolicy_Header_:
			out = append(out, Effect{EffectHash, "header", s.Header.GetHeaderName()})
		case *routev3.RouteAction_HashPolicy_Cookie_:
			out = append(out, Effect{EffectHash, "cookie", s.Cookie.GetName()})
		case *routev3.RouteAction_HashPolicy_QueryParameter_:
			out = append(out, Effect{EffectHash, "query parameter", s.QueryParameter.GetName()})
		case *routev3.RouteAction_HashPolicy_ConnectionProperties_:
			out = append(out, Effect{EffectHash, "address", ""})
		}
	}
	out = append(out, headerEffects("request", x.route.GetRequestHeadersToAdd(), x.route.GetRequestHeadersToRemove())...)
	return append(out, headerEffects("response", x.route.GetResponseHeadersToAdd(), x.route.GetResponseHeadersToRemove())...)
}

func retryEffects(p *routev3.RetryPolicy) []Effect {
	n := uint32(1)
	if p.GetNumRetries() != nil {
		n = p.GetNumRetries().GetValue()
	}
	if p.GetRetryOn() == "" || n == 0 {
		return nil
	}
	out := []Effect{{EffectRetries, p.GetRetryOn(), fmt.Sprint(n)}}
	if p.GetPerTryTimeout().AsDuration() > 0 {
		out = append(out, Effect{EffectPerTry, "", durationText(p.GetPerTryTimeout())})
	}
	return out
}

// headerEffects are what is done to the headers of a request or response.
func headerEffects(what string, add []*corev3.HeaderValueOption, remove []string) []Effect {
	var out []Effect
	for _, o := range add {
		verb := "set"
		if o.GetAppendAction() == corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD && (o.GetAppend() == nil || o.GetAppend().GetValue()) { //nolint:staticcheck // Envoy honours it
			verb = "add"
		}
		out = append(out, Effect{EffectHeader, what + " header " + verb, strings.ToLower(o.GetHeader().GetKey()) + ": " + o.GetHeader().GetValue()})
	}
	for _, r := range remove {
		out = append(out, Effect{EffectHeader, what + " header remove", strings.ToLower(r)})
	}
	return out
}

func durationText(d *durationpb.Duration) string { return d.AsDuration().String() }
