package load

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/source"
)

// placeholder is the text of a template or of an environment that nobody has put a value in the place of: ${NAME}, also with a
// default, and {{ expression }}. A dollar that is doubled stands for itself.
var placeholder = regexp.MustCompile(`(?:^|[^$])(\$\{[A-Za-z_][A-Za-z0-9_]*(?:(?::?[-=?+]|[#%/:,^])[^{}]*)?\})|(\{\{-?\s*[.$A-Za-z_"][^{}]*\}\})`)

// mark is a text in capitals between signs that templates of other kinds use, and documents for what a reader is to fill in. A
// value may be meant so, though none of a mesh is likely to.
var mark = regexp.MustCompile(`\$\([A-Z][A-Z0-9_]*\)|<[A-Z][A-Z0-9]*(?:[-_ ][A-Z0-9]+)*>|@@?[A-Z][A-Z0-9_]*@@?|#\{[A-Za-z][A-Za-z0-9_.]*\}#|__[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*__|\[\[ ?\.[A-Za-z.]+ ?\]\]`)

// code are the keys, of any object, below which a text may be a program, a template or a page of its own.
var code = []string{"inlineCode", "inline_code", "inlineString", "inline_string", "body", "body_format", "bodyFormat", "text_format", "textFormat", "pluginConfig", "expression",
	"default_source_code", "source_codes", "annotations", "json", "formatters"}

// placeholders reports the placeholders in an object: it would be taken as it stands, and match or name nothing. In objects of
// Istio any text counts; in those of Kubernetes, whose containers have shells and variables of their own, what a mesh reads.
func (p *parser) placeholders(d *source.Document) {
	look := func(path ...any) {
		v := any(d.Value)
		for _, e := range path {
			m, _ := v.(map[string]any)
			v = m[e.(string)]
		}
		p.placeholder(d, v, path)
	}
	switch class := source.Classify(d.APIVersion, d.Kind); {
	case class == source.Istio:
		look("metadata", "labels")
		p.annotations(d, "metadata")
		look("spec")
	case class != source.Kubernetes:
	case d.Kind == "Service" || d.Kind == "Ingress":
		look("metadata", "labels")
		p.annotations(d, "metadata")
		look("spec")
	case d.Kind == "Namespace":
		look("metadata", "labels")
	case d.Kind == "Pod":
		p.pod(d, look)
	case d.Kind == "ConfigMap":
		p.meshPlaceholders(d)
	case d.Kind == "CronJob":
		p.pod(d, look, "spec", "jobTemplate", "spec", "template")
	default:
		look("spec", "selector")
		p.pod(d, look, "spec", "template")
	}
}

// pod looks at what a mesh reads of a pod, or of the template of one.
func (p *parser) pod(d *source.Document, look func(path ...any), at ...any) {
	look(slices.Concat(at, []any{"metadata", "labels"})...)
	p.annotations(d, slices.Concat(at, []any{"metadata"})...)
	look(slices.Concat(at, []any{"spec", "serviceAccountName"})...)
}

// annotations looks at those of a mesh; others are for whoever reads them.
func (p *parser) annotations(d *source.Document, path ...any) {
	v := any(d.Value)
	for _, e := range append(slices.Clip(path), "annotations") {
		m, _ := v.(map[string]any)
		v = m[e.(string)]
	}
	m, _ := v.(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if group, _, _ := strings.Cut(k, "/"); strings.HasSuffix(group, "istio.io") || strings.HasSuffix(group, "meshc.dev") {
			p.placeholder(d, m[k], append(slices.Clip(path), "annotations", k))
		}
	}
}

// placeholder looks into a value at a path.
func (p *parser) placeholder(d *source.Document, v any, path []any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !slices.Contains(code, k) {
				p.placeholder(d, v[k], append(slices.Clip(path), k))
			}
		}
	case []any:
		for i, x := range v {
			p.placeholder(d, x, append(slices.Clip(path), i))
		}
	case string:
		if strings.Contains(v, "\n") {
			return
		}
		if found := placeholderIn(v); found != "" {
			f := finding(d.Pos(path...), "MESHC1004", fmt.Sprintf("%s holds the placeholder %s, which nobody has replaced: it would be taken as it stands", joinPath(path), found),
				"Render the file first (helm template, envsubst, kustomize, the substitution of Flux) and compile the result.")
			f.Object, f.Field = d.Ref(), joinPath(path)
			p.out.diags.Add(f)
		} else if found := mark.FindString(v); found != "" {
			f := warning(d.Pos(path...), "MESHC1004", fmt.Sprintf("%s holds %s, which looks like a placeholder that nobody has replaced: it would be taken as it stands", joinPath(path), found),
				"Put the value in its place, and compile the result.")
			f.Object, f.Field = d.Ref(), joinPath(path)
			p.out.diags.Add(f)
		}
	}
}

// placeholderIn is the first placeholder in a text, or "".
func placeholderIn(s string) string {
	if !strings.Contains(s, "${") && !strings.Contains(s, "{{") {
		return ""
	}
	m := placeholder.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

// meshPlaceholders looks into the settings of the mesh, which a ConfigMap holds as text.
func (p *parser) meshPlaceholders(d *source.Document) {
	data, _ := d.Value["data"].(map[string]any)
	for _, key := range []string{"mesh", "meshNetworks"} {
		text, _ := data[key].(string)
		if !strings.HasPrefix(d.Name, "istio") {
			return
		}
		for i, l := range strings.Split(text, "\n") {
			found := placeholderIn(l)
			if found == "" || strings.HasPrefix(strings.TrimSpace(l), "#") {
				continue
			}
			at := d.Pos("data", key)
			if strings.Contains(text, "\n") {
				at.Line += i + 1
			}
			f := finding(at, "MESHC1004", "the settings of the mesh hold the placeholder "+found+", which nobody has replaced", "Render the file first and compile the result.")
			f.Object = d.Ref()
			p.out.diags.Add(f)
		}
	}
}
