// Package compiler turns mesh intent into a sealed bundle of Envoy configuration.
//
// The phases are functions between values. Compile runs them in this order, and names each to Options.Begin:
//
//   - load reads the sources to documents;
//   - schema checks the shape of each and decodes it to an object;
//   - observe joins the objects with what files say that a cluster has;
//   - policies judges the objects by Rego;
//   - link makes one closed graph of the objects of each cluster;
//   - classes groups the proxies that receive the same, and finds what each group sees and serves;
//   - lint looks at the graph for what resolves and is hardly meant;
//   - lower makes the resources of each scope and of each class, once, side by side;
//   - validate holds each resource to what Envoy takes, and each name in it to what the proxies get;
//   - coverage asks what became of each part of the input;
//   - seal makes the bundle.
//
// They run in four steps: load; schema to lint, so that one run says of shapes, policies and links all that is to be said; lower to
// coverage; seal. A step with an error ends the run. Severities are applied at its end (severity.go), what is silenced is taken out
// there (silence.go), and the findings come out sorted, so that nothing depends on what runs side by side.
package compiler

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/config"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/fault"
	"github.com/meshc/meshc/policies"
)

// EnvoyMin is the oldest Envoy minor that reads what the compiler writes.
const EnvoyMin = "1.36"

// Options says how to compile.
type Options struct {
	Namespace string            // given to objects without one; "default" if empty
	Lenient   bool              // what Istio tolerates is a warning and compiles to Istio's outcome
	Severity  map[string]string // error, warning, info or off, by code
	Stdin     io.Reader         // what the source "-" reads
	Workers   int               // goroutines; 0: as many as there are processors
	Policies  []policies.Folder // folders of Rego besides the built-in pack
	CheckOnly bool              // findings only, no bundle
	Version   string            // of meshc, recorded in the bundle
	Addresses []string          // files with Services as a cluster prints them, for the addresses that sources lack; with Clusters, each has its own
	Observed  []string          // files with what a cluster prints of its Namespaces, Nodes, Services, EndpointSlices and Pods; with Clusters, each has its own
	Ignore    []config.Ignore   // findings that are silenced
	Exclude   []string          // patterns of paths that are left out
	Settings  string            // the folder that the paths of these two start from, from the root of the repository
	Clusters  []Cluster         // the Kubernetes clusters of the mesh, where there are several; none: one, without a name

	// Begin is called with the name of each phase when it begins. It is for those who measure.
	Begin func(phase string)
}

// below is a path from the root of the repository as one from the folder of the settings, "" if it is not below it.
func (o Options) below(name string) string {
	if o.Settings == "." || o.Settings == "" {
		return name
	}
	rest, ok := strings.CutPrefix(name, o.Settings+"/")
	if !ok {
		return ""
	}
	return rest
}

// leftOut tells whether a path from the root of the repository is excluded.
func (o Options) leftOut(name string) bool {
	return slices.ContainsFunc(o.Exclude, func(p string) bool { return config.Matches(p, o.below(name)) })
}

func (o Options) begin(phase string) {
	if o.Begin != nil {
		o.Begin(phase)
	}
}

// Result is what a run yields. Bundle is nil when a finding is an error, or with CheckOnly.
type Result struct {
	Bundle  *bundle.Bundle
	Foreign []load.Left              // documents left alone, without a finding
	Display func(file string) string // the file of a finding, as the user would type it

	// Repository is the file, as Display names it, from the root of its repository, for CI systems.
	Repository func(shown string) string

	// Text is the text of a file that was read, as Display names it; there may be none. Nothing is opened for it.
	Text func(shown string) (string, bool)

	Silenced diag.List       // findings that somebody has silenced
	Policies policies.Report // what the policies were, and what they judged
	Counts   Counts          // what was read
}

// Counts says how much was read, so that a run which read little cannot look like one that found nothing.
type Counts struct {
	Objects   int
	Excluded  int // files and folders that were left out on demand
	Workloads int
	Proxied   int // workloads that have a proxy
}

// Code returns what is known of a code: of the compiler's own, or of one that a policy of the run declares.
func (r *Result) Code(id string) (diag.Code, bool) {
	if c, ok := codes.Find(id); ok {
		return c, true
	}
	c, ok := r.Policies.Codes[id]
	return c, ok
}

// Compile runs all phases. The error is a fault of meshc or of the machine; what is wrong with the input is a finding. The
// files that findings and origins name are paths inside the sources, whatever these were called: see load.Sources.
func Compile(ctx context.Context, sources []string, opts Options) (*Result, diag.List, error) {
	opts.begin("load")
	in, findings, err := readClusters(ctx, sources, opts)
	if err != nil {
		return nil, nil, err
	}
	r := &run{in: in, opts: opts, silences: in.silences(opts), findings: findings,
		res: &Result{Foreign: in.foreign, Display: in.sources.Display, Repository: in.sources.Repository, Text: in.sources.Text}}
	defer func() { r.res.Silenced = r.silences.quiet }()
	for _, phases := range [...]func(context.Context) (stop bool, err error){r.loaded, r.judged, r.lowered} {
		stop, err := phases(ctx)
		if err != nil {
			return nil, nil, err
		}
		if stop {
			r.findings.Add(r.silences.stale(in.sources, false)...)
			r.findings.Sort()
			return r.res, r.findings, nil
		}
	}
	opts.begin("seal")
	sealed, unsealed, err := in.sealed(r.sets, opts, r.silences) // for a check too: what cannot be sealed is a finding
	r.findings.Add(unsealed...)
	r.findings.Add(r.silences.stale(in.sources, true)...)
	r.findings.Sort()
	if !opts.CheckOnly {
		r.res.Bundle = sealed
	}
	return r.res, r.findings, err
}

