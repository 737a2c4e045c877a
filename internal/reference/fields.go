package main

import (
	"fmt"
	"strings"

	"github.com/meshc/meshc/schema"
)

const fieldsIntro = `# Fields

What becomes of each field. This page is written by ` + "`make docs`" + ` from ` + "`schema/*.cue`" + `, the same files that input is checked against.

- **supported**: the field changes the bundle, or is reported where it cannot (a rule that shadows it, a port it does not fit).
- **refused**: using it is an error, MESHC1110, for the reason given; with ` + "`--lenient`" + ` a warning, and the field does nothing.
- **invalid**: Istio's own validation refuses it too, so it is an error, IST0106, also with ` + "`--lenient`" + `.
- **no effect**: nothing in a bundle depends on it; a finding, MESHC1111, says so and why: a warning where one would expect an effect, else an information.

Paths of Istio's kinds are below ` + "`spec`" + `; ` + "`[]`" + ` is any element of a list, ` + "`{}`" + ` any key of a mapping.
`

// fieldsPage says of each field what becomes of it.
func fieldsPage(refs []schema.Reference) string {
	var b strings.Builder
	b.WriteString(fieldsIntro)
	b.WriteString("\n| Kind | Supported | Refused or invalid | No effect |\n|---|--:|--:|--:|\n")
	for _, r := range refs {
		if len(r.Fields) == 0 {
			continue
		}
		var n [3]int
		for _, f := range r.Fields {
			switch {
			case f.Unsupported != "":
				n[1]++
			case f.Ignored != "":
				n[2]++
			default:
				n[0]++
			}
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %d | %d | %d |\n", r.Kind.Name, strings.ToLower(r.Kind.Name), n[0], n[1], n[2])
	}
	for _, r := range refs {
		if len(r.Fields) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n%s\n| Field | Takes | | What becomes of it |\n|---|---|---|---|\n", r.Kind.Name, about(r))
		for _, f := range r.Fields {
			status, text := describe(f)
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Path, cell(takes(f)), status, cell(text))
		}
	}
	return b.String()
}

func about(r schema.Reference) string {
	switch {
	case r.Kind.Name == "MeshConfig" || r.Kind.Name == "MeshNetworks":
		key := map[string]string{"MeshConfig": schema.MeshKey, "MeshNetworks": schema.NetworksKey}[r.Kind.Name]
		return "\nYAML under the key `" + key + "` of the ConfigMap `istio`.\n"
	case r.Kind.Name == "Annotation" || r.Kind.Name == "Label":
		return "\nOn which kinds they mean something stands in the second column; a pod template counts as Pod. What is not listed here is left to whom it belongs.\n"
	case r.Open:
		return "\nOnly these fields are read.\n"
	}
	return ""
}

// takes is the type of a field, or the kinds that have an annotation or label.
func takes(f schema.FieldReference) string {
	if len(f.On) > 0 {
		return strings.Join(f.On, ", ")
	}
	return f.Type
}

func describe(f schema.FieldReference) (status, text string) {
	switch {
	case f.Unsupported != "" && f.Always:
		return "invalid", f.Unsupported
	case f.Unsupported != "":
		return "refused", f.Unsupported
	case f.Ignored != "":
		return "no effect", f.Ignored
	}
	return "supported", f.Doc
}

// cell makes text fit into a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "\n", " ").Replace(s)
}
