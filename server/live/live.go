// Package live is the weights that are set while a mesh runs: which routes of a bundle take them, what a person may set, and the
// one resource of the runtime that carries them to a proxy.
//
// A route of a bundle that takes them has a prefix of runtime keys; the key of the weight of one of its clusters is the prefix, a
// dot and the cluster's name. A proxy gets the keys of the routes that it has and of no others. While no key is set the weights
// of the bundle hold, so taking all keys of a route away leads back to what the file says.
package live

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

// Weights are those that are set, by route, NAMESPACE/NAME/ROUTE. A Weights is not changed once others see it.
type Weights map[string]Setting

// Setting is the weights of one route.
type Setting struct {
	Clusters map[string]uint32 `json:"clusters"`
	Since    time.Time         `json:"since"`
}

// MostWeight bounds one weight, so that no sum is more than Envoy takes.
const MostWeight = 1_000_000

// Resource is the runtime layer of a proxy that has the routes.
func Resource(w Weights, routes []bundle.LiveRoute) ([]byte, error) {
	fields := map[string]*structpb.Value{}
	for _, r := range routes {
		set := w[r.Route].Clusters
		for _, c := range r.Clusters {
			if n, ok := set[c.Name]; ok {
				fields[r.Prefix+"."+c.Name] = structpb.NewNumberValue(float64(n))
			}
		}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&runtimev3.Runtime{Name: names.RuntimeLayer, Layer: &structpb.Struct{Fields: fields}})
}

// Resolve reads what a person sets: of each destination of a route its weight. A destination is named by its subset, its host, in
// full or the first part of it, both as HOST/SUBSET, or the name of its cluster; all of them have to be named, so that nothing of
// the sum is left to what the bundle says.
func Resolve(r bundle.LiveRoute, weights map[string]uint32) (map[string]uint32, error) {
	out := map[string]uint32{}
	sum := uint32(0)
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if weights[name] > MostWeight {
			return nil, fmt.Errorf("the weight %d of %s is too large: at most %d", weights[name], name, MostWeight)
		}
		found := matching(r, name)
		if len(found) == 0 {
			return nil, fmt.Errorf("the route %s has no destination %s: %s", r.Route, name, destinations(r))
		}
		for _, c := range found {
			if _, twice := out[c]; twice {
				return nil, fmt.Errorf("the destination %s of the route %s is named twice", c, r.Route)
			}
			out[c] = weights[name]
		}
		sum += weights[name]
	}
	if len(out) < len(r.Clusters) {
		return nil, fmt.Errorf("not all destinations of the route %s have a weight: %s; say 0 for one that is to get nothing", r.Route, destinations(r))
	}
	if sum == 0 {
		return nil, errors.New("the weights are 0 together: one destination at least has to get requests")
	}
	return out, nil
}

// matching are the clusters that a name means, of one destination: those that differ in their port alone.
func matching(r bundle.LiveRoute, name string) (out []string) {
	kinds := map[string]bool{}
	for _, c := range r.Clusters {
		p, ok := names.ParseCluster(c.Name)
		host, _, _ := strings.Cut(p.Host, ".")
		if c.Name == name || ok && slices.Contains([]string{p.Subset, p.Host, host, p.Host + "/" + p.Subset, host + "/" + p.Subset}, name) {
			out = append(out, c.Name)
			kinds[p.Host+"|"+p.Subset] = true
		}
	}
	if len(kinds) > 1 {
		return nil // it means several
	}
	return out
}

// destinations names those of a route for people.
func destinations(r bundle.LiveRoute) string {
	var out []string
	for _, c := range r.Clusters {
		name := Destination(c.Name)
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return "its destinations are " + strings.Join(out, ", ")
}

// Destination is a cluster as people name it: HOST/SUBSET, or HOST.
func Destination(cluster string) string {
	p, ok := names.ParseCluster(cluster)
	switch {
	case !ok:
		return cluster
	case p.Subset == "":
		return p.Host
	}
	return p.Host + "/" + p.Subset
}
