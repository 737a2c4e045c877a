package schema

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// virtualService checks what relates the fields of a VirtualService: one without hosts is a delegate, which another one
// refers to.
func (r *rules) virtualService(vs *networking.VirtualService) {
	delegate := len(vs.Hosts) == 0
	mesh := len(vs.Gateways) == 0 || slices.Contains(vs.Gateways, "mesh")
	if delegate {
		if len(vs.Gateways) > 0 {
			r.bad(at{"gateways"}, "Remove gateways, or give the VirtualService hosts.", "a VirtualService without hosts is a delegate and takes its gateways from the one that refers to it")
		}
		if len(vs.Tcp) > 0 || len(vs.Tls) > 0 {
			r.bad(at{"tcp"}, "Give the VirtualService hosts.", "a VirtualService without hosts is a delegate, and delegates have http routes only")
		}
	}
	for i, g := range vs.Gateways {
		r.gatewayName(at{"gateways", i}, g)
	}
	overlaps := overlapping(vs.Hosts)
	for i, h := range vs.Hosts {
		if h == "*" && mesh {
			r.bad(at{"hosts", i}, "Name the hosts, or bind it to a gateway only.", "the host * cannot be used by sidecars (gateway mesh)")
			continue
		}
		if !strings.HasPrefix(h, "outbound_") || mesh || len(vs.Tls) == 0 { // a server name of AUTO_PASSTHROUGH
			r.calledHost(at{"hosts", i}, h)
		}
		if j, ok := overlaps[i]; ok {
			r.bad(at{"hosts", i}, "Keep one of the two.", "the hosts %s and %s overlap", vs.Hosts[j], h)
		}
	}
	if len(vs.Http)+len(vs.Tcp)+len(vs.Tls) == 0 {
		r.bad(nil, "Add at least one route.", "the VirtualService has no http, tcp or tls route")
	}
	r.exportTo(at{"exportTo"}, vs.ExportTo, false)
	for i, h := range vs.Http {
		r.httpRoute(at{"http", i}, h, delegate)
		if mesh {
			r.noClaims(at{"http", i}, h)
		}
	}
	for i, t := range vs.Tcp {
		r.tcpRoute(at{"tcp", i}, t)
	}
	hosts := newHostSet(vs.Hosts)
	for i, t := range vs.Tls {
		r.tlsRoute(at{"tls", i}, t, hosts, mesh)
	}
}

func (r *rules) tcpRoute(p at, t *networking.TCPRoute) {
	for i, m := range t.Match {
		r.connectionMatch(p.to("match", i), m)
	}
	if len(t.Route) == 0 {
		r.bad(p, "Add route with a destination.", "the TCP route leads nowhere")
	}
	r.weighted(p.to("route"), t.Route)
}

// noClaims refuses matches by claims of a token in routes of sidecars, which check no tokens.
func (r *rules) noClaims(p at, h *networking.HTTPRoute) {
	for i, m := range h.Match {
		for _, f := range [...]struct {
			name string
			m    map[string]*networking.StringMatch
		}{{"headers", m.Headers}, {"withoutHeaders", m.WithoutHeaders}} {
			for _, k := range keys(f.m) {
				if isClaim(k) {
					r.bad(p.to("match", i, f.name, k), "Bind the VirtualService to gateways only.", "%s matches a claim of a token, which only gateways can do", k)
				}
			}
		}
	}
}

// isClaim tells whether the name of a header stands for a claim: @request.auth.claims.NAME or @request.auth.claims[NAME].
func isClaim(name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(name), "@request.auth.claims")
	return ok && len(rest) > 1 && (rest[0] == '.' || rest[0] == '[' && strings.HasSuffix(rest, "]"))
}

// layer4 is what matches of TCP and TLS routes have in common.
type layer4 interface {
	GetDestinationSubnets() []string
	GetPort() uint32
	GetSourceLabels() map[string]string
	GetGateways() []string
}

