package compiler

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// seal marshals each resource once and hands classes, with the sets they share, to the bundle.
func seal(in *input, low *loweredSets, opts Options) (*bundle.Bundle, error) {
	conv := &converter{resources: map[*xds.Resource]*bundle.Resource{}, sets: map[*xds.Group]*bundle.Set{}, low: low}
	read := in.clusters[0].read
	out := bundle.Input{Compiler: opts.Version, EnvoyMin: EnvoyMin, Rollout: in.rollout, Source: bundle.SourceInfo{Revision: read.Revision.Commit, Time: read.Revision.Time, Dirty: read.Dirty}}
	for _, c := range in.clusters {
		out.Source.Dirty = out.Source.Dirty || c.read.Dirty
		if err := conv.cluster(c, &out); err != nil {
			return nil, err
		}
	}
	if len(in.clusters) == 1 && len(conv.recipes) > 0 { // endpoints of several clusters are not told apart once they are joined
		plan, err := conv.plan()
		if err != nil {
			return nil, err
		}
		out.Plan = plan
	}
	return bundle.Seal(out)
}

// plan gathers what a server needs to join clusters with live endpoints, each thing once, in an order that depends on
// content only, and tells the resources their places in it.
func (conv *converter) plan() (*endpoint.Plan, error) {
	plan := &endpoint.Plan{Site: conv.low.site}
	clients, services := newNumbered[*endpoint.Client](), newNumbered[*endpoint.Service]()
	for _, r := range conv.recipes {
		if err := clients.add(r.recipe.Client); err != nil {
			return nil, err
		}
		for _, s := range r.recipe.Services {
			if err := services.add(s); err != nil {
				return nil, err
			}
		}
	}
	plan.Clients, plan.Services = clients.sorted(), services.sorted()
	for _, r := range conv.recipes {
		j := &endpoint.Join{Client: clients.of(r.recipe.Client), Port: r.recipe.Port, Labels: r.recipe.Labels}
		for _, s := range r.recipe.Services {
			j.Services = append(j.Services, services.of(s))
		}
		r.resource.Join = j
	}
	return plan, nil
}

// numbered numbers distinct values in the order of their encoding.
type numbered[T comparable] struct {
	keys map[T]string
	at   map[string]int
	one  map[string]T
}

func newNumbered[T comparable]() *numbered[T] {
	return &numbered[T]{keys: map[T]string{}, at: map[string]int{}, one: map[string]T{}}
}

func (n *numbered[T]) add(v T) error {
	if _, ok := n.keys[v]; ok {
		return nil
	}
	key, err := json.Marshal(v)
	if err != nil {
		return err
	}
	n.keys[v], n.one[string(key)] = string(key), v
	return nil
}

func (n *numbered[T]) sorted() []T {
	out := []T{}
	for i, key := range slices.Sorted(maps.Keys(n.one)) {
		n.at[key] = i
		out = append(out, n.one[key])
	}
	return out
}

func (n *numbered[T]) of(v T) int { return n.at[n.keys[v]] }

// cluster adds the selectors, classes and workloads of one cluster.
func (conv *converter) cluster(in *clusterInput, out *bundle.Input) error {
	for _, s := range in.selectors {
		out.Selectors = append(out.Selectors, bundle.Selector{ID: s.ID, Cluster: s.Cluster, Namespace: s.Namespace, Labels: s.Labels, Address: s.Address, Locality: s.Locality, Network: s.Network})
	}
	if out.TrustDomain == "" {
		out.TrustDomain = in.mesh.TrustDomain
	}
	out.Services = append(out.Services, services(in)...)
	for _, c := range in.classes {
		bc, err := conv.class(c)
		if err != nil {
			return err
		}
		out.Classes = append(out.Classes, bc)
		for _, w := range c.Workloads {
			if w.Implied {
				continue
			}
			out.Workloads = append(out.Workloads, bundle.Workload{
				Kind: w.Object.Kind, Namespace: w.Namespace, Name: w.Name, ServiceAccount: w.ServiceAccount, Labels: w.Labels,
				Addresses: w.Addresses, Locality: w.Locality, Network: w.Network, Cluster: in.name, Class: bc.ID, Proxy: c.Gateway || w.HasProxy(),
			})
		}
	}
	return nil
}

