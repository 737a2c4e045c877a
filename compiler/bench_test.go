package compiler

import (
	"context"
	"testing"

	"github.com/meshc/meshc/internal/meshgen"
)

// Services of the meshes that benchmarks compile: small enough for a quick look, and large enough that what grows with
// the square of it stands out.
const few, many = 250, 500

// each runs a benchmark on meshes whose proxies see everything or little, and twice the services.
func each(b *testing.B, run func(*testing.B, string)) {
	for _, c := range []struct {
		name string
		o    meshgen.Options
	}{
		{"default/250", meshgen.Options{Services: few}}, {"default/500", meshgen.Options{Services: many}},
		{"scoped/250", meshgen.Options{Services: few, Scoped: true}}, {"scoped/500", meshgen.Options{Services: many, Scoped: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			if _, err := meshgen.Write(dir, c.o); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			run(b, dir+"/repo")
		})
	}
}

// linked is a generated mesh as the phases before lowering leave it.
func linked(b *testing.B, repo string) *input {
	b.Helper()
	in, l, err := readClusters(context.Background(), []string{repo}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	l.Add(in.check(Options{})...)
	l.Add(in.link()...)
	l.Add(in.group()...)
	if l.HasErrors() {
		b.Fatal(l[0])
	}
	return in
}

func lowered(b *testing.B, in *input) *loweredSets {
	b.Helper()
	sets := newLoweredSets()
	for _, c := range in.clusters {
		if _, err := sets.lower(context.Background(), c.mesh, c.classes, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	return sets
}

func BenchmarkLink(b *testing.B) {
	each(b, func(b *testing.B, repo string) {
		in := linked(b, repo)
		for b.Loop() {
			in.link()
			in.group()
		}
	})
}

func BenchmarkLower(b *testing.B) {
	each(b, func(b *testing.B, repo string) {
		in := linked(b, repo)
		for b.Loop() {
			lowered(b, in)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	each(b, func(b *testing.B, repo string) {
		in := linked(b, repo)
		sets := lowered(b, in)
		for b.Loop() {
			if _, err := seal(in, sets, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	each(b, func(b *testing.B, repo string) {
		for b.Loop() {
			if _, _, err := Compile(context.Background(), []string{repo}, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRefusals(b *testing.B) {
	each(b, func(b *testing.B, repo string) {
		in := linked(b, repo)
		sets := lowered(b, in)
		for b.Loop() {
			if l, err := sets.refusals(context.Background(), Options{}); err != nil || len(l) > 0 {
				b.Fatal(err, l)
			}
		}
	})
}