func (r *rules) connectionMatch(p at, m layer4) {
	for i, s := range m.GetDestinationSubnets() {
		if !ipOrCIDR(s) {
			r.bad(p.to("destinationSubnets", i), "Write 10.0.0.1 or 10.0.0.0/8.", "%q is not an IP address or CIDR block", s)
		}
	}
	if m.GetPort() != 0 {
		r.port(p.to("port"), m.GetPort())
	}
	for i, g := range m.GetGateways() {
		r.gatewayName(p.to("gateways", i), g)
	}
	r.labels(p.to("sourceLabels"), m.GetSourceLabels())
}

func (r *rules) tlsRoute(p at, t *networking.TLSRoute, hosts *hostSet, mesh bool) {
	if len(t.Match) == 0 {
		r.bad(p, "Add match with sniHosts.", "a TLS route must say which server names it takes")
	}
	for i, m := range t.Match {
		q := p.to("match", i)
		r.connectionMatch(q, m)
		if len(m.SniHosts) == 0 {
			r.bad(q, "Add sniHosts.", "a match of a TLS route needs sniHosts")
		}
		for j, s := range m.SniHosts {
			if !strings.HasPrefix(s, "outbound_") || mesh {
				r.calledHost(q.to("sniHosts", j), s)
			}
			if !hosts.covers(s) {
				r.bad(q.to("sniHosts", j), "Add it to hosts, or correct it.", "the server name %s is not among the hosts of the VirtualService", s)
			}
		}
	}
	if len(t.Route) == 0 {
		r.bad(p, "Add route with a destination.", "the TLS route leads nowhere")
	}
	r.weighted(p.to("route"), t.Route)
}

func (r *rules) gatewayName(p at, g string) {
	const help = "Write NAMESPACE/NAME, NAME for a Gateway of the same namespace, or mesh."
	ns, name, ok := strings.Cut(g, "/")
	if !ok {
		ns, name = ".", g
	}
	if ns != "." && !dnsLabel.MatchString(ns) {
		r.bad(p, help, "%q names no namespace before the slash", g)
	}
	if fqdn(name) != "" {
		r.bad(p, help, "%q is not the name of a Gateway", g)
	}
}

// destinations is what HTTP routes (with headers) and TCP routes have in common.
type destination interface {
	GetDestination() *networking.Destination
	GetWeight() int32
}

func (r *rules) weighted(p at, routes []*networking.RouteDestination) {
	weigh(r, p, routes)
}

func weigh[T destination](r *rules, p at, routes []T) {
	total := int64(0)
	for i, d := range routes {
		r.destination(p.to(i, "destination"), d.GetDestination())
		if d.GetWeight() < 0 {
			r.bad(p.to(i, "weight"), "Use 0 or more.", "the weight %d is negative", d.GetWeight())
		}
		total += int64(d.GetWeight())
	}
	if total > math.MaxUint32 {
		r.bad(p, "Make the weights smaller, as 90 and 10.", "the weights add up to %d; Envoy takes at most %d", total, math.MaxUint32)
	}
	if len(routes) > 1 && total == 0 {
		r.bad(p, "Give the destinations weights.", "the weights of %d destinations add up to 0", len(routes))
	}
}

func (r *rules) destination(p at, d *networking.Destination) {
	if d == nil {
		r.bad(p, "Name the host.", "the destination is missing")
		return
	}
	if d.Host == "*" {
		r.bad(p.to("host"), "Name the host.", "a destination cannot be *")
	} else {
		r.wildcardHost(p.to("host"), d.Host)
	}
	if d.Subset != "" {
		r.subsetName(p.to("subset"), d.Subset)
	}
	if d.Port != nil {
		r.port(p.to("port", "number"), d.Port.Number)
	}
}

func (r *rules) subsetName(p at, s string) {
	if !label.MatchString(s) {
		r.bad(p, "Use letters, digits and dashes.", "%q is not a name for a subset", s)
	}
}

