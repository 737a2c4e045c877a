// Package compiler turns mesh intent into a sealed bundle of Envoy configuration.
package compiler

import (
	"context"
	"io"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Options says how to compile.
type Options struct {
	Namespace  string            // given to objects without one; "default" if empty
	Lenient    bool              // what Istio tolerates is a warning and compiles to Istio's outcome
	Severity   map[string]string // error, warning, info or off, by code
	Stdin      io.Reader         // what the source "-" reads
	Workers    int               // goroutines; 0: as many as there are processors
	PolicyDirs []string          // folders of Rego besides the built-in pack
	CheckOnly  bool              // findings only, no bundle
	Version    string            // of meshc, recorded in the bundle
}

// Result is what a run yields. Bundle is nil when a finding is an error, or with CheckOnly.
type Result struct {
	Bundle  *bundle.Bundle
	Mesh    *mesh.Mesh
	Foreign map[string]int // documents left alone, by apiVersion/Kind
	Objects int
}

// Compile runs all phases.
func Compile(ctx context.Context, sources []string, opts Options) (*Result, diag.List, error) {
	read, l, err := load.Load(ctx, sources, load.Options{Namespace: opts.Namespace, Stdin: opts.Stdin})
	if err != nil || l.HasErrors() {
		return nil, l, err
	}
	_, _, f := schema.Check(read.Documents, schema.Options{Workers: opts.Workers, Lenient: opts.Lenient})
	l.Add(f...)
	return &Result{}, l, nil
}
