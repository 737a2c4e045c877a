package compiler

import (
	"context"
	"testing"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/meshgen"
	"github.com/meshc/meshc/schema"
)

// linked is a generated mesh as the phases before lowering leave it.
type linked struct {
	dir       string
	read      *load.Result
	mesh      *mesh.Mesh
	classes   []*mesh.Class
	selectors []*mesh.Selector
	low       *loweredSets
}

func generated(b *testing.B, o meshgen.Options) *linked {
	b.Helper()
	x := &linked{dir: b.TempDir()}
	must := func(l diag.List, err error) {
		if err != nil {
			b.Fatal(err)
		}
		if l.HasErrors() {
			b.Fatal(l[0])
		}
	}
	_, err := meshgen.Write(x.dir, o)
	must(nil, err)
	read, l, err := load.Load(context.Background(), []string{x.dir + "/repo"}, load.Options{})
	must(l, err)
	x.read = read
	objects, _, l := schema.Check(read.Documents, schema.Options{})
	must(l, nil)
	x.mesh, l = mesh.Link(objects)
	must(l, nil)
	x.classes, x.selectors, l = mesh.Classes(x.mesh)
	must(l, nil)
	x.low, l, err = lower(context.Background(), x.mesh, x.classes, Options{})
	must(l, err)
	return x
}

// Services of the meshes that benchmarks compile, small enough for a quick look and large enough that what grows with
// the square of it stands out.
const few, many = 250, 500

// each runs a benchmark on meshes whose proxies see everything or little, and twice the services.
func each(b *testing.B, run func(*testing.B, *linked)) {
	for _, c := range []struct {
		name string
		o    meshgen.Options
	}{
		{"default/250", meshgen.Options{Services: few}}, {"default/500", meshgen.Options{Services: many}},
		{"scoped/250", meshgen.Options{Services: few, Scoped: true}}, {"scoped/500", meshgen.Options{Services: many, Scoped: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := generated(b, c.o)
			b.ReportAllocs()
			b.ResetTimer()
			run(b, x)
		})
	}
}

func BenchmarkLower(b *testing.B) {
	each(b, func(b *testing.B, x *linked) {
		for b.Loop() {
			if _, _, err := lower(context.Background(), x.mesh, x.classes, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	each(b, func(b *testing.B, x *linked) {
		for b.Loop() {
			if _, err := seal(x.classes, x.selectors, x.mesh, x.low, x.read, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	each(b, func(b *testing.B, x *linked) {
		for b.Loop() {
			if _, _, err := Compile(context.Background(), []string{x.dir + "/repo"}, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