// services are those that the classes of a cluster may call. Scopes may see addresses of a service that others do not.
func services(in *clusterInput) []bundle.Service {
	var out []bundle.Service
	at := map[[2]string]int{}
	seen := map[*mesh.View]bool{}
	for _, c := range in.classes {
		v := c.Scope.View()
		if seen[v] {
			continue
		}
		seen[v] = v != nil
		for _, s := range c.Scope.Services {
			key := [2]string{s.Hostname, s.Namespace}
			i, ok := at[key]
			if !ok {
				i = len(out)
				at[key] = i
				out = append(out, bundle.Service{Cluster: in.name, Hostname: s.Hostname, Namespace: s.Namespace,
					ClusterIP: s.Kubernetes && !s.Headless && s.Resolution != mesh.Alias, Headless: s.Headless})
			}
			for _, a := range s.Addresses {
				if !slices.Contains(out[i].Addresses, a) {
					out[i].Addresses = append(out[i].Addresses, a)
				}
			}
			for _, p := range s.Ports {
				if port := (bundle.ServicePort{Number: p.Number, Name: p.Name}); !slices.Contains(out[i].Ports, port) {
					out[i].Ports = append(out[i].Ports, port)
				}
			}
		}
	}
	return out
}

type converter struct {
	resources map[*xds.Resource]*bundle.Resource
	sets      map[*xds.Group]*bundle.Set
	low       *loweredSets
	recipes   []sealedRecipe
}

type sealedRecipe struct {
	resource *bundle.Resource
	recipe   *endpoint.Recipe
}

func (c *converter) class(k *mesh.Class) (bundle.Class, error) {
	out := bundle.Class{ID: k.ID, Gateway: k.Gateway, Namespace: k.Workload().Namespace, Selectors: k.Selectors}
	for _, w := range k.Workloads {
		if name := w.Namespace + "/" + w.Name; !slices.Contains(out.Workloads, name) {
			out.Workloads = append(out.Workloads, name)
		}
		if w.ServiceAccount != "" && !slices.Contains(out.ServiceAccounts, w.ServiceAccount) {
			out.ServiceAccounts = append(out.ServiceAccounts, w.ServiceAccount)
		}
	}
	for _, g := range c.low.scopes[k.Scope] {
		if c.sets[g] == nil {
			set, err := c.set(g.Resources)
			if err != nil {
				return out, err
			}
			c.sets[g] = set
		}
		out.Sets = append(out.Sets, c.sets[g])
	}
	own, err := c.set(xds.NewGroup(c.low.classes[k]).Resources)
	out.Sets = append(out.Sets, own)
	return out, err
}

func (c *converter) set(rs []*xds.Resource) (*bundle.Set, error) {
	s := &bundle.Set{Resources: make([]*bundle.Resource, 0, len(rs))}
	for _, r := range rs {
		b, err := c.resource(r)
		if err != nil {
			return nil, err
		}
		s.Resources = append(s.Resources, b)
	}
	s.Requires = c.low.requirements(rs)
	return s, nil
}

func (c *converter) resource(r *xds.Resource) (*bundle.Resource, error) {
	if b := c.resources[r]; b != nil {
		return b, nil
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.Message)
	if err != nil {
		return nil, fmt.Errorf("resource %s %s: %w", r.Type.URL(), strconv.Quote(r.Name), err)
	}
	b := &bundle.Resource{Type: r.Type.URL(), Name: r.Name, Bytes: data}
	b.Origins = make([]bundle.Origin, 0, len(r.Origins))
	for _, o := range r.Origins {
		b.Origins = append(b.Origins, bundle.Origin{
			At: o.At, File: o.Pos.File, Line: o.Pos.Line, Column: o.Pos.Column, Kind: o.Object.Kind, Namespace: o.Object.Namespace, Name: o.Object.Name, Field: o.Field,
		})
	}
	b.Selector = r.Selector
	if r.Recipe != nil {
		c.recipes = append(c.recipes, sealedRecipe{b, r.Recipe})
	}
	c.resources[r] = b
	return b, nil
}
