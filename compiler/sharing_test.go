package compiler

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/envoy"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// otherNamespaces have proxies that see what those of a golden case see: whatever is shared by namespaces is shared with
// them. Two workloads of one differ in a label.
const otherNamespaces = `
apiVersion: v1
kind: Namespace
metadata: {name: alpha, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: xa, namespace: alpha}
spec: {selector: {matchLabels: {app: xa}}, template: {metadata: {labels: {app: xa}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: xa, namespace: alpha}
spec: {clusterIP: 10.99.0.1, selector: {app: xa}, ports: [{name: http, port: 80}, {name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: beta, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: xb, namespace: beta}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: xc, namespace: beta}
spec: {selector: {matchLabels: {app: xc}}, template: {metadata: {labels: {app: xc, version: v2}}, spec: {containers: [{name: c, image: i}]}}}
`

// goldenInput lays out the input of a golden case with that of other namespaces, and returns its folder.
func goldenInput(t *testing.T, file string) string {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("others.yaml", []byte(otherNamespaces))
	base := true
	for _, f := range a.Files {
		switch {
		case f.Name == "settings":
			base = !strings.Contains(string(f.Data), "base: none")
		case strings.HasSuffix(f.Name, ".yaml") && !strings.Contains(f.Name, " "):
			put(f.Name, f.Data)
		}
	}
	if base {
		text, err := os.ReadFile("../golden/base/shop.yaml")
		if err != nil {
			t.Fatal(err)
		}
		put("base.yaml", text)
	}
	return dir
}

// TestSharingChangesNothing: what a scope or a class gets from a Lowering that all of them share, in whatever order they
// come, is what it gets from one of its own; and so are all findings together. Something that an outcome depends on and that
// is no part of the inputs under which it is shared shows up here.
func TestSharingChangesNothing(t *testing.T) {
	files, err := filepath.Glob("../golden/*/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d cases (%v)", len(files), err)
	}
	classes := 0
	for _, file := range files {
		in, _, err := readClusters(context.Background(), []string{goldenInput(t, file)}, Options{Lenient: true})
		if err != nil {
			t.Fatal(err)
		}
		in.check(Options{Lenient: true})
		in.link()
		in.group()
		for _, c := range in.clusters {
			classes += len(c.classes)
			shared, found := lowerClasses(c.mesh, c.classes, false)
			slices.Reverse(c.classes)
			reversed, foundReversed := lowerClasses(c.mesh, c.classes, false)
			apart, foundApart := lowerClasses(c.mesh, c.classes, true)
			for _, k := range c.classes {
				if d := differing(apart[k], shared[k]) + differing(apart[k], reversed[k]); d != "" {
					t.Errorf("%s: class %s: %s", file, k.ID, d)
				}
			}
			same := func(a, b diag.Diagnostic) bool { return a.Pos == b.Pos && a.Code == b.Code && a.Message == b.Message }
			if !slices.EqualFunc(found, foundApart, same) || !slices.EqualFunc(foundReversed, foundApart, same) {
				t.Errorf("%s: found\n%v\nin reverse\n%v\nalone\n%v", file, found, foundReversed, foundApart)
			}
		}
	}
	if classes < 3*len(files) {
		t.Errorf("%d classes in %d cases share too little", classes, len(files))
	}
}

// lowerClasses lowers classes and their scopes, together or each apart.
func lowerClasses(m *mesh.Mesh, classes []*mesh.Class, apart bool) (map[*mesh.Class][]*xds.Resource, diag.List) {
	out := map[*mesh.Class][]*xds.Resource{}
	var found diag.List
	low := envoy.NewLowering(m)
	for _, c := range classes {
		if apart {
			low = envoy.NewLowering(m)
		}
		for _, g := range low.Scope(c.Scope) {
			out[c] = append(out[c], g.Resources...)
		}
		own, f := low.Class(c)
		out[c] = append(out[c], own...)
		found.Add(f...)
		if apart {
			found.Add(low.Findings()...)
		}
	}
	if !apart {
		found.Add(low.Findings()...)
	}
	found = slices.DeleteFunc(found, func(d diag.Diagnostic) bool { return d.Code == "MESHC1482" }) // that nobody has a use for a patch
	found.Sort()
	return out, found
}

// differing tells in which resource two lists differ, "" if in none.
func differing(want, got []*xds.Resource) string {
	if len(want) != len(got) {
		return "another number of resources"
	}
	for i, w := range want {
		if g := got[i]; w.Type != g.Type || w.Name != g.Name || !proto.Equal(w.Message, g.Message) || !slices.Equal(w.Origins, g.Origins) {
			return "differs in " + w.Name
		}
	}
	return ""
}
