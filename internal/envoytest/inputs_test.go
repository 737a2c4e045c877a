package envoytest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/envoytest"
)

// Whatever compiles is taken by a stock Envoy: each folder below those that MESHC_LOAD_INPUTS names (separated by colons) is
// a mesh. Each is compiled as --lenient does, and what each of its proxies gets is loaded.
func TestInputs(t *testing.T) {
	list := os.Getenv("MESHC_LOAD_INPUTS")
	if list == "" {
		t.Skip("MESHC_LOAD_INPUTS names no folders with inputs")
	}
	proxy := envoytest.Start(t)
	for _, dir := range filepath.SplitList(list) {
		inputs, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range inputs {
			if in.IsDir() {
				t.Run(in.Name(), func(t *testing.T) { input(t, proxy, filepath.Join(dir, in.Name())) })
			}
		}
	}
}

func input(t *testing.T, proxy *envoytest.Proxy, dir string) {
	r, found, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		if d.Severity != diag.Info && !strings.HasPrefix(d.Code, "MESHC-P") {
			t.Logf("%s: %s: %s [%s]", d.Pos, d.Severity, d.Message, d.Code)
		}
	}
	if r.Bundle == nil {
		t.Log("refused")
	} else if err := proxy.Bundle(r.Bundle); errors.Is(err, envoytest.ErrEnded) {
		t.Fatal(err)
	} else if err != nil {
		t.Error(err)
	}
}
