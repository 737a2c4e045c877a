// Package lowertest links small meshes for tests of the lowering, and walks and renders what they compare.
package lowertest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

// Client is a sidecar and its namespace.
const Client = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: default}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client, sidecar.istio.io/inject: "true"}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
`

// Linked links YAML and returns the class of the workload NAMESPACE/NAME.
func Linked(t *testing.T, workload, text string) *mesh.Class {
	t.Helper()
	return ClassOf(t, LinkedClasses(t, text), workload)
}

// LinkedClasses links a mesh.
func LinkedClasses(t *testing.T, text string) []*mesh.Class {
	t.Helper()
	read, found, err := load.Load(context.Background(), []string{"-"}, load.Options{Stdin: strings.NewReader(text)})
	if err != nil || found.HasErrors() {
		t.Fatal(err, found)
	}
	objects, found := schema.Check(read.Documents, schema.Options{})
	if found.HasErrors() {
		t.Fatal(found)
	}
	m, _ := mesh.Link(objects)
	classes, _, _ := mesh.Classes(m)
	return classes
}

// ClassOf is the class of a workload, given as namespace/name.
func ClassOf(t *testing.T, classes []*mesh.Class, workload string) *mesh.Class {
	t.Helper()
	for _, c := range classes {
		for _, w := range c.Workloads {
			if w.Namespace+"/"+w.Name == workload {
				return c
			}
		}
	}
	t.Fatalf("no workload %s", workload)
	return nil
}

func CodesOf(l diag.List) []string {
	var out []string
	for _, d := range l {
		out = append(out, d.Code)
	}
	return out
}

func Object(kind, name string) *schema.Object {
	return &schema.Object{Kind: kind, Namespace: "default", Name: name, Doc: &source.Document{File: "mesh.yaml", Kind: kind, Namespace: "default", Name: name}}
}

// Render makes one text of resources and findings, for comparison.
func Render(t *testing.T, rs []*xds.Resource, ds diag.List) string {
	t.Helper()
	var b bytes.Buffer
	for _, r := range rs {
		m, ok := r.Message.(interface{ ValidateAll() error })
		if ok {
			if err := m.ValidateAll(); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.Message)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d %s %x %v\n", r.Type, r.Name, raw, r.Selector)
	}
	ds.Sort()
	for _, d := range ds {
		fmt.Fprintf(&b, "%s %s %s %s\n", d.Code, d.Severity, d.Field, d.Message)
	}
	return b.String()
}
