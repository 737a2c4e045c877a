package trace

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	netextauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	netrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/match"
)

// Access is one rule about who may reach a port of a workload. The rules of a port are listed in the order in which they
// are asked: CUSTOM, JWT, LOG, DENY, ALLOW. Without an ALLOW rule everybody passes whom the rules before let pass, which
// is a rule of its own here.
type Access struct {
	Server    string          `json:"server"`    // as the class is called
	Workloads []string        `json:"workloads"` // of the class
	Ports     []string        `json:"ports"`     // numbers, or "others"; "all" of a workload without a proxy
	Protocol  string          `json:"protocol"`  // http or tcp; any
	TLS       string          `json:"tls"`       // STRICT, PERMISSIVE, DISABLE; gateways: TLS, MUTUAL, plain; none without a proxy
	Action    string          `json:"action"`    // CUSTOM, JWT, LOG, DENY, ALLOW
	DryRun    bool            `json:"dryRun,omitempty"`
	Rule      string          `json:"rule,omitempty"`
	Who       string          `json:"who"`
	What      string          `json:"what"`
	Origins   []bundle.Origin `json:"origins"`
}

// Access lists who may reach what, from the filters of the proxies that serve it.
func (w *Tracer) Access() ([]Access, error) {
	var out []Access
	for _, c := range w.b.Classes {
		v, err := w.view(c.ID)
		if err != nil {
			return nil, err
		}
		proxied, bare := v.split()
		out = append(out, bare...)
		if len(bare) > 0 && len(proxied) == 0 {
			continue
		}
		var rows []Access
		for _, l := range v.listeners {
			if c.Gateway || l.msg.GetTrafficDirection().String() == "INBOUND" {
				rows = append(rows, v.access(l, proxied)...)
			}
		}
		out = append(out, joinPorts(rows)...)
	}
	return out, nil
}

// split returns the names of the workloads of a class that have a proxy, those that no object declares among them, and a row
// for each that has none: nothing stands between it and whoever calls.
func (v *view) split() (proxied []string, bare []Access) {
	without := map[string]bool{}
	for _, x := range v.w.workloadsOf(v.class.ID) {
		if name := x.Namespace + "/" + x.Name; !x.Proxy && !without[name] {
			without[name] = true
			bare = append(bare, Access{Server: name, Workloads: []string{name}, Ports: []string{"all"}, Protocol: "any", TLS: "none", Action: "ALLOW", Who: "anybody: it has no proxy", What: "anything"})
		}
	}
	for _, name := range v.class.Workloads {
		if !without[name] {
			proxied = append(proxied, name)
		}
	}
	return proxied, bare
}

// access lists the rules of a listener, port by port.
func (v *view) access(l located[*listenerv3.Listener], workloads []string) []Access {
	type key struct {
		port     uint32
		protocol string
	}
	byPort := map[key][]*listenerv3.FilterChain{}
	var order []key
	for _, fc := range append(slices.Clone(l.msg.GetFilterChains()), l.msg.GetDefaultFilterChain()) {
		if fc == nil || strings.HasSuffix(fc.GetName(), "-blackhole") || len(fc.GetFilters()) == 0 {
			continue
		}
		k := key{fc.GetFilterChainMatch().GetDestinationPort().GetValue(), "tcp"}
		if v.class.Gateway {
			k.port = l.msg.GetAddress().GetSocketAddress().GetPortValue()
		}
		if _, ok := unpack(last(fc.GetFilters()).GetTypedConfig(), &hcmv3.HttpConnectionManager{}); ok {
			k.protocol = "http"
		}
		if byPort[k] == nil {
			order = append(order, k)
		}
		byPort[k] = append(byPort[k], fc)
	}
	var out []Access
	for _, k := range order {
		base := Access{Server: v.name(), Workloads: workloads, Ports: []string{"others"}, Protocol: k.protocol, TLS: v.tlsMode(byPort[k])}
		if k.port != 0 {
			base.Ports = []string{fmt.Sprint(k.port)}
		}
		out = append(out, rulesOf(base, l.res, byPort[k])...)
	}
	return out
}

