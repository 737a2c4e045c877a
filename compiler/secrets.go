package compiler

import (
	"errors"
	"maps"
	"slices"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/secret"
	"github.com/meshc/meshc/schema"
)

// sealed seals what was lowered. What cannot be sealed is a finding, and what should be known about the bundle; with an error
// among them there is none.
func (in *input) sealed(low *loweredSets, opts Options, quiet *silences) (*bundle.Bundle, diag.List, error) {
	b, err := seal(in, low, opts)
	if refused := (*bundle.Error)(nil); errors.As(err, &refused) {
		return nil, in.refusals(refused), nil
	} else if err != nil {
		return nil, nil, err
	}
	found := in.credentials(b)
	if applySeverities(&found, opts, quiet, false) {
		b = nil
	}
	return b, found, nil
}

// refusals says what cannot be sealed: each key at its place in the source, anything else where it comes from.
func (in *input) refusals(e *bundle.Error) diag.List {
	if e.Code == bundle.CodePrivateKey {
		if found := in.stand(e.Origins, func(o *schema.Object, path []any, key, _ bool) (diag.Diagnostic, bool) {
			return o.Finding(diag.Error, e.Code, "what looks like a private key stands here and would enter the bundle, which is not a place for secrets", e.Help, path...), key
		}); len(found) > 0 {
			return found
		}
	}
	return diag.List{e.Diagnostic()}
}

// credentials warns of bearer tokens and passwords that the bundle holds.
func (in *input) credentials(b *bundle.Bundle) diag.List {
	var out diag.List
	for _, c := range b.Credentials {
		const message = "a bearer token or a password stands here and is in the bundle: whoever reads either can use it"
		const help = "let the caller, an external authorizer or Envoy's credential injector (its secret comes by SDS) add it"
		found := in.stand(c.Origins, func(o *schema.Object, path []any, _, credential bool) (diag.Diagnostic, bool) {
			return o.Finding(diag.Warning, bundle.CodeCredential, message, help, path...), credential
		})
		if len(found) == 0 {
			e := bundle.Error{Code: bundle.CodeCredential, Message: c.Holder + " holds a bearer token or a password: whoever reads the bundle can use it", Help: help, Origins: c.Origins}
			d := e.Diagnostic()
			d.Severity = diag.Warning
			found = diag.List{d}
		}
		out.Add(found...)
	}
	out.Sort()
	return out
}

// stand looks for the strings with a secret in the objects that are named, in all if none is.
func (in *input) stand(origins []bundle.Origin, say func(o *schema.Object, path []any, key, credential bool) (diag.Diagnostic, bool)) diag.List {
	named := map[diag.Ref]bool{}
	for _, o := range origins {
		named[diag.Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}] = true
	}
	var out diag.List
	for _, o := range in.objects() {
		if len(named) > 0 && !named[o.Ref()] {
			continue
		}
		eachString(o.Doc.Value, nil, func(path []any, s string) {
			key, credential := secret.Has([]byte(s))
			if d, ok := say(o, path, key, credential); ok {
				out.Add(d)
			}
		})
	}
	out.Sort()
	return out
}

// eachString calls f with each string and key of a plain value and the path to it.
func eachString(v any, path []any, f func(path []any, s string)) {
	switch v := v.(type) {
	case string:
		f(path, v)
	case []any:
		for i, e := range v {
			eachString(e, append(slices.Clip(path), i), f)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			at := append(slices.Clip(path), k)
			f(at, k)
			eachString(v[k], at, f)
		}
	}
}
