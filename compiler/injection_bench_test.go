package compiler

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshc/meshc/compiler/inject"
)

// BenchmarkInjectOne is what a webhook spends on one pod.
func BenchmarkInjectOne(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "m.yaml"), []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	s, _, err := Surround(context.Background(), []string{dir}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	pod := []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop","labels":{"app":"a"}},"spec":{"containers":[{"name":"app","image":"x"}]}}`)
	for b.Loop() {
		out, f, err := s.Inject(context.Background(), pod, Options{Lenient: true}, inject.Settings{ProxyImage: "e", MeshcImage: "m"})
		if err != nil || f.HasErrors() || len(out.Text) == 0 {
			b.Fatal(err, f)
		}
	}
}
