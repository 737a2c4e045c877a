package assert

import (
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
)

// conditions are what configuration asks of requests, by dimension, and what of it cannot be decided.
type conditions struct {
	by         map[string][]sets.Set
	keys       map[string]bool
	lists      map[string]bool // claims that are lists
	principals []sets.Strings  // identities
	issuers    []string
	undecided  string
}

func newConditions() *conditions {
	return &conditions{by: map[string][]sets.Set{}, keys: map[string]bool{}, lists: map[string]bool{}}
}

func (c *conditions) add(dim string, s sets.Set) {
	if k := dim + "\x00" + sets.Key(s); !c.keys[k] {
		c.keys[k] = true
		c.by[dim] = append(c.by[dim], s)
	}
}

// merge adds the conditions of another.
func (c *conditions) merge(d *conditions) {
	for dim, list := range d.by {
		for _, s := range list {
			c.add(dim, s)
		}
	}
	for dim := range d.lists {
		c.lists[dim] = true
	}
	for _, i := range d.issuers {
		if !slices.Contains(c.issuers, i) {
			c.issuers = append(c.issuers, i)
		}
	}
	if c.undecided == "" {
		c.undecided = d.undecided
	}
}

func (c *conditions) strings(dim string, s sets.Strings, err error) {
	if err != nil {
		c.undecided = err.Error()
		return
	}
	c.add(dim, s)
}

// visit gathers the conditions of one message, without those within it.
func (c *conditions) visit(m protoreflect.Message) {
	switch x := m.Interface().(type) {
	case *routev3.RouteMatch:
		c.route(x)
	case *matcherv3.PathMatcher:
		s, err := sets.Matcher(x.GetPath())
		c.strings("path", s, err)
	case *uritemplatev3.UriTemplateMatchConfig:
		s, err := sets.Template(x.GetPathTemplate())
		c.strings("path", s, err)
	case *routev3.HeaderMatcher:
		c.header(x)
	case *routev3.QueryParameterMatcher:
		dim := "query:" + x.GetName()
		if m := x.GetStringMatch(); m != nil {
			s, err := sets.Matcher(m)
			c.strings(dim, s, err)
		} else {
			c.add(dim, sets.AnyString())
		}
	case *corev3.CidrRange:
		c.add(sets.Source, sets.Ranges(x))
	case *matcherv3.MetadataMatcher:
		c.metadata(x)
	case *jwtv3.JwtProvider:
		if !slices.Contains(c.issuers, x.GetIssuer()) {
			c.issuers = append(c.issuers, x.GetIssuer())
		}
	case *rbacv3.Principal_Authenticated:
		if m := x.GetPrincipalName(); m != nil {
			if s, err := sets.Matcher(m); err == nil {
				c.principals = append(c.principals, s)
			} else {
				c.undecided = err.Error()
			}
		}
	case *rbacv3.Policy:
		if x.GetCondition() != nil {
			c.undecided = "an access rule has an expression of CEL"
		}
	}
}

func (c *conditions) route(m *routev3.RouteMatch) {
	fold := m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue()
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		c.add("path", sets.Prefix(p.Prefix, fold))
	case *routev3.RouteMatch_Path:
		c.add("path", sets.Exact(p.Path, fold))
	case *routev3.RouteMatch_PathSeparatedPrefix:
		c.add("path", sets.PathPrefix(p.PathSeparatedPrefix, fold))
	case *routev3.RouteMatch_SafeRegex:
		s, err := sets.Regex(p.SafeRegex.GetRegex())
		c.strings("path", s, err)
	}
}

func (c *conditions) header(m *routev3.HeaderMatcher) {
	dim := map[string]string{":method": "method", ":authority": "authority", "host": "authority", ":path": "path"}[strings.ToLower(m.GetName())]
	if dim == "" {
		dim = "header:" + strings.ToLower(m.GetName())
	}
	s, err := sets.HeaderMatcher(m)
	c.strings(dim, s, err)
}

// metadata gathers conditions on claims; those on other metadata are about what the walk finds out by itself.
func (c *conditions) metadata(m *matcherv3.MetadataMatcher) {
	path := m.GetPath()
	if m.GetFilter() != "envoy.filters.http.jwt_authn" || len(path) < 2 {
		return
	}
	var keys []string
	for _, p := range path[1:] {
		keys = append(keys, p.GetKey())
	}
	c.claim("claim:"+strings.Join(keys, "\x00"), m.GetValue())
}

func (c *conditions) claim(dim string, v *matcherv3.ValueMatcher) {
	switch p := v.GetMatchPattern().(type) {
	case *matcherv3.ValueMatcher_StringMatch:
		s, err := sets.Matcher(p.StringMatch)
		c.strings(dim, s, err)
	case *matcherv3.ValueMatcher_ListMatch:
		c.lists[dim] = true
		c.claim(dim, p.ListMatch.GetOneOf())
	case *matcherv3.ValueMatcher_OrMatch:
		for _, o := range p.OrMatch.GetValueMatchers() {
			c.claim(dim, o)
		}
	case *matcherv3.ValueMatcher_PresentMatch:
		c.add(dim, sets.AnyString())
	default:
		c.undecided = "a condition on a claim that is no text"
	}
}