// run is what the phases of one call of Compile know. Each of its methods runs some of them, and tells whether what they
// found ends the run.
type run struct {
	in       *input
	opts     Options
	silences *silences
	res      *Result
	findings diag.List
	sets     *loweredSets
}

// failed gives findings the severities of the run, and tells whether they end it.
func (r *run) failed(findings *diag.List, tolerant bool) (stop bool) {
	return applySeverities(findings, r.opts, r.silences, tolerant)
}

// loaded looks at what load found.
func (r *run) loaded(context.Context) (stop bool, err error) {
	r.findings.Add(r.silences.found...)
	for _, c := range r.in.clusters {
		r.res.Counts.Excluded += c.read.Excluded
	}
	if r.findings.HasErrors() {
		r.findings.Add(r.in.installation()...) // nothing of it waits for the rest
	}
	return r.failed(&r.findings, false), nil
}

// judged checks the objects and links them. Links are judged even if the shape of some object is wrong.
func (r *run) judged(ctx context.Context) (stop bool, err error) {
	in, opts := r.in, r.opts
	opts.begin("schema")
	r.findings.Add(in.check(opts)...)
	opts.begin("observe")
	found, err := in.observe(ctx, opts)
	if err != nil {
		return false, err
	}
	r.findings.Add(found...)
	r.res.Counts.Objects = len(in.objects())
	opts.begin("policies")
	judged, report, err := policies.Eval(ctx, in.objects(), policies.Options{Folders: opts.Policies, Workers: workers(opts), Holds: in.sources.Holds})
	if err != nil {
		return false, err
	}
	r.res.Policies = report
	r.res.Text = func(shown string) (string, bool) {
		if text, ok := report.Texts[shown]; ok {
			return text, true
		}
		return in.sources.Text(shown)
	}
	r.findings.Add(judged...)
	broken := r.failed(&r.findings, false)
	opts.begin("link")
	linked := in.link()
	opts.begin("classes")
	linked.Add(in.group()...)
	r.res.Counts.Workloads, r.res.Counts.Proxied = in.workloads()
	opts.begin("lint")
	linked.Add(in.lint()...)
	stop = r.failed(&linked, true)
	r.findings.Add(linked...)
	return broken || stop, nil
}

// lowered makes the configuration of proxies, and holds it against what Envoy takes and against the input.
func (r *run) lowered(ctx context.Context) (stop bool, err error) {
	r.opts.begin("lower")
	r.sets = newLoweredSets()
	var lowered diag.List
	for _, c := range r.in.clusters {
		f, err := r.sets.lower(ctx, c.mesh, c.classes, r.opts)
		if err != nil {
			return false, err
		}
		lowered.Add(f...)
	}
	r.opts.begin("validate")
	refused, err := r.sets.refusals(ctx, r.opts)
	if err != nil {
		return false, err
	}
	lowered.Add(refused...)
	lowered.Add(r.sets.clashes()...)
	lowered.Add(r.sets.hashedWeights()...)
	r.opts.begin("coverage")
	lowered.Add(r.in.coverage(r.sets, slices.Concat(r.findings, r.silences.quiet, lowered))...)
	lowered.Add(r.sets.unresolved(slices.Concat(r.findings, r.silences.quiet, lowered))...)
	stop = r.failed(&lowered, true)
	r.findings.Add(lowered...)
	r.findings.Sort()
	return stop, nil
}

// lowered is what lower made of the scopes and the classes.
type loweredSets struct {
	scopes  map[*mesh.Scope][]*xds.Group
	classes map[*mesh.Class][]*xds.Resource
	site    *endpoint.Site // of the last mesh

	checked map[*xds.Resource]*validate.Result
	removed map[string][]xds.Origin // by name: the patches that remove a cluster
}

func newLoweredSets() *loweredSets {
	return &loweredSets{scopes: map[*mesh.Scope][]*xds.Group{}, classes: map[*mesh.Class][]*xds.Resource{}, removed: map[string][]xds.Origin{}}
}

// lower lowers each scope and each class of a mesh once, side by side.
func (out *loweredSets) lower(ctx context.Context, m *mesh.Mesh, classes []*mesh.Class, opts Options) (diag.List, error) {
	low := envoy.NewLowering(m)
	var scopes []*mesh.Scope
	for _, c := range classes {
		if _, seen := out.scopes[c.Scope]; !seen {
			out.scopes[c.Scope] = nil
			scopes = append(scopes, c.Scope)
		}
	}
	groups, own, found := make([][]*xds.Group, len(scopes)), make([][]*xds.Resource, len(classes)), make([]diag.List, len(classes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers(opts))
	for i, s := range scopes {
		group.Go(fault.Guard(func() error {
			groups[i] = low.Scope(s)
			return ctx.Err()
		}))
	}
	for i, c := range classes {
		group.Go(fault.Guard(func() error {
			own[i], found[i] = low.Class(c)
			return ctx.Err()
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, s := range scopes {
		out.scopes[s] = groups[i]
	}
	findings := low.Findings()
	maps.Copy(out.removed, low.Removed())
	for i, c := range classes {
		out.classes[c] = own[i]
		findings.Add(found[i]...)
	}
	out.site = low.Site()
	return findings, nil
}