func (r *rules) httpRoute(p at, h *networking.HTTPRoute, delegate bool) {
	r.actions(p, h, delegate)
	for i, m := range h.Match {
		r.httpMatch(p.to("match", i), m)
	}
	if h.Delegate == nil {
		weigh(r, p.to("route"), h.Route)
	}
	for i, d := range h.Route {
		r.headers(p.to("route", i, "headers"), d.Headers)
	}
	r.headers(p.to("headers"), h.Headers)
	r.headerOperations(p, h)
	r.fault(p.to("fault"), h.Fault)
	r.redirect(p, h)
	r.rewrite(p.to("rewrite"), h)
	r.authority(p, h)
	r.retries(p.to("retries"), h.Retries)
	r.mirrors(p, h)
	r.cors(p.to("corsPolicy"), h.CorsPolicy)
	if s := h.GetDirectResponse(); s != nil {
		r.status(p.to("directResponse", "status"), int64(s.Status))
		if n := max(len(s.GetBody().GetString_()), len(s.GetBody().GetBytes())); n > 1<<20 {
			r.bad(p.to("directResponse", "body"), "Serve large answers from a service.", "the body has %d bytes; the limit is 1 MiB", n)
		}
	}
}

// actions holds a route to one thing to do with a request.
func (r *rules) actions(p at, h *networking.HTTPRoute, delegate bool) {
	var set []string
	for _, a := range []struct {
		name string
		set  bool
	}{{"route", len(h.Route) > 0}, {"redirect", h.Redirect != nil}, {"directResponse", h.DirectResponse != nil}, {"delegate", h.Delegate != nil}} {
		if a.set {
			set = append(set, a.name)
		}
	}
	switch {
	case len(set) == 0:
		r.bad(p, "Add route, redirect or directResponse.", "the HTTP route does nothing with a request")
	case len(set) > 1:
		r.bad(p.to(set[1]), "Keep one of them.", "an HTTP route cannot have both %s", strings.Join(set, " and "))
	}
	if h.Redirect != nil || h.DirectResponse != nil {
		for _, f := range []struct {
			name string
			set  bool
		}{{"fault", h.Fault != nil}, {"rewrite", h.Rewrite != nil}} {
			if f.set && h.Delegate == nil {
				r.bad(p.to(f.name), "Keep one of them.", "an HTTP route cannot have both %s and %s", set[0], f.name)
			}
		}
	}
	if delegate && h.Delegate != nil {
		r.bad(p.to("delegate"), "Write the routes here.", "a delegate cannot delegate further")
	}
}

func (r *rules) status(p at, s int64) {
	if s < 200 || s > 599 {
		r.bad(p, "Use a status from 200 to 599.", "the HTTP status %d is not in the range 200 to 599", s)
	}
}

func (r *rules) stringMatch(p at, m *networking.StringMatch) {
	switch t := m.GetMatchType().(type) {
	case *networking.StringMatch_Prefix:
		if t.Prefix == "" {
			r.bad(p.to("prefix"), "Remove the match, or say what it must begin with.", "the prefix is empty and matches everything")
		}
	case *networking.StringMatch_Regex:
		if t.Regex == "" {
			r.bad(p.to("regex"), "Use .* to match everything.", "the regular expression is empty")
			return
		}
		r.regex(p.to("regex"), t.Regex)
	}
}

func (r *rules) httpMatch(p at, m *networking.HTTPMatchRequest) {
	for _, f := range []struct {
		name string
		m    *networking.StringMatch
	}{{"uri", m.Uri}, {"scheme", m.Scheme}, {"method", m.Method}, {"authority", m.Authority}} {
		if _, prefix := f.m.GetMatchType().(*networking.StringMatch_Prefix); f.name != "uri" || !prefix { // any path has the empty prefix
			r.stringMatch(p.to(f.name), f.m)
		}
	}
	for _, f := range []struct {
		name string
		m    map[string]*networking.StringMatch
	}{{"headers", m.Headers}, {"withoutHeaders", m.WithoutHeaders}, {"queryParams", m.QueryParams}} {
		for _, k := range keys(f.m) {
			switch {
			case f.name == "queryParams" && k == "":
				r.bad(p.to(f.name, k), "Name the parameter.", "the query parameter has no name")
			case f.name != "queryParams" && !isClaim(k):
				r.matchedHeader(p.to(f.name, k), k)
			}
			if f.m[k].GetRegex() != "*" { // any value: the header is there, or not
				r.stringMatch(p.to(f.name, k), f.m[k])
			}
		}
	}
	if m.Port != 0 {
		r.port(p.to("port"), m.Port)
	}
	for i, g := range m.Gateways {
		r.gatewayName(p.to("gateways", i), g)
	}
	r.labels(p.to("sourceLabels"), m.SourceLabels)
	if ns := m.SourceNamespace; ns != "" && !label.MatchString(ns) {
		r.bad(p.to("sourceNamespace"), "Write the name of a namespace.", "%q is not a namespace", ns)
	}
}

