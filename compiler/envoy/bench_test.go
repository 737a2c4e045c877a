package envoy

import (
	"context"
	"testing"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/meshgen"
	"github.com/meshc/meshc/schema"
)

// generatedClasses links a mesh of 250 services in 10 namespaces, all of which see everything.
func generatedClasses(b *testing.B) (*mesh.Mesh, []*mesh.Class) {
	b.Helper()
	dir := b.TempDir()
	if _, err := meshgen.Write(dir, meshgen.Options{Services: 250}); err != nil {
		b.Fatal(err)
	}
	res, l, err := load.Load(context.Background(), []string{dir + "/repo"}, load.Options{})
	if err != nil || l.HasErrors() {
		b.Fatal(l, err)
	}
	objects, l := schema.Check(res.Documents, schema.Options{})
	if l.HasErrors() {
		b.Fatal(l)
	}
	m, _ := mesh.Link(objects)
	classes, _, _ := mesh.Classes(m)
	b.ReportAllocs()
	return m, classes
}

// BenchmarkScopes lowers the outbound side of all namespaces with what they share; BenchmarkScope that of one, alone.
func BenchmarkScopes(b *testing.B) {
	m, classes := generatedClasses(b)
	for b.Loop() {
		low := NewLowering(m)
		seen := map[*mesh.Scope]bool{}
		for _, c := range classes {
			if !seen[c.Scope] {
				seen[c.Scope] = true
				low.Scope(c.Scope)
			}
		}
	}
}

func BenchmarkScope(b *testing.B) {
	m, classes := generatedClasses(b)
	for b.Loop() {
		low := NewLowering(m)
		low.Scope(classes[0].Scope)
	}
}

// BenchmarkClasses lowers the inbound sides.
func BenchmarkClasses(b *testing.B) {
	m, classes := generatedClasses(b)
	low := NewLowering(m)
	for b.Loop() {
		for _, c := range classes {
			low.Class(c)
		}
	}
}
