package validate

import (
	"math"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
)

// headers are the operations on headers of a route, virtual host, route configuration or weighted cluster.
type headers interface {
	GetRequestHeadersToAdd() []*corev3.HeaderValueOption
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToAdd() []*corev3.HeaderValueOption
	GetResponseHeadersToRemove() []string
}

// headersRule: routes may not change what a request is addressed by (source/common/router/header_parser.cc).
func headersRule(v *visit, m proto.Message) {
	h := m.(headers)
	check := func(field, name string) {
		if strings.HasPrefix(name, ":") || strings.EqualFold(name, "host") {
			v.bad(field, "Use host_rewrite_literal for the host and prefix_rewrite for the path.", "a route cannot change the header %q", name)
		}
	}
	for _, o := range h.GetRequestHeadersToAdd() {
		check("request_headers_to_add", o.GetHeader().GetKey())
	}
	for _, o := range h.GetResponseHeadersToAdd() {
		check("response_headers_to_add", o.GetHeader().GetKey())
	}
	for _, name := range h.GetRequestHeadersToRemove() {
		check("request_headers_to_remove", name)
	}
	for _, name := range h.GetResponseHeadersToRemove() {
		check("response_headers_to_remove", name)
	}
}

// routeActionRule is about where a route leads (source/common/router/config_impl.cc).
func routeActionRule(v *visit, m proto.Message) {
	a := m.(*routev3.RouteAction)
	rewrites := 0
	for _, set := range [...]bool{a.GetPrefixRewrite() != "", a.GetRegexRewrite() != nil, a.GetPathRewritePolicy() != nil} {
		if set {
			rewrites++
		}
	}
	if rewrites > 1 {
		v.bad("", "Keep one of prefix_rewrite, regex_rewrite and path_rewrite_policy.", "the path is rewritten in more than one way")
	}
	upgrades := map[string]bool{}
	for _, u := range a.GetUpgradeConfigs() {
		name := strings.ToLower(u.GetUpgradeType())
		switch {
		case upgrades[name]:
			v.bad("upgrade_configs", "Name each upgrade once.", "the upgrade %q is named twice", u.GetUpgradeType())
		case u.GetConnectConfig() != nil && name != "connect" && name != "connect-udp":
			v.bad("upgrade_configs", "Remove connect_config.", "connect_config belongs to CONNECT, and the upgrade is %q", u.GetUpgradeType())
		}
		upgrades[name] = true
	}
	if w := a.GetWeightedClusters(); w != nil {
		sum := uint64(0)
		for _, c := range w.GetClusters() {
			sum += uint64(c.GetWeight().GetValue())
		}
		if sum == 0 || sum > math.MaxUint32 {
			v.bad("weighted_clusters", "Give clusters weights that add up to 100.", "the weights add up to %d", sum)
		}
	}
}

// virtualHostRule is about one virtual host; those beside it may have a domain, too.
func virtualHostRule(v *visit, m proto.Message) {
	headersRule(v, m)
	domains := map[string]bool{}
	for _, d := range m.(*routev3.VirtualHost).GetDomains() {
		if d = strings.ToLower(d); domains[d] {
			v.bad("domains", "Name it once.", "the domain %q is named twice", d)
		}
		domains[d] = true
	}
}

// addedRule is headersRule for headers that are added by other names.
func addedRule[M proto.Message](list func(M) []*corev3.HeaderValueOption, field string) rule {
	return func(v *visit, m proto.Message) {
		for _, o := range list(m.(M)) {
			if name := o.GetHeader().GetKey(); strings.HasPrefix(name, ":") || strings.EqualFold(name, "host") {
				v.bad(field, "Remove it.", "the header %q cannot be changed here", name)
			}
		}
	}
}

// defaultBody is the longest body of a response that a route configuration takes if it does not say otherwise.
const defaultBody = 4096

// routeConfigurationRule is about all virtual hosts of a route configuration.
func routeConfigurationRule(v *visit, m proto.Message) {
	c := m.(*routev3.RouteConfiguration)
	headersRule(v, m)
	longest := uint32(defaultBody)
	if l := c.GetMaxDirectResponseBodySizeBytes(); l != nil {
		longest = l.GetValue()
	}
	domains := map[string]bool{}
	for _, h := range c.GetVirtualHosts() {
		for _, d := range h.GetDomains() {
			if d = strings.ToLower(d); domains[d] {
				v.bad("virtual_hosts", "Name each domain in one virtual host.", "the domain %q stands twice", d)
			}
			domains[d] = true
		}
		for _, r := range h.GetRoutes() {
			body := r.GetDirectResponse().GetBody()
			if n := len(body.GetInlineString()) + len(body.GetInlineBytes()); n > int(longest) {
				v.bad("virtual_hosts", "Shorten it, or raise max_direct_response_body_size_bytes.", "the body of a response has %d bytes, and %d is the most", n, longest)
			}
		}
	}
}