// matchedHeader is about a header that a route looks at: one by its name, or what HTTP/2 has in its place.
func (r *rules) matchedHeader(p at, k string) {
	pseudo := []string{":method", ":scheme", ":authority", ":path", ":status"}
	if strings.HasPrefix(k, ":") && !slices.Contains(pseudo, k) {
		r.bad(p, "Use "+strings.Join(pseudo, ", ")+", or the name of a header.", "HTTP has no pseudo-header %q", k)
		return
	}
	r.headerName(p, k)
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (r *rules) headers(p at, h *networking.Headers) {
	for _, d := range []struct {
		name string
		ops  *networking.Headers_HeaderOperations
	}{{"request", h.GetRequest()}, {"response", h.GetResponse()}} {
		for _, f := range []struct {
			name string
			m    map[string]string
		}{{"set", d.ops.GetSet()}, {"add", d.ops.GetAdd()}} {
			for _, k := range keys(f.m) {
				q := p.to(d.name, f.name, k)
				r.changedHeader(q, k, d.name == "request")
				r.headerValue(q, f.m[k])
			}
		}
		for i, k := range d.ops.GetRemove() {
			r.changedHeader(p.to(d.name, "remove", i), k, false)
		}
	}
}

// changedHeader refuses what Envoy cannot change: pseudo-headers and the host, but for the host of a request, which may be set.
func (r *rules) changedHeader(p at, k string, authority bool) {
	host := strings.EqualFold(k, "host") || strings.EqualFold(k, ":authority")
	switch why, help := headerNameText(k); {
	case why != "":
		r.bad(p, help, "%s", why)
	case host && authority:
	case host || strings.HasPrefix(k, ":"):
		r.bad(p, "Use the name of another header; rewrite changes path and host.", "%q cannot be changed here: Envoy has it from the request line", k)
	}
}

// maxHeaderOperations is how many headers a route, and each of its weighted destinations, may set and add in one direction.
const maxHeaderOperations = 1000

// headerOperations counts as they are lowered: those of a single destination become the route's.
func (r *rules) headerOperations(p at, h *networking.HTTPRoute) {
	count := func(h *networking.Headers) [2]int {
		return [2]int{len(h.GetRequest().GetSet()) + len(h.GetRequest().GetAdd()), len(h.GetResponse().GetSet()) + len(h.GetResponse().GetAdd())}
	}
	check := func(p at, n [2]int) {
		for i, side := range [...]string{"request", "response"} {
			if n[i] > maxHeaderOperations {
				r.bad(p.to("headers", side), "Set fewer headers, or let the service do it.", "the %s has %d headers to set and add; Envoy takes at most %d", side, n[i], maxHeaderOperations)
			}
		}
	}
	route := count(h.Headers)
	for i, d := range h.Route {
		n := count(d.GetHeaders())
		if len(h.Route) > 1 {
			check(p.to("route", i), n)
			continue
		}
		route[0], route[1] = route[0]+n[0], route[1]+n[1]
	}
	check(p, route)
}

func (r *rules) fault(p at, f *networking.HTTPFaultInjection) {
	if f == nil {
		return
	}
	if f.Abort == nil && f.Delay == nil {
		r.bad(p, "Add abort or delay.", "the fault injects nothing")
	}
	if a := f.Abort; a != nil {
		if a.Percentage != nil {
			r.percent(p.to("abort", "percentage", "value"), a.Percentage.Value)
		}
		switch e := a.ErrorType.(type) {
		case *networking.HTTPFaultInjection_Abort_HttpStatus:
			r.status(p.to("abort", "httpStatus"), int64(e.HttpStatus))
		case *networking.HTTPFaultInjection_Abort_GrpcStatus:
			if !slices.Contains(grpcStatuses(), e.GrpcStatus) {
				r.bad(p.to("abort", "grpcStatus"), "Use one of "+strings.Join(grpcStatuses(), ", ")+".", "%q is not a gRPC status", e.GrpcStatus)
			}
		}
	}
	if d := f.Delay; d != nil {
		if d.Percentage != nil {
			r.percent(p.to("delay", "percentage", "value"), d.Percentage.Value)
		}
		if d.Percent < 0 || d.Percent > 100 {
			r.bad(p.to("delay", "percent"), "Use 0 to 100.", "the percentage %d is out of range", d.Percent)
		}
	}
}

func grpcStatuses() []string {
	return []string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}
}