// virtualHost is a host that routes of a class are for.
type virtualHost struct {
	host     string
	port     uint16
	clusters map[string]bool // hosts of the clusters behind its routes
	conds    *conditions
}

// view is what the proxies of a class have, as far as statements look at it.
type view struct {
	hosts     []virtualHost
	listeners []uint16 // ports
	inbound   *conditions
	ports     map[uint16]bool // inbound: whether a port speaks HTTP
}

// view reads the resources of a class, once.
func (p *prover) view(class string) *view {
	if v := p.views[class]; v != nil {
		return v
	}
	v := &view{inbound: newConditions(), ports: map[uint16]bool{}}
	p.views[class] = v
	c := p.b.Class(class)
	if c == nil {
		return v
	}
	for _, r := range c.Resources() {
		switch r.Type {
		case bundle.ListenerType:
			if l := p.listener(r); l != nil {
				v.listener(l, c.Gateway)
			}
		case bundle.VirtualHostType, bundle.RouteConfigurationType:
			v.hosts = append(v.hosts, p.hosts(r)...)
		}
	}
	return v
}

// listener reads a listener, once for all classes.
func (p *prover) listener(r *bundle.Resource) *listenerv3.Listener {
	l, ok := p.listeners[r.Digest]
	if !ok {
		if l = new(listenerv3.Listener); !p.read(r, l) {
			l = nil
		}
		p.listeners[r.Digest] = l
	}
	return l
}

// hosts reads a virtual host, or those of a route configuration, once for all classes.
func (p *prover) hosts(r *bundle.Resource) []virtualHost {
	if list, ok := p.hostsOf[r.Digest]; ok {
		return list
	}
	var v view
	if r.Type == bundle.VirtualHostType {
		var h routev3.VirtualHost
		if p.read(r, &h) {
			rc, _ := names.ParseVirtualHost(r.Name)
			v.host(&h, portOf(rc))
		}
	} else {
		var rc routev3.RouteConfiguration
		if p.read(r, &rc) {
			for _, h := range rc.GetVirtualHosts() {
				v.host(h, portOf(rc.GetName()))
			}
		}
	}
	p.hostsOf[r.Digest] = v.hosts
	return v.hosts
}

func (p *prover) read(r *bundle.Resource, m proto.Message) bool {
	err := proto.Unmarshal(r.Bytes, m)
	if err != nil {
		p.broken = err
	}
	return err == nil
}

func (v *view) host(h *routev3.VirtualHost, port uint16) {
	c := newConditions()
	bundle.EachMessage(h.ProtoReflect(), c.visit)
	clusters := map[string]bool{}
	for _, r := range h.GetRoutes() {
		a := r.GetRoute()
		list := []string{a.GetCluster()}
		for _, w := range a.GetWeightedClusters().GetClusters() {
			list = append(list, w.GetName())
		}
		for _, name := range list {
			if k, ok := names.ParseCluster(name); ok {
				clusters[k.Host] = true
			}
		}
	}
	for _, d := range mainDomains(h.GetDomains()) {
		v.hosts = append(v.hosts, virtualHost{d, port, clusters, c})
	}
}

// mainDomains drops the ports, addresses and short forms of hosts.
func mainDomains(domains []string) (out []string) {
	for _, d := range domains {
		name := d
		if host, _, ok := strings.Cut(d, ":"); ok {
			name = host
		}
		name = strings.TrimSuffix(name, ".")
		if _, err := netip.ParseAddr(name); err == nil || name == "" || strings.Contains(name, "[") {
			continue
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return len(b) - len(a) })
	var kept []string
	for _, d := range out {
		if !slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(k, d+".") }) {
			kept = append(kept, d)
		}
	}
	return kept
}

func (v *view) listener(l *listenerv3.Listener, gateway bool) {
	port := uint16(l.GetAddress().GetSocketAddress().GetPortValue())
	if gateway {
		if !slices.Contains(v.listeners, port) {
			v.listeners = append(v.listeners, port)
		}
		bundle.EachMessage(l.ProtoReflect(), v.inbound.visit)
		return
	}
	if l.GetTrafficDirection() != corev3.TrafficDirection_INBOUND {
		return
	}
	bundle.EachMessage(l.ProtoReflect(), v.inbound.visit)
	for _, fc := range append(slices.Clone(l.GetFilterChains()), l.GetDefaultFilterChain()) {
		if fc == nil || len(fc.GetFilters()) == 0 {
			continue
		}
		at := uint16(fc.GetFilterChainMatch().GetDestinationPort().GetValue())
		v.ports[at] = v.ports[at] || fc.GetFilters()[len(fc.GetFilters())-1].GetTypedConfig().MessageIs(&hcmv3.HttpConnectionManager{})
	}
}

// speaksHTTP tells whether a port of a server has a connection manager; what is not known is taken for HTTP.
func (p *prover) speaksHTTP(class string, port uint16) bool {
	http, known := p.view(class).ports[port]
	return http || !known
}

func (p *prover) ports(class string) map[uint16]bool { return p.view(class).ports }
