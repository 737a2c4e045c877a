package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/internal/suggest"
)

// marks reports annotations and labels that have no effect where they stand, by the table in annotation.cue: those of the
// object, and those of the pod template of a workload.
func (c *checker) marks(o *Object) diag.List {
	var out diag.List
	c.annotations(o, o.Kind, o.Annotations, &out, "metadata", "annotations")
	c.labels(o, o.Kind, o.Labels, &out, "metadata", "labels")
	at := append(templatePath(o.Kind), "metadata")
	meta, _ := valueAt(o.Doc.Value, at).(map[string]any)
	if meta != nil && source.Classify(o.APIVersion, o.Kind) == source.Kubernetes {
		c.annotations(o, "Pod", texts(meta["annotations"]), &out, append(slices.Clip(at), "annotations")...)
		c.labels(o, "Pod", texts(meta["labels"]), &out, append(slices.Clip(at), "labels")...)
	}
	return out
}

// texts reads the strings of a mapping; what is none, the kind's own schema reports.
func texts(v any) map[string]string {
	m, _ := v.(map[string]any)
	out := make(map[string]string, len(m))
	for k, e := range m {
		if s, ok := e.(string); ok {
			out[k] = s
		}
	}
	return out
}

// NoEffect says why an annotation of a pod has no effect on a bundle; "" if it has one, or is nothing that a mesh reads.
func NoEffect(annotation string) string {
	shapes, err := readShapes()
	if err != nil {
		return ""
	}
	if f := shapes["#Annotation"].byName[annotation]; f != nil && (len(f.on) == 0 || slices.Contains(f.on, "Pod")) {
		return f.ignored
	}
	return ""
}

// analyzed are the kinds of which Istio's analyzers read the annotations too.
func analyzed(kind string) bool { return kind == "Namespace" || kind == "Service" || RunsPods(kind) }

// valueAt is what stands in mappings at a path; nil: nothing.
func valueAt(v any, path []any) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		key, _ := p.(string)
		v = m[key]
	}
	return v
}

func (c *checker) annotations(o *Object, kind string, set map[string]string, out *diag.List, path ...any) {
	sh := c.shapes["#Annotation"]
	for _, k := range sortedStrings(set) {
		at := append(slices.Clip(path), k)
		f := sh.byName[k]
		prefix, _, _ := strings.Cut(k, "/")
		switch {
		case f == nil && (prefix == "istio.io" || strings.HasSuffix(prefix, ".istio.io")) && prefix != "internal.istio.io" && analyzed(kind):
			help := "Remove it."
			if n := suggest.Word(k, sh.names()); n != "" {
				help = "Did you mean " + n + "?"
			}
			out.Add(o.Finding(diag.Warning, "IST0108", "the annotation "+k+" is none that Istio or meshc knows", help, at...))
		case f == nil:
		case len(f.on) > 0 && !slices.Contains(f.on, kind) && analyzed(kind):
			out.Add(o.Finding(diag.Warning, "IST0107", fmt.Sprintf("the annotation %s has no effect on a %s", k, kind), "Put it on a "+strings.Join(f.on, " or ")+placeHelp(f.on, o.Kind), at...))
		default:
			c.mark(o, f, "annotation", out, at...)
		}
		if f != nil && analyzed(kind) {
			c.annotationValue(o, f, set[k], out, at...)
		}
	}
}

// placeHelp says where a workload has the annotations of its pods.
func placeHelp(on []string, kind string) string {
	if slices.Contains(on, "Pod") && kind != "Pod" && kind != "Service" && kind != "Namespace" {
		return ": under " + FieldPath(append(templatePath(kind), "metadata", "annotations")...) + "."
	}
	return "."
}

func (c *checker) annotationValue(o *Object, f *field, value string, out *diag.List, at ...any) {
	if f.uint {
		if _, err := strconv.ParseUint(value, 10, 32); err != nil {
			out.Add(o.Finding(diag.Warning, "IST0125", fmt.Sprintf("the annotation %s is %q, but must be a whole number", f.name, value), "Write a number in quotes.", at...))
		}
	}
	if f.deprecated {
		out.Add(o.Finding(diag.Warning, "IST0135", "the annotation "+f.name+" is deprecated", "See the reference of Istio's annotations for what replaces it.", at...))
	}
}

func (c *checker) labels(o *Object, kind string, set map[string]string, out *diag.List, path ...any) {
	for _, k := range sortedStrings(set) {
		if f := c.shapes["#Label"].byName[k]; f != nil && (len(f.on) == 0 || slices.Contains(f.on, kind)) {
			c.mark(o, f, "label", out, append(slices.Clip(path), k)...)
		}
	}
}

func (c *checker) mark(o *Object, f *field, what string, out *diag.List, at ...any) {
	if f.ignored == "" {
		return
	}
	sev := diag.Info
	if f.warn {
		sev = diag.Warning
	}
	out.Add(o.Finding(sev, "MESHC1111", fmt.Sprintf("the %s %s has no effect on the bundle: %s", what, f.name, f.ignored), "Leave it to the part that reads it, or remove it.", at...))
}
