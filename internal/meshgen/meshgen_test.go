package meshgen

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/schema"
)

// What is generated is a sound repository, the same every time, with the classes it promises.
func TestWrite(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		n, err := Write(dir, Options{Services: 30, Scoped: true, Secured: true})
		if err != nil {
			t.Fatal(err)
		}
		if n != 61 {
			t.Errorf("%d proxies, want two for each service and the gateway", n)
		}
	}
	one, err := os.ReadFile(filepath.Join(a, "repo/intent/team-001/app-00025.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(filepath.Join(b, "repo/intent/team-001/app-00025.yaml"))
	if err != nil || string(one) != string(two) {
		t.Errorf("two runs differ: %v", err)
	}
	r, found, err := load.Load(context.Background(), []string{filepath.Join(a, "repo")}, load.Options{})
	if err != nil || len(found) > 0 {
		t.Fatalf("load: %v, %v", found, err)
	}
	objects, found := schema.Check(r.Documents, schema.Options{})
	m, linked := mesh.Link(objects)
	for _, d := range append(found, linked...) {
		t.Errorf("%s %s: %s", d.Pos.File, d.Code, d.Message)
	}
	if len(m.Services) != 31 {
		t.Errorf("%d services", len(m.Services))
	}
}
