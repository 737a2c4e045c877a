package coverage

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/names"
)

// reference is a cluster that a part of a resource names.
type reference struct {
	cluster string
	part    names.Part
	http    bool // requests are sent to it, else connections
	in      *xds.Resource
}

// use says what a cluster gets.
type use struct{ http, tcp bool }

// reader finds references, in each resource and group once.
type reader struct {
	resources map[*xds.Resource][]reference
	groups    map[*xds.Group][]reference
	clusters  map[*xds.Group]map[string]bool
}

func newReader() *reader {
	return &reader{resources: map[*xds.Resource][]reference{}, groups: map[*xds.Group][]reference{}, clusters: map[*xds.Group]map[string]bool{}}
}

func (x *reader) group(g *xds.Group) []reference {
	out, ok := x.groups[g]
	if !ok {
		out = x.list(g.Resources)
		x.groups[g] = out
	}
	return out
}

func (x *reader) list(rs []*xds.Resource) (out []reference) {
	for _, r := range rs {
		out = append(out, x.resource(r)...)
	}
	return out
}

func (x *reader) resource(r *xds.Resource) []reference {
	out, ok := x.resources[r]
	if !ok {
		switch m := r.Message.(type) {
		case *routev3.VirtualHost:
			out = ofVirtualHost(m)
		case *listenerv3.Listener:
			out = ofListener(m)
		}
		for i := range out {
			out[i].in = r
		}
		x.resources[r] = out
	}
	return out
}

// clustersOf are the clusters of a group, by name.
func (x *reader) clustersOf(g *xds.Group) map[string]bool {
	out, ok := x.clusters[g]
	if !ok {
		out = clusterNames(g.Resources)
		x.clusters[g] = out
	}
	return out
}

func clusterNames(rs []*xds.Resource) map[string]bool {
	out := map[string]bool{}
	for _, r := range rs {
		if r.Type == xds.Cluster {
			out[r.Name] = true
		}
	}
	return out
}

func ofVirtualHost(vh *routev3.VirtualHost) (out []reference) {
	for i, r := range vh.GetRoutes() {
		a := r.GetRoute()
		add := func(cluster string) {
			if cluster != "" {
				out = append(out, reference{cluster: cluster, part: names.RoutePart(i), http: true})
			}
		}
		add(a.GetCluster())
		for _, w := range a.GetWeightedClusters().GetClusters() {
			add(w.GetName())
		}
		for _, m := range a.GetRequestMirrorPolicies() {
			add(m.GetCluster())
		}
	}
	return out
}

func ofListener(l *listenerv3.Listener) (out []reference) {
	for _, c := range append(l.GetFilterChains()[:len(l.GetFilterChains()):len(l.GetFilterChains())], l.GetDefaultFilterChain()) {
		for _, f := range c.GetFilters() {
			p := &tcpv3.TcpProxy{}
			if !f.GetTypedConfig().MessageIs(p) || f.GetTypedConfig().UnmarshalTo(p) != nil {
				continue
			}
			if p.GetCluster() != "" {
				out = append(out, reference{cluster: p.GetCluster(), part: names.ChainPart(c.GetName())})
			}
			for _, w := range p.GetWeightedClusters().GetClusters() {
				out = append(out, reference{cluster: w.GetName(), part: names.ChainPart(c.GetName())})
			}
		}
	}
	return out
}

func (c *checker) use(refs []reference) {
	for _, r := range refs {
		u := c.used[r.cluster]
		u.http, u.tcp = u.http || r.http, u.tcp || !r.http
		c.used[r.cluster] = u
	}
}
