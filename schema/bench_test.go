package schema

import (
	"context"
	"testing"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/internal/meshgen"
	"github.com/meshc/meshc/internal/source"
)

func generated(b *testing.B) []*source.Document {
	b.Helper()
	dir := b.TempDir()
	if _, err := meshgen.Write(dir, meshgen.Options{Services: 250}); err != nil {
		b.Fatal(err)
	}
	res, l, err := load.Load(context.Background(), []string{dir + "/repo"}, load.Options{})
	if err != nil || l.HasErrors() {
		b.Fatal(l, err)
	}
	b.ReportAllocs()
	return res.Documents
}

// BenchmarkCheckMesh checks and decodes the documents of 250 services; BenchmarkValidate shows every one of them to CUE.
func BenchmarkCheckMesh(b *testing.B) {
	docs := generated(b)
	for b.Loop() {
		if _, l := Check(docs, Options{}); l.HasErrors() {
			b.Fatal(l)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	docs := generated(b)
	for b.Loop() {
		if err := Validate(docs, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	docs := generated(b)
	for b.Loop() {
		if err := Decode(docs, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOutline writes the outline of every document.
func BenchmarkOutline(b *testing.B) {
	docs := generated(b)
	o := outliner{forms: readForms()}
	for b.Loop() {
		for _, d := range docs {
			o.outline("#"+d.Kind, ownPart(d))
		}
	}
}
