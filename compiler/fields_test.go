package compiler

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

// trial is one field set to one value in one set of objects.
type trial struct {
	field  string // kind and path, as the fields list has it
	value  any
	before objectSet
	after  objectSet
	at     string // path of the field in the object, as findings have it
	leaf   string // last name of the path
	any    bool   // one of the field's values is enough
	fix    fixture
}

// TestNoSilentField sets each field of each kind, every value of an enum and every arm of a oneof, and wants the sealed
// output to change or a finding to name the field.
func TestNoSilentField(t *testing.T) {
	base := objectSet{}
	common := readFixtures(t, "mesh")
	base.add(common.Objects)
	for _, kind := range slices.Sorted(maps.Keys(walkedKinds())) {
		t.Run(kind, func(t *testing.T) {
			runTrials(t, append(kindTrials(t, base, kind), specialTrials(t, base, kind)...))
		})
	}
	t.Run("kubernetes", func(t *testing.T) { runTrials(t, specialTrials(t, base, "kubernetes")) })
}

// rootOf is where the spec of a kind stands in its object.
func rootOf(kind string) []string {
	switch kind {
	case "MeshConfig":
		return []string{"data", schema.MeshKey}
	case "MeshNetworks":
		return []string{"data", schema.NetworksKey}
	}
	return []string{"spec"}
}