func last[T any](list []T) T { return list[len(list)-1] }

// tlsMode sums up what the chains of a port want of a client.
func (v *view) tlsMode(cs []*listenerv3.FilterChain) string {
	plain, tls, mutual := false, false, false
	for _, fc := range cs {
		d, ok := unpack(fc.GetTransportSocket().GetTypedConfig(), &tlsv3.DownstreamTlsContext{})
		switch {
		case !ok:
			plain = true
		case d.GetRequireClientCertificate().GetValue():
			mutual = true
		default:
			tls = true
		}
	}
	switch {
	case v.class.Gateway && mutual:
		return "MUTUAL"
	case v.class.Gateway && tls:
		return "TLS"
	case v.class.Gateway:
		return "plain"
	case mutual && plain:
		return "PERMISSIVE"
	case mutual:
		return "STRICT"
	case tls:
		return "TLS"
	}
	return "DISABLE"
}

// rulesOf lists the rules of the chains of one port; they are the same for all of them.
func rulesOf(base Access, res *bundle.Resource, cs []*listenerv3.FilterChain) []Access {
	c := &accessRules{base: base, res: res}
	for _, f := range cs[0].GetFilters() {
		a := f.GetTypedConfig()
		if m, ok := unpack(a, &netrbacv3.RBAC{}); ok {
			c.rbac(m.GetRules(), m.GetShadowRules(), m.GetShadowRulesStatPrefix())
		}
		if m, ok := unpack(a, &netextauthzv3.ExtAuthz{}); ok {
			c.custom(m.GetGrpcService().GetEnvoyGrpc().GetClusterName())
		}
		if h, ok := unpack(a, &hcmv3.HttpConnectionManager{}); ok {
			c.http(h)
		}
	}
	if !c.allows {
		row := base
		row.Action, row.Who, row.What = "ALLOW", "anybody", "anything"
		if base.TLS == "STRICT" {
			row.Who = "any identity of the mesh"
		}
		for _, fc := range cs {
			for _, o := range originsAt(res, names.ChainPart(fc.GetName())) {
				if (o.Kind == "PeerAuthentication" || o.Kind == "Gateway") && !slices.Contains(row.Origins, o) {
					row.Origins = append(row.Origins, o)
				}
			}
		}
		c.out = append(c.out, row)
	}
	return c.out
}

type accessRules struct {
	base    Access
	res     *bundle.Resource
	out     []Access
	pending []Access // CUSTOM rules whose authorizer is not known yet
	allows  bool
}

func (c *accessRules) http(h *hcmv3.HttpConnectionManager) {
	for _, f := range h.GetHttpFilters() {
		a := f.GetTypedConfig()
		if m, ok := unpack(a, &httprbacv3.RBAC{}); ok {
			c.rbac(m.GetRules(), m.GetShadowRules(), m.GetShadowRulesStatPrefix())
		}
		if m, ok := unpack(a, &extauthzv3.ExtAuthz{}); ok {
			c.custom(cmp.Or(m.GetGrpcService().GetEnvoyGrpc().GetClusterName(), m.GetHttpService().GetServerUri().GetCluster()))
		}
		if m, ok := unpack(a, &jwtv3.JwtAuthentication{}); ok {
			for _, n := range slices.Sorted(maps.Keys(m.GetProviders())) {
				row := c.base
				row.Action, row.Who, row.What = "JWT", "tokens of "+m.GetProviders()[n].GetIssuer(), "are verified where a request has one"
				row.Origins = append(row.Origins, c.res.OriginsOf(names.ProviderPart(n))...)
				c.out = append(c.out, row)
			}
		}
	}
}

func (c *accessRules) rbac(rules, shadow *rbacv3.RBAC, prefix string) {
	c.rules(shadow, prefix == "istio_ext_authz_", true)
	c.rules(rules, false, false)
}