func (r *rules) redirect(p at, h *networking.HTTPRoute) {
	d := h.Redirect
	if d == nil {
		return
	}
	q := p.to("redirect")
	if n := d.GetPort(); n != 0 {
		r.port(q.to("port"), n)
	}
	if c := d.RedirectCode; c != 0 && (c < 300 || c > 399) {
		r.bad(q.to("redirectCode"), "Use 301, 302, 303, 307 or 308.", "%d is not a redirect status", c)
	}
	if d.Uri != "" && d.PrefixRewrite != "" {
		r.bad(q.to("prefixRewrite"), "Keep one of the two.", "a redirect takes uri or prefixRewrite, not both")
	}
	if d.PrefixRewrite != "" {
		for i, m := range h.Match {
			if m.Uri != nil && m.Uri.GetPrefix() == "" {
				r.bad(p.to("match", i, "uri"), "Match the path by prefix.", "a redirect with prefixRewrite needs matches by prefix, because the prefix is what it replaces")
			}
		}
	}
	if d.Uri == "" && d.Authority == "" && d.PrefixRewrite == "" && d.Scheme == "" && d.RedirectPort == nil {
		r.bad(q, "Say where to: uri, authority, scheme or port.", "the redirect changes nothing")
	}
	r.oneLine(q.to("uri"), d.Uri)
	r.oneLine(q.to("prefixRewrite"), d.PrefixRewrite)
	r.oneLine(q.to("authority"), d.Authority)
	if s := d.Scheme; s != "" && s != "http" && s != "https" {
		r.bad(q.to("scheme"), "Use http or https.", "%q is not a scheme for a redirect", s)
	}
}

func (r *rules) rewrite(p at, h *networking.HTTPRoute) {
	w := h.Rewrite
	if w == nil {
		return
	}
	switch {
	case w.Uri == "" && w.UriRegexRewrite == nil && w.Authority == "":
		r.bad(p, "Add uri, uriRegexRewrite or authority.", "the rewrite changes nothing")
	case w.Uri != "" && w.UriRegexRewrite != nil:
		r.bad(p.to("uriRegexRewrite"), "Keep one of the two.", "a rewrite takes uri or uriRegexRewrite, not both")
	}
	if x := w.UriRegexRewrite; x != nil {
		if x.Match == "" || x.Rewrite == "" {
			r.bad(p.to("uriRegexRewrite"), "Give both.", "uriRegexRewrite needs match and rewrite")
		}
		r.regex(p.to("uriRegexRewrite", "match"), x.Match)
	}
	r.oneLine(p.to("uri"), w.Uri)
	r.oneLine(p.to("authority"), w.Authority)
}

// authority is set by a rewrite or by one header, not by several.
func (r *rules) authority(p at, h *networking.HTTPRoute) {
	set := h.GetRewrite().GetAuthority() != ""
	for _, f := range []struct {
		name string
		m    map[string]string
	}{{"set", h.GetHeaders().GetRequest().GetSet()}, {"add", h.GetHeaders().GetRequest().GetAdd()}} {
		for _, k := range keys(f.m) {
			if !strings.EqualFold(k, "host") && !strings.EqualFold(k, ":authority") {
				continue
			}
			if set {
				r.bad(p.to("headers", "request", f.name, k), "Keep one of them.", "the authority is set more than once: by rewrite or another header, and by %s", k)
			}
			set = true
		}
	}
}

