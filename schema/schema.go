// Package schema checks the shape of objects and decodes them.
//
// The schemas are CUE, one definition for the spec of each kind of Istio and one, open, for each kind of Kubernetes, in
// a file named after the kind. Check looks the definition up by apiVersion and kind, encodes the document's plain data,
// unifies the two and turns what CUE reports into findings at the line of the deepest part that exists; documents that
// differ only in what the definition leaves open are shown to CUE once (outline.go). Beside CUE, a
// table read from the same files (shape.go) holds what CUE has no cheap word for: @oneof(a,b) on a struct,
// @unsupported("why") and @ignored("why") on a field, with ",always" and ",warn";
// @on, @deprecated and @uint on an annotation (annotation.cue); and validate_<kind>.go holds the rules that relate fields. What
// passes is decoded into the messages of istio.io/api and k8s.io/api. Documents are checked in shards, each with a CUE
// context of its own, because contexts are not safe for concurrent use and grow; those that have not grown wait for the next
// check (engine.go).
package schema

import (
	"embed"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/fault"
	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/internal/suggest"
)

//go:embed *.cue
var files embed.FS

// Options says how strict to be.
type Options struct {
	Workers int  // goroutines; 0 for one per CPU
	Lenient bool // what Istio tolerates is a warning
}

// Check checks and decodes documents, keeping their order. Objects may be among them that have errors: what is made of
// them is good for more findings only.
func Check(docs []*source.Document, opts Options) ([]*Object, diag.List) {
	shapes, err := readShapes()
	if err != nil {
		panic("schema: the embedded definitions do not parse: " + err.Error()) // found by any test of this package
	}
	var diags diag.List
	var ours []*source.Document
	for _, d := range docs {
		class := source.Classify(d.APIVersion, d.Kind)
		if class == source.Kubernetes || class == source.Istio {
			ours = append(ours, d)
			continue
		}
		diags.Add(uncompiled(d, class, opts)...)
	}
	objects := make([]*Object, len(ours))
	found := make([]diag.List, len(ours))
	var workers errgroup.Group
	for _, s := range shards(len(ours), opts.Workers) {
		workers.Go(fault.Guard(func() error {
			c := newChecker(shapes, borrow(), opts)
			for i := s[0]; i < s[1]; i++ {
				if c.seen >= contextLife {
					c.engine = newEngine()
				}
				objects[i], found[i] = c.check(ours[i])
			}
			c.release()
			return nil
		}))
	}
	if err := workers.Wait(); err != nil {
		panic(err) // a worker did
	}
	for _, f := range found {
		diags.Add(f...)
	}
	diags.Sort()
	return slices.DeleteFunc(objects, func(o *Object) bool { return o == nil }), diags
}

// shards splits n objects into ranges, none so small that compiling the schemas costs more than it saves.
func shards(n, workers int) [][2]int {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = max(1, min(workers, n/32))
	var out [][2]int
	for i := range workers {
		out = append(out, [2]int{n * i / workers, n * (i + 1) / workers})
	}
	return out
}

// uncompiled says what becomes of an object that meshc knows of and does not read.
func uncompiled(d *source.Document, class source.Class, opts Options) diag.List {
	f := diag.Diagnostic{Severity: diag.Warning, Pos: d.Pos("kind"), Object: d.Ref(), Field: "kind"}
	switch class {
	case source.GatewayAPI:
		f.Code, f.Message = "MESHC1150", d.Kind+" of the Gateway API is not compiled; the traffic it describes is not part of the bundle"
		f.Help = "Express it as a Gateway and VirtualService of networking.istio.io, or leave the object to the controller that serves it."
	case source.Installer:
		f.Code, f.Message = "MESHC1151", d.Kind+" describes the installation of Istio and is not read"
		f.Help = "Put its meshConfig into the ConfigMap istio, key mesh."
	case source.UnknownMesh:
		f.Code, f.Message = "MESHC1105", d.APIVersion+" has no kind "+d.Kind+" that meshc knows"
		f.Help = unknownKindHelp(d)
		if !opts.Lenient {
			f.Severity = diag.Error
		}
	default:
		return nil
	}
	return diag.List{f}
}

func unknownKindHelp(d *source.Document) string {
	group, version, _ := strings.Cut(d.APIVersion, "/")
	if group == kinds.OwnGroup {
		return "meshc has one kind of its own: MeshRollout of " + kinds.OwnGroup + "/v1alpha1."
	}
	var names []string
	for _, k := range kinds.All() {
		if k.Name == d.Kind && k.Istio {
			if k.Group == group {
				return "The version " + version + " does not exist; write " + k.Group + "/v1."
			}
			return "This kind belongs to " + k.Group + "/v1."
		}
		if k.Istio && k.Group == group {
			names = append(names, k.Name)
		}
	}
	if n := suggest.Word(d.Kind, names); n != "" {
		return "Did you mean " + n + "?"
	}
	if len(names) == 0 {
		return "Istio removed this API group; express it with the kinds of networking.istio.io and security.istio.io."
	}
	return "Kinds of " + group + " are " + strings.Join(names, ", ") + "."
}
