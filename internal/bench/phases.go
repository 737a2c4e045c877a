//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/policies"
	"github.com/meshc/meshc/schema"
)

// phase is one part of a compile, or a single pass over the input.
type phase struct {
	name string
	cost
}

// phased is what the work on one mesh costs in parts.
type phased struct {
	documents, bytes int
	passes           []phase // parse, CUE, OPA and decode, each alone
	phases           []phase // of a compile
}

// cpu is the processor time of this process so far, of all threads.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed runs one pass, with the garbage of the one before collected.
func timed(f func() error) (cost, error) {
	runtime.GC()
	began, c := time.Now(), cpu()
	err := f()
	return cost{wall: time.Since(began), cpu: cpu() - c}, err
}

// measurePhases runs each pass over the documents by itself, with as many workers as the compiler has, and then the
// compiler with a look at the clock between its phases.
func measurePhases(ctx context.Context, repo string) (*phased, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(200)) // as meshc compile
	p := &phased{}
	texts, err := readAll(repo)
	if err != nil {
		return nil, err
	}
	for _, t := range texts {
		p.bytes += len(t)
	}
	if err := p.pass("parse", func() error { return parse(texts) }); err != nil {
		return nil, err
	}
	read, l, err := load.Load(ctx, []string{repo}, load.Options{})
	if err := failed(l, err); err != nil {
		return nil, err
	}
	p.documents = len(read.Documents)
	if err := p.pass("CUE", func() error { return schema.Validate(read.Documents, schema.Options{}) }); err != nil {
		return nil, err
	}
	if err := p.pass("decode", func() error { return schema.Decode(read.Documents, schema.Options{}) }); err != nil {
		return nil, err
	}
	objects, l := schema.Check(read.Documents, schema.Options{})
	if err := failed(l, nil); err != nil {
		return nil, err
	}
	if err := p.pass("OPA", func() error {
		l, _, err := policies.Eval(ctx, objects, policies.Options{Workers: runtime.GOMAXPROCS(0)})
		return failed(l, err)
	}); err != nil {
		return nil, err
	}
	var all [][]phase
	for range runs {
		list, err := compilePhases(ctx, repo)
		if err != nil {
			return nil, err
		}
		all = append(all, list)
	}
	for i, x := range all[0] {
		var costs []cost
		for _, list := range all {
			costs = append(costs, list[i].cost)
		}
		p.phases = append(p.phases, phase{x.name, median(costs)})
	}
	return p, nil
}

func (p *phased) pass(name string, f func() error) error {
	c, err := timed(f)
	p.passes = append(p.passes, phase{name, c})
	return err
}

// compilePhases runs the compiler and notes what each phase costs.
func compilePhases(ctx context.Context, repo string) (list []phase, err error) {
	runtime.GC()
	var began time.Time
	var used time.Duration
	end := func() {
		if n := len(list); n > 0 {
			list[n-1].cost = cost{wall: time.Since(began), cpu: cpu() - used}
		}
	}
	_, l, err := compiler.Compile(ctx, []string{repo}, compiler.Options{Begin: func(name string) {
		end()
		list = append(list, phase{name: name})
		began, used = time.Now(), cpu()
	}})
	end()
	return list, failed(l, err)
}

func failed(l diag.List, err error) error {
	if err == nil && l.HasErrors() {
		err = fmt.Errorf("there are findings, the first: %s %s", l[0].Code, l[0].Message)
	}
	return err
}

func readAll(dir string) ([][]byte, error) {
	var texts [][]byte
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		texts = append(texts, b)
		return err
	})
	return texts, err
}

// parse reads YAML to syntax trees and on to maps, as anybody has to who wants values and the lines they stand on.
func parse(texts [][]byte) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range texts {
		g.Go(func() error {
			dec := yaml.NewDecoder(bytes.NewReader(t))
			for {
				var tree yaml.Node
				if err := dec.Decode(&tree); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				var doc map[string]any
				if err := tree.Decode(&doc); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}