func kindTrials(t *testing.T, base objectSet, kind string) []trial {
	f := readFixtures(t, kind)
	w := maps.Clone(base)
	w.add(f.Objects)
	ls := leaves(walkedKinds()[kind])
	used := map[string]bool{}
	var out []trial
	for _, l := range ls {
		merged := fixture{Of: f.Of}
		before := w
		for _, x := range f.matching(l.path) {
			used[x.Path] = true
			if x.Of != "" {
				merged.Of = x.Of
			}
			before = before.patched(x.And)
			if x.With != nil {
				before = before.patched(map[string]map[string]any{merged.Of: x.With})
			}
			if x.Values != nil {
				merged.Values = x.Values
			}
			if x.Same != nil {
				merged.Same = x.Same
			}
			if x.Code != "" {
				merged.Code = x.Code
			}
			if x.Whole != "" {
				merged.Whole = x.Whole
			}
			if x.Silent != "" {
				merged.Silent = x.Silent
			}
		}
		object := before[merged.Of]
		if object == nil {
			t.Fatalf("%s %s: there is no object %s", kind, l.path, merged.Of)
		}
		values, each := l.values, l.each
		if merged.Values != nil {
			values, each = merged.Values, true
		}
		for _, v := range values {
			if merged.Same[fmt.Sprint(v)] != "" {
				continue
			}
			changed, at := set(object, rootOf(kind), l, v)
			after := maps.Clone(before)
			after[merged.Of] = changed
			prefix := "spec."
			if kind == "MeshConfig" || kind == "MeshNetworks" {
				prefix = rootOf(kind)[1] + ": "
			}
			_, name, _ := cutLast(l.path, ".")
			out = append(out, trial{field: kind + " " + l.path, value: v, before: before, after: after, at: prefix + at, leaf: strings.TrimRight(name, "[]{}"), any: !each, fix: merged})
		}
	}
	for _, x := range f.Fields {
		if !used[x.Path] {
			t.Errorf("%s.yaml: no field matches the path %s", kind, x.Path)
		}
	}
	return out
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// specialTrials are the cases of a file: fields of Kubernetes objects, annotations and labels, and values of a field that
// need objects of their own.
func specialTrials(t *testing.T, base objectSet, name string) []trial {
	f := readFixtures(t, name)
	w := maps.Clone(base)
	w.add(f.Objects)
	var out []trial
	for _, c := range f.Cases {
		if c.Of == "" {
			c.Of = f.Of
		}
		before := w.patched(c.And)
		if c.With != nil {
			before = before.patched(map[string]map[string]any{c.Of: c.With})
		}
		if before[c.Of] == nil {
			t.Fatalf("%s.yaml: there is no object %s", name, c.Of)
		}
		out = append(out, trial{
			field: c.Name, value: c.Set, before: before, after: before.patched(map[string]map[string]any{c.Of: c.Set}),
			leaf: c.Name[strings.LastIndexAny(c.Name, " .")+1:], fix: fixture{Code: c.Code},
		})
	}
	return out
}

// outcome is what a set of objects compiles to.
type outcome struct {
	print    [sha256.Size]byte
	findings diag.List
}

// runTrials compiles all sets, each once, and judges the trials.
func runTrials(t *testing.T, trials []trial) {
	parts := newParts(t)
	var sets []objectSet
	for _, tr := range trials {
		sets = append(sets, tr.before, tr.after)
	}
	parts.check(t, sets)
	outcomes := parts.compile(t, sets)
	if testing.Verbose() {
		t.Logf("%d trials, %d sets", len(trials), len(parts.done))
	}
	seen, tried := map[string]bool{}, map[string][]string{}
	var order []string
	for i, tr := range trials {
		before, after := outcomes[2*i], outcomes[2*i+1]
		if tr.fix.Whole != "" {
			if !slices.ContainsFunc(after.findings, func(d diag.Diagnostic) bool { return tr.within(d) }) {
				t.Errorf("%s = %s: nothing reports what it is part of", tr.field, show(tr.value))
			}
			continue
		}
		if before.findings.HasErrors() {
			t.Errorf("%s: the objects without it do not compile: %v", tr.field, first(before.findings))
			continue
		}
		why := judge(tr, before, after)
		if tr.fix.Silent != "" {
			if why != "silent" && !strings.Contains(why, "not compile") {
				t.Errorf("%s = %s is seen, but its fixture says that it cannot be: %s", tr.field, show(tr.value), tr.fix.Silent)
			}
			continue
		}
		if !tr.any {
			if why != "" {
				t.Errorf("%s = %s: %s", tr.field, show(tr.value), why)
			}
			continue
		}
		if tried[tr.field] == nil {
			order = append(order, tr.field)
		}
		tried[tr.field] = append(tried[tr.field], show(tr.value)+": "+why)
		seen[tr.field] = seen[tr.field] || why == ""
	}
	for _, f := range order {
		if !seen[f] {
			t.Errorf("%s: %s", f, strings.Join(tried[f], "; "))
		}
	}
}

// judge tells why a trial fails: the field is silent, or its value is refused for what it is.
func judge(tr trial, before, after outcome) string {
	known := map[string]bool{}
	for _, d := range before.findings {
		known[d.Code+d.Field+d.Message] = true
	}
	var fresh diag.List
	for _, d := range after.findings {
		if known[d.Code+d.Field+d.Message] {
			continue
		}
		if tr.names(d) {
			return ""
		}
		if d.Severity == diag.Error {
			fresh.Add(d)
		}
	}
	if len(fresh) > 0 {
		return "the value does not compile here: " + fmt.Sprint(first(fresh))
	}
	if before.print == after.print {
		return "silent"
	}
	return ""
}

func first(l diag.List) string {
	for _, d := range l {
		if d.Severity == diag.Error {
			return d.Code + " " + d.Object.String() + " " + d.Field + ": " + d.Message
		}
	}
	return ""
}

// within tells whether a finding reports the field with all around it.
func (tr trial) within(d diag.Diagnostic) bool {
	return tr.names(d) || d.Code == tr.fix.Whole && strings.HasPrefix(tr.at, d.Field)
}

// names tells whether a finding reports the field: by the attributes of the schema, or by the code its fixture names.
func (tr trial) names(d diag.Diagnostic) bool {
	switch d.Code {
	case tr.fix.Code:
		return strings.HasPrefix(d.Field, tr.at) || strings.Contains(d.Message+d.Field, tr.leaf) || strings.HasPrefix(tr.at, d.Field)
	case "MESHC1110", "MESHC1111":
		return strings.HasPrefix(tr.at, d.Field) || tr.at == "" && strings.Contains(d.Field, tr.leaf)
	case "IST0106":
		return strings.HasPrefix(tr.at, d.Field) && strings.Contains(d.Message, " is not supported: ")
	}
	return false
}

// parts compiles sets and shares what is equal: objects are checked once, and sets compiled once.
type parts struct {
	objects map[string]*checked // by JSON
	done    map[string]outcome  // by the JSON of all objects
}

type checked struct {
	object   *schema.Object
	findings diag.List
}

func newParts(*testing.T) *parts {
	return &parts{objects: map[string]*checked{}, done: map[string]outcome{}}
}

func asJSON(t *testing.T, o map[string]any) string {
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// check runs the schema phase over all distinct objects.
func (p *parts) check(t *testing.T, sets []objectSet) {
	var docs []*source.Document
	for _, w := range sets {
		for _, o := range w {
			key := asJSON(t, o)
			if p.objects[key] != nil {
				continue
			}
			p.objects[key] = &checked{}
			docs = append(docs, document(t, o, key))
		}
	}
	objects, findings := schema.Check(docs, schema.Options{})
	for _, o := range objects {
		p.objects[o.Doc.File].object = o
	}
	for _, d := range findings {
		c := p.objects[d.Pos.File]
		c.findings = append(c.findings, d)
	}
}

// document writes an object as YAML and reads it back, under the name of its JSON.
func document(t *testing.T, o map[string]any, name string) *source.Document {
	o = maps.Clone(o)
	if data, ok := o["data"].(map[string]any); ok && o["kind"] == "ConfigMap" {
		data = maps.Clone(data)
		for k, v := range data {
			b, err := yaml.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			data[k] = string(b)
		}
		o["data"] = data
	}
	text, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil {
		t.Fatal(err)
	}
	d := &source.Document{File: name, Node: n.Content[0]}
	v, problems := source.NewReader(source.DefaultLimits()).Value(d.Node)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", name, problems[0].Message)
	}
	d.Value = v.(map[string]any)
	meta := d.Value["metadata"].(map[string]any)
	d.APIVersion, _ = d.Value["apiVersion"].(string)
	d.Kind, _ = d.Value["kind"].(string)
	d.Namespace, _ = meta["namespace"].(string)
	d.Name, _ = meta["name"].(string)
	return d
}

// compile runs link, lower and seal over each distinct set.
func (p *parts) compile(t *testing.T, sets []objectSet) []outcome {
	out := make([]outcome, len(sets))
	var mu sync.Mutex
	started := map[string]*sync.Once{}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, w := range sets {
		g.Go(func() error {
			var all []string
			for _, k := range slices.Sorted(maps.Keys(w)) {
				all = append(all, asJSON(t, w[k]))
			}
			key := strings.Join(all, "\n")
			mu.Lock()
			once := started[key]
			if once == nil {
				once = &sync.Once{}
				started[key] = once
			}
			mu.Unlock()
			once.Do(func() {
				o := p.compileOne(all)
				mu.Lock()
				p.done[key] = o
				mu.Unlock()
			})
			mu.Lock()
			out[i] = p.done[key]
			mu.Unlock()
			return nil
		})
	}
	_ = g.Wait()
	return out
}

func (p *parts) compileOne(keys []string) (out outcome) {
	var objects []*schema.Object
	for _, k := range keys {
		c := p.objects[k]
		out.findings.Add(c.findings...)
		if c.object != nil {
			objects = append(objects, c.object)
		}
	}
	if out.findings.HasErrors() {
		return out
	}
	in := &input{clusters: []*clusterInput{{read: &load.Result{}, objects: objects, joined: objects}}}
	out.findings.Add(in.link()...)
	out.findings.Add(in.group()...)
	sets := newLoweredSets()
	f, err := sets.lower(context.Background(), in.clusters[0].mesh, in.clusters[0].classes, Options{Workers: 1})
	if err != nil {
		panic(err)
	}
	out.findings.Add(f...)
	b, err := seal(in, sets, Options{})
	if err != nil {
		out.findings.Add(diag.Diagnostic{Severity: diag.Error, Message: "seal: " + err.Error()})
		return out
	}
	h := sha256.New()
	for _, s := range b.Selectors {
		fmt.Fprintf(h, "selector %+v\n", s)
	}
	for _, c := range b.Classes {
		fmt.Fprintf(h, "class %v %s %v %v %v\n", c.Gateway, c.Namespace, c.Selectors, c.Workloads, c.ServiceAccounts)
		for _, r := range c.Resources() {
			fmt.Fprintf(h, "%s %s %x %+v\n", r.Type, r.Name, r.Digest, r.Selector)
		}
	}
	for _, w := range b.Workloads {
		fmt.Fprintf(h, "workload %s %s/%s has a proxy: %v\n", w.Kind, w.Namespace, w.Name, w.Proxy)
	}
	h.Sum(out.print[:0])
	return out
}

// TestFieldsList wants the walk to cover each row of the list of fields that lies beside the repository, where it does.
func TestFieldsList(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "shared", "fields.tsv"))
	if err != nil {
		return // the list is no part of the repository
	}
	have := map[string]bool{}
	for kind, d := range walkedKinds() {
		for _, l := range leaves(d) {
			have[kind+" "+l.path] = true
		}
	}
	for _, row := range strings.Split(string(b), "\n")[1:] {
		c := strings.Split(row, "\t")
		if len(c) < 11 || walkedKinds()[c[0]] == nil {
			continue
		}
		if c[10] == "1.32-dev" {
			continue // not in the API that meshc is built with: an unknown field, which is an error
		}
		if !have[c[0]+" "+c[1]] && !have[c[0]+" "+camelCase(c[1])] {
			t.Errorf("%s %s (%s) is not walked", c[0], c[1], c[4])
		}
	}
}

// camelCase renames fields that the API also takes in the spelling of its definition, as mirror_percent.
func camelCase(path string) string {
	var b strings.Builder
	for i, part := range strings.Split(path, "_") {
		if i > 0 && part != "" {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		b.WriteString(part)
	}
	return b.String()
}
