package trace

import (
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"

	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/match"
	"github.com/meshc/meshc/compiler/trace/urlpath"
)

// hostTable are the virtual hosts of one route configuration, with an index of their names.
type hostTable struct {
	all   []located[*routev3.VirtualHost]
	exact map[string]int
	wild  []wildDomain
}

// wildDomain is a domain with a wildcard, in lower case, and the position of its virtual host.
type wildDomain struct {
	text string
	host int
}

func newHostTable(all []located[*routev3.VirtualHost]) *hostTable {
	t := &hostTable{all: all, exact: map[string]int{}}
	for i, h := range all {
		for _, d := range h.msg.GetDomains() {
			d = match.Lower(d)
			if _, taken := t.exact[d]; strings.HasPrefix(d, "*") || strings.HasSuffix(d, "*") {
				t.wild = append(t.wild, wildDomain{d, i})
			} else if !taken {
				t.exact[d] = i
			}
		}
	}
	return t
}

// pick chooses the virtual host: the exact name, the longest *.suffix, the longest prefix.*, and * at last.
func (t *hostTable) pick(authority string, ignorePort bool) *located[*routev3.VirtualHost] {
	if ignorePort {
		authority = urlpath.StripPort(authority)
	}
	authority = match.Lower(authority)
	if i, ok := t.exact[authority]; ok {
		return &t.all[i]
	}
	var best *located[*routev3.VirtualHost]
	rank, length := 0, 0
	for _, d := range t.wild {
		r := 0
		switch {
		case d.text == "*":
			r = 1
		case len(authority) < len(d.text):
		case strings.HasPrefix(d.text, "*"):
			if strings.HasSuffix(authority, d.text[1:]) {
				r = 3
			}
		case strings.HasPrefix(authority, d.text[:len(d.text)-1]):
			r = 2
		}
		if r > rank || r == rank && r > 0 && len(d.text) > length {
			best, rank, length = &t.all[d.host], r, len(d.text)
		}
	}
	return best
}

// matchRoute tells whether a route takes a request. The error says what cannot be judged.
func matchRoute(m *routev3.RouteMatch, c *match.Call, scheme string) (bool, error) {
	tests := []func() (bool, error){func() (bool, error) { return matchPath(m, c) }}
	if m.GetGrpc() != nil {
		tests = append(tests, func() (bool, error) {
			t, _ := c.Header("content-type")
			return t == "application/grpc" || strings.HasPrefix(t, "application/grpc+") || strings.HasPrefix(t, "application/grpc;"), nil
		})
	}
	for _, h := range m.GetHeaders() {
		tests = append(tests, func() (bool, error) {
			if h.GetName() == ":scheme" {
				one := *c
				one.Headers = map[string][]string{":scheme": {scheme}}
				return match.Header(h, &one)
			}
			return match.Header(h, c)
		})
	}
	for _, q := range m.GetQueryParameters() {
		tests = append(tests, func() (bool, error) { return matchQuery(q, c) })
	}
	for _, d := range m.GetDynamicMetadata() {
		tests = append(tests, func() (bool, error) { return match.Metadata(d, c) })
	}
	if t := m.GetTlsContext(); t.GetPresented() != nil {
		tests = append(tests, func() (bool, error) { return t.GetPresented().GetValue() == (len(c.Principals) > 0), nil })
	}
	if f := m.GetRuntimeFraction(); f != nil {
		tests = append(tests, func() (bool, error) {
			switch p := percent(f.GetDefaultValue()); {
			case p == 0:
				return false, nil
			case p >= 1:
				return true, nil
			default:
				return false, &match.Unsupported{What: "a route that takes " + percentText(p) + " of the requests"}
			}
		})
	}
	if len(m.GetFilterState()) > 0 {
		tests = append(tests, func() (bool, error) { return false, &match.Unsupported{What: "a route that looks at filter state"} })
	}
	return match.AllOf(tests, func(f func() (bool, error)) (bool, error) { return f() })
}

func matchPath(m *routev3.RouteMatch, c *match.Call) (bool, error) {
	path := c.BarePath()
	fold := func(s string) string {
		if m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue() {
			return match.Lower(s)
		}
		return s
	}
	switch s := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		return strings.HasPrefix(fold(path), fold(s.Prefix)), nil
	case *routev3.RouteMatch_Path:
		return fold(path) == fold(s.Path), nil
	case *routev3.RouteMatch_PathSeparatedPrefix:
		p := fold(s.PathSeparatedPrefix)
		return fold(path) == p || strings.HasPrefix(fold(path), p+"/"), nil
	case *routev3.RouteMatch_SafeRegex:
		return match.Regex(s.SafeRegex, path)
	case *routev3.RouteMatch_ConnectMatcher_:
		return c.Method == "CONNECT", nil
	case *routev3.RouteMatch_PathMatchPolicy:
		var t uritemplatev3.UriTemplateMatchConfig
		if err := s.PathMatchPolicy.GetTypedConfig().UnmarshalTo(&t); err != nil {
			return false, match.NewUnsupported(s)
		}
		return match.Template(t.GetPathTemplate(), path)
	}
	return false, match.NewUnsupported(m.GetPathSpecifier())
}

