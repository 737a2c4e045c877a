// Package parts takes resources apart into what requests meet apart, and finds those that no other resource asks for.
package parts

import (
	"cmp"
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/neutral"
	"github.com/meshc/meshc/compiler/change/touched"
	"github.com/meshc/meshc/compiler/names"
)

// Part is a piece of a resource that is met as a whole.
type Part struct {
	Name    string
	Message proto.Message
	Bytes   string // without the fields that no request shows
}

// Of takes a resource apart into what is met apart: a listener into its filter chains and the rest. Fields that no request
// shows are left out.
func Of(m proto.Message) []Part {
	l, ok := m.(*listenerv3.Listener)
	if !ok {
		return []Part{{Message: m, Bytes: shownBytes(m)}}
	}
	rest := proto.CloneOf(l)
	rest.FilterChains, rest.DefaultFilterChain = nil, nil
	out := []Part{{Message: l, Bytes: shownBytes(rest)}}
	for i, c := range append(slices.Clone(l.GetFilterChains()), l.GetDefaultFilterChain()) {
		if c != nil {
			out = append(out, Part{"filter chain " + cmp.Or(c.GetName(), fmt.Sprint(i)), c, shownBytes(c)})
		}
	}
	return out
}

// shownBytes are those of a message without the fields that no request shows.
func shownBytes(m proto.Message) string {
	one := proto.Clone(m)
	neutral.Drop(one.ProtoReflect())
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(one)
	if err != nil {
		return "" // differs from every other
	}
	return string(b)
}

// Unused tells whether no other resource of a class asks for one. Clusters that the server name chooses are named nowhere.
func Unused(r *bundle.Resource, of []*bundle.Resource) bool {
	name, askers := r.Name, []string{bundle.ListenerType}
	switch r.Type {
	case bundle.ListenerType:
		return false
	case bundle.VirtualHostType:
		name, _ = names.ParseVirtualHost(r.Name)
	case bundle.EndpointsType:
		askers = []string{bundle.ClusterType}
	case bundle.ClusterType:
		askers = []string{bundle.ListenerType, bundle.RouteConfigurationType, bundle.VirtualHostType, bundle.ClusterType}
		if names.IsServerName(name) {
			return false
		}
	}
	return !slices.ContainsFunc(of, func(x *bundle.Resource) bool {
		if x == r || !slices.Contains(askers, x.Type) || !touched.Mentions(x, name) {
			return false
		}
		return r.Type != bundle.EndpointsType || !Unused(x, of)
	})
}