func retryPolicies() []string {
	return []string{"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx", "refused-stream",
		"retriable-status-codes", "retriable-headers", "http3-post-connect-failure", "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}
}

func (r *rules) retries(p at, t *networking.HTTPRetry) {
	if t == nil {
		return
	}
	if t.Attempts < 0 {
		r.bad(p.to("attempts"), "Use 0 to switch retries off.", "the number of attempts is negative")
	}
	if t.Attempts == 0 && (t.PerTryTimeout != nil || t.RetryOn != "" || t.RetryRemoteLocalities != nil) {
		r.bad(p, "Give attempts, or remove the other settings.", "retries are configured, but attempts is 0, which switches them off")
	}
	if t.RetryOn == "" {
		return
	}
	for _, on := range strings.Split(t.RetryOn, ",") {
		if bare := strings.TrimSpace(on); bare != on && bare != "" {
			r.bad(p.to("retryOn"), "Remove the spaces.", "the condition %q has spaces around it, and is not taken with them", bare)
			continue
		}
		if code, err := strconv.Atoi(on); err == nil {
			if http.StatusText(code) == "" {
				r.bad(p.to("retryOn"), "Use a status that HTTP defines, as 503, or a condition, as 5xx.", "%q is not an HTTP status", on)
			}
			continue
		}
		if !slices.Contains(retryPolicies(), on) {
			r.bad(p.to("retryOn"), "Use "+strings.Join(retryPolicies(), ", ")+" or an HTTP status.", "%q is not a condition for a retry", on)
		}
	}
}

func (r *rules) mirrors(p at, h *networking.HTTPRoute) {
	if h.Mirror != nil {
		r.destination(p.to("mirror"), h.Mirror)
		if len(h.Mirrors) > 0 {
			r.bad(p.to("mirrors"), "Use mirrors alone.", "a route takes mirror or mirrors, not both")
		}
	}
	if v := h.MirrorPercent; v != nil && v.Value > 100 {
		r.bad(p.to("mirrorPercent"), "Use 0 to 100.", "the percentage %d is out of range", v.Value)
	}
	if v := h.MirrorPercentage; v != nil && (v.Value < 0 || v.Value > 100) {
		r.bad(p.to("mirrorPercentage", "value"), "Use 0 to 100.", "the percentage %v is out of range", v.Value)
	}
	for i, m := range h.Mirrors {
		r.destination(p.to("mirrors", i, "destination"), m.Destination)
		if v := m.Percentage; v != nil && (v.Value < 0 || v.Value > 100) {
			r.bad(p.to("mirrors", i, "percentage", "value"), "Use 0 to 100.", "the percentage %v is out of range", v.Value)
		}
	}
}

func (r *rules) cors(p at, c *networking.CorsPolicy) {
	if c == nil {
		return
	}
	for i, o := range c.AllowOrigins {
		if o.GetMatchType() == nil {
			r.bad(p.to("allowOrigins", i), "Use exact, prefix or regex.", "the origin has no way to match")
			continue
		}
		if o.GetExact() == "" && o.GetPrefix() == "" && o.GetRegex() == "" {
			r.bad(p.to("allowOrigins", i), "Name the origin.", "the origin is empty")
			continue
		}
		r.stringMatch(p.to("allowOrigins", i), o)
	}
	for i, m := range c.AllowMethods {
		if !slices.Contains([]string{"*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"}, m) {
			r.bad(p.to("allowMethods", i), "Write the method in capitals.", "%q is not an HTTP method", m)
		}
	}
	for _, f := range []struct {
		name string
		list []string
	}{{"allowHeaders", c.AllowHeaders}, {"exposeHeaders", c.ExposeHeaders}} {
		for i, h := range f.list {
			if h != "*" {
				r.headerName(p.to(f.name, i), h)
			}
		}
	}
}
