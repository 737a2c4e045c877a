// Package compiler turns mesh intent into a sealed bundle of Envoy configuration.
//
// The phases are functions between values, run in the order they stand in Compile: load reads documents, schema checks
// their shape and decodes them, policies judges them, mesh links them and groups the proxies, envoy lowers each scope
// and class once, and bundle seals the result. A phase that reports an error ends the run after it has reported all it
// can; then no bundle is made.
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
	Ignore    []config.Ignore   // findings that are silenced
	Exclude   []string          // patterns of paths that are left out
	Settings  string            // the folder that the paths of these two start from, from the root of the repository
	Clusters  []Cluster         // the Kubernetes clusters of the mesh, where there are several; none: one, without a name

	// Begin is told when a phase begins: load, schema, policies, link, lower, seal. It is for those who measure.
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
	res := &Result{Foreign: in.foreign, Display: in.sources.Display, Repository: in.sources.Repository, Text: in.sources.Text}
	quiet := in.silences(opts)
	defer func() { res.Silenced = quiet.quiet }()
	findings.Add(quiet.found...)
	for _, c := range in.clusters {
		res.Counts.Excluded += c.read.Excluded
	}
	if findings.HasErrors() {
		findings.Add(in.installation()...) // nothing of it waits for the rest
		findings.Sort()
	}
	if stop := settle(&findings, opts, quiet, false); stop {
		findings.Add(quiet.stale(in.sources, false)...)
		findings.Sort()
		return res, findings, nil
	}
	opts.begin("schema")
	findings.Add(in.check(opts)...)
	found, err := in.address(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	findings.Add(found...)
	res.Counts.Objects = len(in.objects())
	opts.begin("policies")
	judged, report, err := policies.Eval(ctx, in.objects(), policies.Options{Folders: opts.Policies, Workers: workers(opts), Holds: in.sources.Holds})
	if err != nil {
		return nil, nil, err
	}
	res.Policies = report
	res.Text = func(shown string) (string, bool) {
		if text, ok := report.Texts[shown]; ok {
			return text, true
		}
		return in.sources.Text(shown)
	}
	findings.Add(judged...)
	broken := settle(&findings, opts, quiet, false)
	opts.begin("link")
	linked := in.link()
	res.Counts.Workloads, res.Counts.Proxied = in.workloads()
	opts.begin("lint")
	linked.Add(in.lint()...)
	stop := settle(&linked, opts, quiet, true)
	findings.Add(linked...)
	if broken || stop {
		findings.Add(quiet.stale(in.sources, false)...)
		findings.Sort()
		return res, findings, nil
	}
	opts.begin("lower")
	sets := newLoweredSets()
	var lowered diag.List
	for _, c := range in.clusters {
		f, err := sets.lower(ctx, c.mesh, c.classes, opts)
		if err != nil {
			return nil, nil, err
		}
		lowered.Add(f...)
	}
	opts.begin("validate")
	refused, err := sets.refusals(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	lowered.Add(refused...)
	opts.begin("coverage")
	lowered.Add(in.coverage(sets, slices.Concat(findings, quiet.quiet, lowered))...)
	lowered.Add(sets.unresolved(slices.Concat(findings, quiet.quiet, lowered))...)
	stop = settle(&lowered, opts, quiet, true)
	findings.Add(lowered...)
	findings.Sort()
	if stop {
		findings.Add(quiet.stale(in.sources, false)...)
		findings.Sort()
		return res, findings, nil
	}
	opts.begin("seal")
	sealed, unsealed, err := in.sealed(sets, opts, quiet) // for a check too: what cannot be sealed is a finding
	findings.Add(unsealed...)
	findings.Add(quiet.stale(in.sources, true)...)
	findings.Sort()
	if !opts.CheckOnly {
		res.Bundle = sealed
	}
	return res, findings, err
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
