//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// programs are what labs run, built when the first test needs them and shared by all.
var programs struct {
	once        sync.Once
	dir         string
	meshc, echo string
	err         error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// built fills in the programs of a lab.
func built(t *testing.T, spec Spec) Spec {
	t.Helper()
	programs.once.Do(func() {
		p := &programs
		if p.dir, p.err = StateDir(); p.err != nil {
			return
		}
		if p.meshc = os.Getenv("MESHC"); p.meshc == "" {
			if p.meshc, p.err = Build(context.Background(), "cmd/meshc", p.dir); p.err != nil {
				return
			}
		}
		p.echo, p.err = Build(context.Background(), "internal/lab/echo", p.dir)
	})
	if programs.err != nil {
		t.Fatal(fmt.Errorf("build: %w", programs.err))
	}
	if spec.Meshc == "" {
		spec.Meshc = programs.meshc
	}
	spec.Echo = programs.echo
	return spec
}
