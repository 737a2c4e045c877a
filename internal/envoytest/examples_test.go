package envoytest_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/envoytest"
	"github.com/meshc/meshc/internal/meshgen"
)

// plaintext is the code of the policy that warns of a mesh without mutual TLS.
const plaintext = "MESHC-P013"

// Every example compiles without a finding but that the demo has no mutual TLS, and a stock Envoy takes what each of its proxies would get.
func TestExamples(t *testing.T) {
	proxy := envoytest.Start(t)
	roots, err := filepath.Glob("../../examples/*/overlays/*")
	if err != nil || len(roots) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	generated := t.TempDir()
	if _, err := meshgen.Write(generated, meshgen.Options{Services: 4}); err != nil {
		t.Fatal(err)
	}
	for _, root := range append(roots, filepath.Join(generated, "repo")) {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(root))), func(t *testing.T) {
			if err := proxy.Bundle(compile(t, root)); err != nil {
				t.Error(err)
			}
		})
	}
}

func compile(t *testing.T, root string) *bundle.Bundle {
	t.Helper()
	r, found, err := compiler.Compile(context.Background(), []string{root}, compiler.Options{
		Severity: map[string]string{"MESHC-P013": "off"}, // the demo has no certificate authority, and its manifest says so
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		report := t.Errorf
		if d.Code == plaintext {
			report = t.Logf // the demo's site has no certificates, and says so
		}
		report("%s:%d: %s %s", d.Pos.File, d.Pos.Line, d.Code, d.Message)
	}
	if r == nil || r.Bundle == nil {
		t.Fatal("no bundle")
	}
	return r.Bundle
}
