package compiler

import (
	"context"
	"slices"

	"github.com/meshc/meshc/compiler/coverage"
	"github.com/meshc/meshc/compiler/lint"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/observe"
	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Cluster is one Kubernetes cluster of a mesh that spans several. Its sources hold the objects that are applied to it;
// the sources given to Compile count for every cluster.
type Cluster struct {
	Name    string // as proxies have it in metadata CLUSTER_ID
	Sources []string

	Addresses []string // see Options.Addresses
	Observed  []string // see Options.Observed
}

// input is what the phases know of each cluster. A mesh in one cluster has one, without a name.
type input struct {
	sources  *load.Sources
	clusters []*clusterInput
	foreign  []load.Left
	rollout  *rollout.Plan // nil: the source has none
}

type clusterInput struct {
	name      string
	addresses []string
	observed  []string
	read      *load.Result
	objects   []*schema.Object // of the sources
	joined    []*schema.Object // with those of the cluster that is observed
	mesh      *mesh.Mesh
	classes   []*mesh.Class
	selectors []*mesh.Selector
}

// readClusters loads the sources of every cluster.
func readClusters(ctx context.Context, sources []string, opts Options) (*input, diag.List, error) {
	list := opts.Clusters
	if len(list) == 0 {
		list = []Cluster{{Addresses: opts.Addresses, Observed: opts.Observed}}
	}
	all := sources
	for _, c := range list {
		all = slices.Concat(all, c.Sources)
	}
	in := &input{sources: load.Locate(all)}
	var findings diag.List
	seen := map[diag.Pos]bool{}
	var exclude func(name string) bool
	if len(opts.Exclude) > 0 {
		exclude = opts.leftOut
	}
	for _, c := range list {
		read, f, err := in.sources.Load(ctx, slices.Concat(sources, c.Sources), load.Options{Namespace: opts.Namespace, Stdin: opts.Stdin, Lenient: opts.Lenient, Exclude: exclude})
		if err != nil {
			return nil, nil, err
		}
		findings.Add(f...)
		for _, l := range read.Foreign {
			if !seen[l.Pos] { // what all clusters have in common is read for each
				in.foreign = append(in.foreign, l)
			}
			seen[l.Pos] = true
		}
		in.clusters = append(in.clusters, &clusterInput{name: c.Name, addresses: c.Addresses, observed: c.Observed, read: read})
	}
	findings.Sort()
	return in, findings, nil
}

// check holds every document against its schema.
func (in *input) check(opts Options) diag.List {
	var findings diag.List
	for _, c := range in.clusters {
		objects, f := schema.Check(c.read.Documents, schema.Options{Workers: opts.Workers, Lenient: opts.Lenient})
		c.objects, c.joined = objects, objects
		findings.Add(f...)
	}
	return findings
}

// observe joins the objects of the sources with what files say that their cluster has: the addresses of Services, or all.
func (in *input) observe(ctx context.Context, opts Options) (diag.List, error) {
	var findings diag.List
	for _, c := range in.clusters {
		if len(c.addresses) > 0 {
			known, f, err := readCluster(ctx, c.addresses, opts)
			if err != nil {
				return nil, err
			}
			findings.Add(f...)
			if !f.HasErrors() {
				findings.Add(mesh.GiveAddresses(c.objects, known, c.addresses[0])...)
			}
		}
		if len(c.observed) > 0 {
			known, f, err := readCluster(ctx, c.observed, opts)
			if err != nil {
				return nil, err
			}
			findings.Add(f...)
			c.joined, f = observe.Join(c.objects, known, c.observed[0])
			findings.Add(f...)
		}
	}
	return findings, nil
}

// readCluster reads files with what a cluster prints. Only what keeps them from being read matters of objects that are not the
// user's to mend.
func readCluster(ctx context.Context, sources []string, opts Options) ([]*schema.Object, diag.List, error) {
	files := load.Locate(sources)
	read, found, err := files.Load(ctx, sources, load.Options{Namespace: opts.Namespace, Stdin: opts.Stdin, Lenient: true})
	if err != nil {
		return nil, nil, err
	}
	known, f := schema.Check(read.Documents, schema.Options{Workers: opts.Workers, Lenient: true})
	found.Add(f...)
	found = slices.DeleteFunc(found, func(d diag.Diagnostic) bool { return d.Severity != diag.Error })
	for _, o := range known {
		o.Doc.File = files.Display(o.Doc.File)
	}
	return known, found.Renamed(files.Display), nil
}

// objects are those of all clusters.
func (in *input) objects() []*schema.Object {
	if len(in.clusters) == 1 {
		return in.clusters[0].objects
	}
	var out []*schema.Object
	for _, c := range in.clusters {
		out = append(out, c.objects...)
	}
	return out
}

// link makes one mesh for each cluster, of its own objects and of the services that the others offer it.
func (in *input) link() diag.List {
	registries := make([]mesh.Cluster, len(in.clusters))
	for i, c := range in.clusters {
		registries[i] = mesh.Cluster{Name: c.name, Objects: c.joined}
	}
	meshes, findings := mesh.LinkClusters(registries)
	for i, c := range in.clusters {
		c.mesh = meshes[i]
	}
	return slices.DeleteFunc(findings, in.fromCluster())
}

// group makes the classes of each mesh.
func (in *input) group() (findings diag.List) {
	observed := in.fromCluster()
	for _, c := range in.clusters {
		var f diag.List
		c.classes, c.selectors, f = mesh.Classes(c.mesh)
		findings.Add(slices.DeleteFunc(f, observed)...)
	}
	return findings
}

// fromCluster tells the findings that are about objects which only a cluster has: they are not the user's to mend, and only
// what stops the bundle is said of them.
func (in *input) fromCluster() func(diag.Diagnostic) bool {
	of := map[diag.Ref]bool{}
	for _, c := range in.clusters {
		for _, o := range c.joined[len(c.objects):] {
			of[o.Ref()] = true
		}
	}
	return func(d diag.Diagnostic) bool { return d.Severity != diag.Error && of[d.Object] }
}

// workloads counts the workloads of all clusters, and those that have a proxy. What is in several clusters counts once.
func (in *input) workloads() (all, proxied int) {
	type identity struct {
		at  diag.Pos
		ref diag.Ref // one text stands for several objects where kustomizations share a base
	}
	seen := map[identity]bool{}
	for _, c := range in.clusters {
		for _, w := range c.mesh.Workloads {
			if at := (identity{w.Object.Pos(), w.Object.Ref()}); !w.Implied && !seen[at] {
				seen[at] = true
				all++
				if w.Injected || w.Router {
					proxied++
				}
			}
		}
	}
	return all, proxied
}

// meshes are those of all clusters.
func (in *input) meshes() (out []*mesh.Mesh) {
	for _, c := range in.clusters {
		out = append(out, c.mesh)
	}
	return out
}

// lint looks at each linked mesh for what resolves and is hardly meant.
func (in *input) lint() diag.List {
	var findings diag.List
	for _, c := range in.clusters {
		findings.Add(lint.Mesh(c.mesh, c.objects)...)
	}
	findings.Add(in.installation()...)
	plan, found := lint.Rollouts(in.objects(), in.meshes())
	in.rollout = plan
	findings.Add(found...)
	return findings
}

// installation looks at what each cluster holds of an installation of Istio.
func (in *input) installation() diag.List {
	var findings diag.List
	for _, c := range in.clusters {
		findings.Add(lint.Installation(c.read.Installs, c.objects)...)
	}
	return findings
}

// coverage asks what became of each linked mesh. known are the findings so far.
func (in *input) coverage(low *loweredSets, known diag.List) diag.List {
	var findings diag.List
	elsewhere := slices.ContainsFunc(known, func(d diag.Diagnostic) bool { return d.Code == "MESHC1150" }) // routes of the Gateway API
	for _, c := range in.clusters {
		all := make([]coverage.Proxies, 0, len(c.classes))
		for _, k := range c.classes {
			all = append(all, coverage.Proxies{Class: k, Shared: low.scopes[k.Scope], Own: low.classes[k]})
		}
		findings.Add(coverage.Check(coverage.Input{Mesh: c.mesh, Proxies: all, Known: known, Elsewhere: elsewhere})...)
	}
	return findings
}
