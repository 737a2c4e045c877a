package compiler

import (
	"context"
	"slices"

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

// Inject reads manifests from sources and gives the workloads in them their proxies. What mesh sources hold (Namespaces,
// MeshConfig, ProxyConfigs, the configuration of the injector) counts besides what the manifests hold of it, and is not written.
// Of Options it reads Namespace, Stdin, Lenient and Workers.
func Inject(ctx context.Context, sources, meshSources []string, opts Options, settings inject.Settings) (*Injected, diag.List, error) {
	all := load.Locate(slices.Concat(sources, meshSources))
	out := &Injected{Source: all.Text}
	lo := load.Options{Namespace: opts.Namespace, Stdin: opts.Stdin, Lenient: opts.Lenient, Keep: true}
	read, findings, err := all.Load(ctx, sources, lo)
	if err != nil {
		return nil, nil, err
	}
	lo.Keep = false
	around, found, err := all.Load(ctx, meshSources, lo)
	if err != nil {
		return nil, nil, err
	}
	findings.Add(found...)
	own, found := schema.Check(read.Documents, schema.Options{Workers: opts.Workers, Lenient: opts.Lenient})
	findings.Add(found...)
	others, found := schema.Check(around.Documents, schema.Options{Workers: opts.Workers, Lenient: true})
	findings.Add(found...)
	findings = slices.DeleteFunc(findings, func(d diag.Diagnostic) bool { return !concerns(d) })
	if findings.HasErrors() {
		return out, findings.Renamed(all.Display), nil
	}
	m, linked := mesh.Link(slices.Concat(own, others))
	for _, d := range linked {
		if d.Code == "MESHC1201" || d.Code == "MESHC1202" || d.Code == "MESHC1204" || d.Code == "MESHC1208" { // of what injection reads
			findings.Add(d)
		}
	}
	in, err := inject.New(m, settings)
	if err != nil {
		return nil, nil, err
	}
	of := map[diag.Ref]*schema.Object{}
	for _, o := range own {
		of[o.Ref()] = o
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
	return out, findings.Renamed(all.Display), nil
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
	switch d.Object.Kind {
	case "", "Namespace", "ConfigMap", "ProxyConfig":
		return true
	}
	return schema.RunsPods(d.Object.Kind)
}