// matchQuery looks at the first value of a parameter, as it was sent.
func matchQuery(m *routev3.QueryParameterMatcher, c *match.Call) (bool, error) {
	_, query := urlpath.CutQuery(c.Path)
	value, there := "", false
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		if k, v, _ := strings.Cut(pair, "="); k == m.GetName() && pair != "" {
			value, there = v, true
			break
		}
	}
	switch s := m.GetQueryParameterMatchSpecifier().(type) {
	case *routev3.QueryParameterMatcher_StringMatch:
		if !there {
			return false, nil
		}
		return match.String(s.StringMatch, value)
	case *routev3.QueryParameterMatcher_PresentMatch:
		return there == s.PresentMatch, nil
	}
	return there, nil
}

// MatchText says what a route matches, for people.
func MatchText(m *routev3.RouteMatch) string {
	var out []string
	switch s := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		if s.Prefix != "/" {
			out = append(out, "path "+s.Prefix+"*")
		}
	case *routev3.RouteMatch_Path:
		out = append(out, "path "+s.Path)
	case *routev3.RouteMatch_PathSeparatedPrefix:
		out = append(out, "path "+s.PathSeparatedPrefix+"[/*]")
	case *routev3.RouteMatch_SafeRegex:
		out = append(out, "path ~"+s.SafeRegex.GetRegex())
	case *routev3.RouteMatch_PathMatchPolicy:
		var t uritemplatev3.UriTemplateMatchConfig
		_ = s.PathMatchPolicy.GetTypedConfig().UnmarshalTo(&t)
		out = append(out, "path "+t.GetPathTemplate())
	}
	for _, h := range m.GetHeaders() {
		out = append(out, match.HeaderText(h))
	}
	for _, q := range m.GetQueryParameters() {
		if q.GetStringMatch() != nil {
			out = append(out, "query "+q.GetName()+" "+match.StringText(q.GetStringMatch()))
		} else {
			out = append(out, "query "+q.GetName()+" present")
		}
	}
	for _, d := range m.GetDynamicMetadata() {
		out = append(out, match.MetadataText(d))
	}
	if len(out) == 0 {
		return "every request"
	}
	return strings.Join(out, ", ")
}

// router is the last HTTP filter: it carries out what the route says.
func (k *walk) router(s state, x *exchange) (*Path, error) {
	if x.host.msg == nil {
		return s.end(Failed, 404, fmt.Sprintf("no virtual host of route configuration %s takes the host %s", x.rc.GetName(), s.call.Authority)), nil
	}
	at := names.VirtualHost(x.rc.GetName(), x.host.msg.GetName())
	if x.needsTLS(&s) {
		p := s.end(Answered, 301, "the server redirects to https://"+s.call.Authority+s.call.Path, trim(originsAt(x.host.res, names.Part{}))...)
		p.Outcome.To = "https://" + s.call.Authority + s.call.Path
		return p, nil
	}
	if x.unsure != nil {
		p := s.end(Failed, 0, "which route takes it cannot be told: "+plain(x.unsure))
		p.Outcome.Verdict = Depends
		return p, nil
	}
	if x.route == nil {
		s.add(Step{Kind: "route", Name: at, Text: fmt.Sprintf("none of its %d routes takes the request", len(x.host.msg.GetRoutes())), Origins: trim(originsAt(x.host.res, names.Part{}))})
		return s.end(Failed, 404, "no route of host "+x.host.msg.GetName()+" takes it", trim(originsAt(x.host.res, names.Part{}))...), nil
	}
	name := at
	if n := x.route.GetName(); n != "" && n != "default" {
		name += " (" + n + ")"
	}
	st := Step{Kind: "route", Name: name, Text: fmt.Sprintf("route %d of %d: %s", x.index+1, len(x.host.msg.GetRoutes()), MatchText(x.route.GetMatch())), Origins: x.origins()}
	switch a := x.route.GetAction().(type) {
	case *routev3.Route_DirectResponse:
		s.add(st)
		p := s.end(Answered, int(a.DirectResponse.GetStatus()), directText(a.DirectResponse), x.origins()...)
		if body := directBody(a.DirectResponse); body != "" {
			p.Outcome.Effects = []Effect{{EffectBody, "", body}}
		}
		return p, nil
	case *routev3.Route_Redirect:
		s.add(st)
		to, code, err := redirect(x, a.Redirect, &s.call)
		if err != nil {
			return nil, err
		}
		p := s.end(Answered, code, "redirects to "+to, x.origins()...)
		p.Outcome.To = to
		return p, nil
	case *routev3.Route_Route:
		return k.forward(s, x, a.Route, st)
	}
	s.add(st)
	return s.end(Failed, 404, "the route does nothing"), nil
}

func directBody(d *routev3.DirectResponseAction) string {
	return d.GetBody().GetInlineString() + string(d.GetBody().GetInlineBytes())
}

func directText(d *routev3.DirectResponseAction) string {
	body := directBody(d)
	if body == "" {
		return fmt.Sprintf("the route answers %d", d.GetStatus())
	}
	if len(body) > 60 {
		body = body[:60] + "…"
	}
	return fmt.Sprintf("the route answers %d: %s", d.GetStatus(), body)
}