func (c *accessRules) rules(r *rbacv3.RBAC, custom, dryRun bool) {
	if r == nil {
		return
	}
	c.allows = c.allows || r.GetAction() == rbacv3.RBAC_ALLOW && !dryRun
	if len(r.GetPolicies()) == 0 && r.GetAction() == rbacv3.RBAC_ALLOW {
		row := c.base
		row.Action, row.DryRun, row.Who, row.What = "ALLOW", dryRun, "nobody: no rule can be judged for "+c.base.Protocol, "nothing"
		c.out = append(c.out, row)
	}
	for _, n := range slices.Sorted(maps.Keys(r.GetPolicies())) {
		p := r.GetPolicies()[n]
		row := c.base
		row.Action, row.DryRun, row.Rule, row.Origins = r.GetAction().String(), dryRun && !custom, ruleText(n), ruleOrigins(c.res, n)
		row.Who = match.Joined(p.GetPrincipals(), " or ", func(x *rbacv3.Principal) string { return friendly(match.PrincipalText(x)) })
		row.What = match.Joined(p.GetPermissions(), " or ", func(x *rbacv3.Permission) string { return match.PermissionText(x) })
		if custom {
			row.Action = "CUSTOM"
			c.pending = append(c.pending, row)
			continue
		}
		c.out = append(c.out, row)
	}
}

func (c *accessRules) custom(authorizer string) {
	for _, row := range c.pending {
		row.Action = "CUSTOM by " + clusterText(authorizer)
		c.out = append(c.out, row)
	}
	c.pending = nil
}

var namespacePattern = regexp.MustCompile(`identity ~\.\*/ns/([^/]*)/\.\*`)

// friendly writes the identities of a namespace as people do.
func friendly(s string) string {
	return namespacePattern.ReplaceAllStringFunc(s, func(m string) string {
		ns := namespacePattern.FindStringSubmatch(m)[1]
		return "namespace " + strings.NewReplacer(`\-`, "-", `\.`, ".", ".*", "*").Replace(ns)
	})
}

// joinPorts makes one row of rules that only differ in the port.
func joinPorts(rows []Access) []Access {
	type key struct {
		protocol, tls, action, rule, who, what string
		dryRun                                 bool
	}
	at := map[key]int{}
	var out []Access
	for _, r := range rows {
		k := key{r.Protocol, r.TLS, r.Action, r.Rule, r.Who, r.What, r.DryRun}
		i, ok := at[k]
		if !ok {
			at[k] = len(out)
			out = append(out, r)
			continue
		}
		if !slices.Contains(out[i].Ports, r.Ports[0]) {
			out[i].Ports = append(slices.Clip(out[i].Ports), r.Ports[0])
		}
		for _, o := range r.Origins {
			if !slices.Contains(out[i].Origins, o) {
				out[i].Origins = append(slices.Clip(out[i].Origins), o)
			}
		}
	}
	for i := range out {
		slices.SortStableFunc(out[i].Ports, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }) // others last
	}
	return out
}

// PrintAccess writes rules for people.
func PrintAccess(w io.Writer, rows []Access) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(tw, "SERVER\tPORTS\tPROTOCOL\tTLS\tACTION\tWHO\tWHAT\tSOURCE\n") // errors come back from Flush
	for _, r := range rows {
		action := r.Action
		if r.DryRun {
			action += " (dry run)"
		}
		source := strings.Trim(strings.TrimSpace(place(r.Origins)), "[]")
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Server, strings.Join(r.Ports, ","), r.Protocol, r.TLS, action, r.Who, r.What, cmp.Or(source, "-"))
	}
	return tw.Flush()
}

// AccessJSON writes rules for programs: {"access":[…]}.
func AccessJSON(w io.Writer, rows []Access) error {
	if rows == nil {
		rows = []Access{}
	}
	for i := range rows {
		if rows[i].Origins == nil {
			rows[i].Origins = []bundle.Origin{}
		}
		if rows[i].Workloads == nil {
			rows[i].Workloads = []string{}
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(map[string]any{"access": rows})
}
