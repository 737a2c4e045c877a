package trace

import (
	"fmt"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	sniclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/sni_cluster/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

const networkRBAC = "envoy.filters.network.rbac"

// network runs the network filters of a chain from the i-th on.
func (k *walk) network(s state, res *bundle.Resource, fc *listenerv3.FilterChain, i int) (*Path, error) {
	if i >= len(fc.GetFilters()) {
		return s.end(Failed, 0, "the chain has no filter that sends the connection anywhere"), nil
	}
	f := fc.GetFilters()[i]
	next := func(s state) (*Path, error) { return k.network(s, res, fc, i+1) }
	a := f.GetTypedConfig()
	if m, ok := unpack(a, &rbacv3.RBAC{}); ok {
		return k.rbac(s, rbacFilter{res: res, name: networkRBAC, rules: m.GetRules(), shadow: m.GetShadowRules(), prefix: m.GetShadowRulesStatPrefix()}, next)
	}
	if m, ok := unpack(a, &extauthzv3.ExtAuthz{}); ok {
		return k.external(s, m.GetFilterEnabledMetadata(), m.GetGrpcService().GetEnvoyGrpc().GetClusterName(), m.GetFailureModeAllow(), 0, next)
	}
	if m, ok := unpack(a, &hcmv3.HttpConnectionManager{}); ok {
		return k.http(s, res, m, fc.GetTransportSocket() != nil && !isRaw(fc.GetTransportSocket()))
	}
	if m, ok := unpack(a, &tcpv3.TcpProxy{}); ok {
		return k.tcp(s, m)
	}
	if _, ok := unpack(a, &sniclusterv3.SniCluster{}); ok {
		s.add(Step{Kind: "filter", Name: f.GetName(), Text: "the server name chooses the cluster", Effects: []Effect{{EffectUnjudged, f.GetName(), ""}}})
		return next(s)
	}
	if t := shortType(a, f.GetName()); !strings.HasPrefix(t, "network.mongo_proxy") && !strings.HasPrefix(t, "network.sni_dynamic_forward_proxy") {
		s.add(Step{Kind: "filter", Name: f.GetName(), Text: "may change or end the connection; what it does is not judged here", Effects: []Effect{{EffectUnjudged, f.GetName(), ""}}})
	}
	return next(s)
}

// tcp forwards the bytes of a connection.
func (k *walk) tcp(s state, m *tcpv3.TcpProxy) (*Path, error) {
	if m.GetTunnelingConfig() != nil {
		to := m.GetTunnelingConfig().GetHostname()
		s.add(Step{Kind: "filter", Name: "tcp_proxy", Text: "through a tunnel: " + to, Effects: []Effect{{EffectTunnel, "", to}}})
	}
	if w := m.GetWeightedClusters(); w != nil {
		var list []weighted
		for _, c := range w.GetClusters() {
			list = append(list, weighted{name: c.GetName(), weight: c.GetWeight()})
		}
		return k.split(s, list, func(s state, c weighted) (*Path, error) { return k.cluster(s, c.name, s.call.Authority) })
	}
	return k.cluster(s, m.GetCluster(), s.call.Authority)
}

// weighted is one of several destinations.
type weighted struct {
	name   string
	weight uint32
	index  int
}

// split branches over weighted destinations; a single one is no choice.
func (k *walk) split(s state, list []weighted, each func(state, weighted) (*Path, error)) (*Path, error) {
	total := 0.0
	var live []weighted
	for _, c := range list {
		if c.weight > 0 {
			live = append(live, c)
			total += float64(c.weight)
		}
	}
	switch len(live) {
	case 0:
		return s.end(Failed, 503, "all weights are 0"), nil
	case 1:
		return each(s, live[0])
	}
	var branches []Branch
	for _, c := range live {
		p, err := each(s.fork(), c)
		if err != nil {
			return nil, err
		}
		branches = append(branches, Branch{When: clusterText(c.name), Chance: float64(c.weight) / total, Path: p})
	}
	return s.choose("the weights of the route", branches...), nil
}

// clusterText says what a cluster is, for people.
func clusterText(name string) string {
	c, ok := names.ParseCluster(name)
	switch {
	case !ok:
		return name
	case c.Inbound:
		return fmt.Sprintf("port %d of the application", c.Port)
	case c.Subset != "":
		return fmt.Sprintf("subset %s of %s:%d", c.Subset, c.Host, c.Port)
	}
	return fmt.Sprintf("%s:%d", c.Host, c.Port)
}
