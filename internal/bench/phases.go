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
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// phase is one part of a compile, measured alone.
type phase struct {
	name      string
	wall, cpu time.Duration
}

type phased struct {
	documents, bytes int
	decode           time.Duration // CPU of decoding the YAML once, into maps
	list             []phase
}

// cpu is the processor time of this process so far, of all threads.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed runs one phase, with the garbage of the one before collected.
func timed(f func() error) (wall, used time.Duration, err error) {
	runtime.GC()
	began, c := time.Now(), cpu()
	err = f()
	return time.Since(began), cpu() - c, err
}

// phases runs the parts of a compile one after the other.
func phases(ctx context.Context, repo string) (phased, error) {
	var p phased
	texts, err := readAll(repo)
	if err != nil {
		return p, err
	}
	for _, t := range texts {
		p.bytes += len(t)
	}
	_, p.decode, err = timed(func() error { return p.decodeAll(texts) })
	if err != nil {
		return p, err
	}
	var read *load.Result
	var objects []*schema.Object
	var m *mesh.Mesh
	for _, step := range []struct {
		name string
		run  func() (diag.List, error)
	}{
		{"load", func() (l diag.List, err error) {
			read, l, err = load.Load(ctx, []string{repo}, load.Options{})
			return l, err
		}},
		{"schema", func() (l diag.List, err error) {
			objects, _, l = schema.Check(read.Documents, schema.Options{})
			return l, nil
		}},
		{"link", func() (l diag.List, err error) {
			m, l = mesh.Link(objects)
			return l, nil
		}},
		{"classes", func() (l diag.List, err error) {
			_, _, l = mesh.Classes(m)
			return l, nil
		}},
	} {
		var found diag.List
		wall, used, err := timed(func() (err error) {
			found, err = step.run()
			return err
		})
		if err != nil {
			return p, err
		}
		if found.HasErrors() {
			return p, fmt.Errorf("%s finds errors, the first: %s %s", step.name, found[0].Code, found[0].Message)
		}
		p.list = append(p.list, phase{step.name, wall, used})
	}
	wall, used, err := timed(func() error {
		_, l, err := compiler.Compile(ctx, []string{repo}, compiler.Options{})
		if err == nil && l.HasErrors() {
			err = fmt.Errorf("compile finds errors, the first: %s %s", l[0].Code, l[0].Message)
		}
		return err
	})
	rest := phase{"the rest: policies, lower, seal", wall, used}
	for _, done := range p.list {
		rest.wall, rest.cpu = rest.wall-done.wall, rest.cpu-done.cpu
	}
	p.list = append(p.list, rest, phase{"all phases in one run", wall, used})
	return p, err
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

func (p *phased) decodeAll(texts [][]byte) error {
	for _, t := range texts {
		dec := yaml.NewDecoder(bytes.NewReader(t))
		for {
			var doc map[string]any
			if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
			p.documents++
		}
	}
	return nil
}
