package replay

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/sets"
)

// manyPatterns is how many patterns besides exact paths and prefixes a path is held against for its shape.
const manyPatterns = 200

// asked is all that the configuration of both bundles asks of a request and a log can tell.
type asked struct {
	exact    map[string]bool
	prefixes map[string]bool
	lengths  []int          // of prefixes
	patterns []sets.Strings // other conditions on paths
	keys     map[string]bool
	headers  map[string]bool
	query    bool
	whole    bool // paths cannot be told by their patterns: a rewrite takes them apart
	blocks   []netip.Prefix
}

func newAsked(bs ...*bundle.Bundle) (*asked, error) {
	a := &asked{exact: map[string]bool{}, prefixes: map[string]bool{}, keys: map[string]bool{}, headers: map[string]bool{}}
	seen := map[bundle.Digest]bool{}
	for _, b := range bs {
		for _, r := range b.Resources {
			if seen[r.Digest] {
				continue
			}
			seen[r.Digest] = true
			var m proto.Message
			switch r.Type {
			case bundle.ListenerType:
				m = &listenerv3.Listener{}
			case bundle.RouteConfigurationType:
				m = &routev3.RouteConfiguration{}
			case bundle.VirtualHostType:
				m = &routev3.VirtualHost{}
			default:
				continue
			}
			if err := proto.Unmarshal(r.Bytes, m); err != nil {
				return nil, fmt.Errorf("%s of the bundle cannot be read: %w", r.Name, err)
			}
			bundle.EachMessage(m.ProtoReflect(), a.visit)
		}
	}
	for p := range a.prefixes {
		if !slices.Contains(a.lengths, len(p)) {
			a.lengths = append(a.lengths, len(p))
		}
	}
	slices.Sort(a.lengths)
	a.whole = a.whole || len(a.patterns) > manyPatterns
	return a, nil
}

// visit gathers the conditions of one message, without those within it.
func (a *asked) visit(m protoreflect.Message) {
	switch x := m.Interface().(type) {
	case *routev3.RouteMatch:
		a.route(x)
	case *matcherv3.PathMatcher:
		a.matcher(x.GetPath())
	case *uritemplatev3.UriTemplateMatchConfig:
		a.pattern(sets.Template(x.GetPathTemplate()))
	case *routev3.HeaderMatcher:
		if a.headers[strings.ToLower(x.GetName())] = true; x.GetName() == ":path" {
			a.query = true
			a.matcher(x.GetStringMatch())
		}
	case *routev3.QueryParameterMatcher:
		a.query = true
	case *matcherv3.RegexMatchAndSubstitute:
		a.whole = true
	case *corev3.CidrRange:
		if ip, err := netip.ParseAddr(x.GetAddressPrefix()); err == nil {
			p := netip.PrefixFrom(ip, int(x.GetPrefixLen().GetValue()))
			if p.IsValid() && !slices.Contains(a.blocks, p) {
				a.blocks = append(a.blocks, p)
			}
		}
	case *rbacv3.Policy:
		if x.GetCondition() != nil {
			a.whole = true
		}
	}
}

func (a *asked) route(m *routev3.RouteMatch) {
	fold := m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue()
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		a.text(p.Prefix, true, fold)
	case *routev3.RouteMatch_Path:
		a.text(p.Path, false, fold)
	case *routev3.RouteMatch_PathSeparatedPrefix:
		a.text(p.PathSeparatedPrefix, false, fold)
		a.text(p.PathSeparatedPrefix+"/", true, fold)
	case *routev3.RouteMatch_SafeRegex:
		a.pattern(sets.Regex(p.SafeRegex.GetRegex()))
	}
}

func (a *asked) matcher(m *matcherv3.StringMatcher) {
	switch p := m.GetMatchPattern().(type) {
	case nil:
	case *matcherv3.StringMatcher_Exact:
		a.text(p.Exact, false, m.GetIgnoreCase())
	case *matcherv3.StringMatcher_Prefix:
		a.text(p.Prefix, true, m.GetIgnoreCase())
	default:
		a.pattern(sets.Matcher(m))
	}
}

func (a *asked) text(s string, prefix, fold bool) {
	switch {
	case fold && prefix:
		a.pattern(sets.Prefix(s, true), nil)
	case fold:
		a.pattern(sets.Exact(s, true), nil)
	case prefix:
		a.prefixes[s] = true
	default:
		a.exact[s] = true
	}
}

// pattern keeps a condition once; what cannot be decided makes every path a shape of its own.
func (a *asked) pattern(s sets.Strings, err error) {
	if err != nil {
		a.whole = true
		return
	}
	if !a.keys[s.String()] {
		a.keys[s.String()] = true
		a.patterns = append(a.patterns, s)
	}
}

// path is equal for paths that no condition tells apart. What a proxy may change before it looks is its own shape.
func (a *asked) path(p string) string {
	bare, query, _ := strings.Cut(p, "?")
	if !a.query {
		query = ""
	}
	if a.whole || strings.ContainsAny(bare, `%\#`) || strings.Contains(bare, "//") || strings.Contains(bare, "/.") {
		return bare + "?" + query
	}
	var b strings.Builder
	if a.exact[bare] {
		b.WriteString(bare)
	}
	for _, n := range a.lengths {
		if n > len(bare) {
			break
		}
		if a.prefixes[bare[:n]] {
			b.WriteString("," + strconv.Itoa(n) + bare[:n])
		}
	}
	for i, s := range a.patterns {
		if s.Has(bare) {
			b.WriteString("~" + strconv.Itoa(i))
		}
	}
	return b.String() + "?" + query
}

// shape is equal for lines whose requests are treated alike, and which agree or disagree alike with base.
func (a *asked) shape(e *entry, s sender) string {
	agent, forwarded, source := "", "", ""
	if a.headers["user-agent"] {
		agent = e.UserAgent
	} else if strings.HasPrefix(e.UserAgent, "grpc-") {
		agent = "grpc-"
	}
	if s.gateway && (len(a.blocks) > 0 || a.headers["x-forwarded-for"]) {
		forwarded = e.ForwardedFor
	}
	if s.gateway || s.outside {
		source = within(e.Remote.Addr(), a.blocks)
	}
	refused := ""
	if strings.HasPrefix(e.Details, "rbac_access_denied") {
		refused = "rbac"
	}
	if strings.Contains(e.Flags, "NR") {
		refused += "NR"
	}
	return strings.Join([]string{s.from, e.Method, e.Authority, e.Local.String(), e.ServerName, e.Cluster, strconv.FormatBool(e.Code >= 200 && e.Code < 400), refused, agent, forwarded, source, a.path(e.Path)}, "\x00")
}

// key stands for a shape: whoever sends requests decides how long one is, and many are kept.
type key [sha256.Size]byte

func shapeKey(shape string) key { return sha256.Sum256([]byte(shape)) }

// table is what is known of shapes, of bounded size: when the newer half is full the older half is forgotten.
type table[V any] struct {
	newer, older map[key]V
	half         int
}

func newTable[V any](size int) *table[V] {
	return &table[V]{newer: map[key]V{}, older: map[key]V{}, half: size / 2}
}

func (t *table[V]) get(at key) (V, bool) {
	v, ok := t.newer[at]
	if !ok {
		if v, ok = t.older[at]; ok {
			t.put(at, v)
		}
	}
	return v, ok
}

func (t *table[V]) put(at key, v V) {
	if len(t.newer) >= t.half {
		t.older, t.newer = t.newer, make(map[key]V, t.half)
	}
	t.newer[at] = v
}
