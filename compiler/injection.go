package compiler

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/meshc/meshc/compiler/inject"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Injected is what Inject yields. Text is nil when a finding is an error.
type Injected struct {
	inject.Result
	Source func(shown string) (text string, ok bool) // the text of a file that was read, as findings name it
}

// Surroundings is what mesh sources hold that injection reads: Namespaces, MeshConfig, ProxyConfigs, the configuration of the
// injector. It counts for manifests besides what they hold of it themselves, and is not written.
type Surroundings struct {
	objects []*schema.Object
	sources []string
	located *load.Sources

	one     sync.Mutex // linking completes objects, which calls have in common
	cluster []*schema.Object
}

// See has what a cluster has go before what mesh sources hold of the same names: text is a List, as of its Namespaces.
func (s *Surroundings) See(ctx context.Context, text []byte) error {
	from := load.Locate([]string{"-"})
	read, findings, err := from.Load(ctx, []string{"-"}, load.Options{Stdin: bytes.NewReader(text), Lenient: true})
	if err != nil {
		return err
	}
	objects, found := schema.Check(read.Documents, schema.Options{Lenient: true})
	findings.Add(found...)
	for _, d := range findings {
		if concerns(d) {
			return fmt.Errorf("%s: %s", d.Object, d.Message)
		}
	}
	s.one.Lock()
	defer s.one.Unlock()
	s.cluster = objects
	return nil
}

// Surround reads mesh sources for injections. Of Options it reads Namespace, Stdin, Lenient and Workers. Findings that are errors
// stand against all that is injected by them.
func Surround(ctx context.Context, meshSources []string, opts Options) (*Surroundings, diag.List, error) {
	s := &Surroundings{sources: meshSources, located: load.Locate(meshSources)}
	findings, err := s.read(ctx, s.located, opts)
	s.objects = slices.DeleteFunc(s.objects, func(o *schema.Object) bool { return !aboutInjection(o.Kind) }) // routes of a large mesh cost each injection
	return s, findings.Renamed(s.located.Display), err
}

// aboutInjection tells whether injection reads a kind of what is around workloads.
func aboutInjection(kind string) bool {
	return kind == "Namespace" || kind == "ConfigMap" || kind == "ProxyConfig" || kind == "IstioOperator"
}

func (s *Surroundings) read(ctx context.Context, from *load.Sources, opts Options) (diag.List, error) {
	around, findings, err := from.Load(ctx, s.sources, load.Options{Namespace: opts.Namespace, Stdin: opts.Stdin, Lenient: opts.Lenient})
	if err != nil {
		return nil, err
	}
	var found diag.List
	s.objects, found = schema.Check(around.Documents, schema.Options{Workers: opts.Workers, Lenient: true})
	findings.Add(found...)
	return slices.DeleteFunc(findings, func(d diag.Diagnostic) bool { return !concerns(d) }), nil
}

// Inject reads manifests from sources and gives the workloads in them their proxies, with what mesh sources hold around them. Of
// Options it reads Namespace, Stdin, Lenient and Workers.
func Inject(ctx context.Context, sources, meshSources []string, opts Options, settings inject.Settings) (*Injected, diag.List, error) {
	all := load.Locate(slices.Concat(sources, meshSources))
	around := &Surroundings{sources: meshSources, located: all}
	found, err := around.read(ctx, all, opts)
	if err != nil {
		return nil, nil, err
	}
	out, findings, err := around.inject(ctx, all, sources, found, opts, settings)
	return out, findings.Renamed(all.Display), err
}

// Inject gives the workloads in one text their proxies. It may be called by several goroutines.
func (s *Surroundings) Inject(ctx context.Context, text []byte, opts Options, settings inject.Settings) (*Injected, diag.List, error) {
	s.one.Lock()
	defer s.one.Unlock()
	opts.Stdin = bytes.NewReader(text)
	from := load.Locate([]string{"-"})
	out, findings, err := s.inject(ctx, from, []string{"-"}, nil, opts, settings)
	return out, findings.Renamed(from.Display), err
}

// inject gives the workloads in sources their proxies. findings are those of the surroundings.
func (s *Surroundings) inject(ctx context.Context, from *load.Sources, sources []string, findings diag.List, opts Options, settings inject.Settings) (*Injected, diag.List, error) {
	out := &Injected{Source: from.Text}
	read, found, err := from.Load(ctx, sources, load.Options{Namespace: opts.Namespace, Stdin: opts.Stdin, Lenient: opts.Lenient, Keep: true})
	if err != nil {
		return nil, nil, err
	}
	own, more := schema.Check(read.Documents, schema.Options{Workers: opts.Workers, Lenient: opts.Lenient})
	found.Add(more...)
	findings.Add(slices.DeleteFunc(found, func(d diag.Diagnostic) bool { return !concerns(d) })...)
	if findings.HasErrors() {
		return out, findings, nil
	}
	of, joined := map[diag.Ref]*schema.Object{}, []*schema.Object(nil)
	for _, list := range [...][]*schema.Object{own, s.cluster, s.objects} { // the first of a name counts
		for _, o := range list {
			if of[o.Ref()] == nil {
				of[o.Ref()] = o
				joined = append(joined, o)
			}
		}
	}
	m, linked := mesh.Link(joined)
	for _, d := range linked {
		if d.Code == "MESHC1201" || d.Code == "MESHC1202" || d.Code == "MESHC1204" || d.Code == "MESHC1208" { // of what injection reads
			findings.Add(d)
		}
	}
	in, err := inject.New(m, settings)
	if err != nil {
		return nil, nil, err
	}
	var texts, before [][]byte
	for _, text := range read.Manifests {
		r, found := in.Text(text, defaulted(opts.Namespace), func(ref diag.Ref) *schema.Object { return of[ref] })
		findings.Add(found...)
		texts, before = append(texts, r.Text), append(before, r.Before)
		out.Outcomes = append(out.Outcomes, r.Outcomes...)
	}
	if !findings.HasErrors() {
		out.Text, out.Before = inject.Join(texts), inject.Join(before)
	}
	findings.Sort()
	return out, findings, nil
}

func defaulted(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}

// concerns tells whether a finding is about what injection reads, so that it cannot go on: the rest is for check to say, and
// for an API server.
func concerns(d diag.Diagnostic) bool {
	if d.Severity != diag.Error || d.Code == "MESHC1001" {
		return false
	}
	return d.Object.Kind == "" || aboutInjection(d.Object.Kind) || schema.RunsPods(d.Object.Kind)
}
