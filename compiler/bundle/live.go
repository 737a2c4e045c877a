package bundle

import (
	"bytes"
	"cmp"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/names"
)

// LiveRoute is a route whose weights may be set while the mesh runs.
type LiveRoute struct {
	Route    string        // NAMESPACE/NAME/ROUTE of its VirtualService
	Prefix   string        // of its runtime keys
	Clusters []LiveCluster // as one virtual host has them
	Origins  []Origin      // of that virtual host
}

// LiveCluster is one of its destinations, with its weight at rest.
type LiveCluster struct {
	Name   string
	Weight uint32
}

// LiveRoutes are those of a virtual host, each as it is there. What is none is not looked into, which costs a search for the
// prefix of their keys.
func (r *Resource) LiveRoutes() (out []LiveRoute) {
	if r.Type != VirtualHostType || !bytes.Contains(r.Bytes, []byte(names.LivePrefix)) {
		return nil
	}
	m := &routev3.VirtualHost{}
	if proto.Unmarshal(r.Bytes, m) != nil {
		return nil // sealed bytes are a virtual host's
	}
	for _, route := range m.GetRoutes() {
		w := route.GetRoute().GetWeightedClusters()
		name, ok := names.ParseLiveWeights(w.GetRuntimeKeyPrefix())
		if !ok {
			continue
		}
		l := LiveRoute{Route: name, Prefix: w.GetRuntimeKeyPrefix(), Origins: r.Origins}
		for _, c := range w.GetClusters() {
			l.Clusters = append(l.Clusters, LiveCluster{c.GetName(), c.GetWeight().GetValue()})
		}
		out = append(out, l)
	}
	return out
}

// MergeLive makes one of the routes of one name: they have the clusters of all, since a port may differ from host to host.
// Sorted by name.
func MergeLive(list []LiveRoute) (out []LiveRoute) {
	at := map[string]int{}
	for _, l := range list {
		i, ok := at[l.Route]
		if !ok {
			i = len(out)
			at[l.Route] = i
			out = append(out, LiveRoute{Route: l.Route, Prefix: l.Prefix, Origins: l.Origins})
		}
		for _, c := range l.Clusters {
			if !slices.Contains(out[i].Clusters, c) {
				out[i].Clusters = append(out[i].Clusters, c)
			}
		}
	}
	for i := range out {
		slices.SortFunc(out[i].Clusters, func(a, b LiveCluster) int { return cmp.Compare(a.Name, b.Name) })
	}
	slices.SortFunc(out, func(a, b LiveRoute) int { return cmp.Compare(a.Route, b.Route) })
	return out
}

// LiveRoutes are those of all proxies, each once.
func (b *Bundle) LiveRoutes() []LiveRoute {
	var list []LiveRoute
	for _, r := range b.Resources {
		list = append(list, r.LiveRoutes()...)
	}
	return MergeLive(list)
}

// Weigh puts weights in the place of those at rest, by route and cluster, and returns the routes that have any. It is for a
// bundle that was just read or sealed and that nobody else uses yet, to look at what is done while the weights hold.
func (b *Bundle) Weigh(set map[string]map[string]uint32) (routes []string, err error) {
	for _, r := range b.Resources {
		if len(r.LiveRoutes()) == 0 {
			continue
		}
		m := &routev3.VirtualHost{}
		if err := proto.Unmarshal(r.Bytes, m); err != nil {
			return nil, err
		}
		changed := false
		for _, route := range m.GetRoutes() {
			w := route.GetRoute().GetWeightedClusters()
			name, _ := names.ParseLiveWeights(w.GetRuntimeKeyPrefix())
			for _, c := range w.GetClusters() {
				if n, ok := set[name][c.GetName()]; ok {
					c.Weight, changed = wrapperspb.UInt32(n), true
					routes = append(routes, name)
				}
			}
		}
		if !changed {
			continue
		}
		if r.Bytes, err = (proto.MarshalOptions{Deterministic: true}).Marshal(m); err != nil {
			return nil, err
		}
		r.Digest = ResourceDigest(r.Type, r.Name, r.Bytes)
	}
	slices.Sort(routes)
	return slices.Compact(routes), nil
}
