// Package places says where in the input objects are: as causes of a report, and which are behind a bundle at all.
package places

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/report"
)

// Object is one of the input.
type Object struct{ kind, namespace, name string }

// ObjectOf is that at a place.
func ObjectOf(o bundle.Origin) Object { return Object{o.Kind, o.Namespace, o.Name} }

// Objects lists those behind the resources of a bundle, with the places of each.
func Objects(b *bundle.Bundle) map[Object]bool {
	out := map[Object]bool{}
	for _, r := range b.Resources {
		for _, o := range r.Origins {
			out[ObjectOf(o)] = true
		}
	}
	return out
}

func causeOf(o bundle.Origin) report.Cause {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return report.Cause{File: o.File, Line: max(1, o.Line), Object: o.Kind + " " + name, Field: o.Field}
}

// mostCauses is how many places a difference names.
const mostCauses = 3

// Of lists the first places of different objects.
func Of(list []bundle.Origin) []report.Cause {
	var out []report.Cause
	for _, o := range list {
		x := causeOf(o)
		if o.File == "" || slices.ContainsFunc(out, func(y report.Cause) bool { return y.Object == x.Object }) {
			continue
		}
		if out = append(out, x); len(out) == mostCauses {
			break
		}
	}
	return out
}

// Lost tells of objects of one of two bundles whether the other makes something of them, from files of the same name below the
// folder of all its files: -1 if it does not, else 0.
func Lost(from, other *bundle.Bundle) func(bundle.Origin) int {
	key := func(o bundle.Origin, root string) bundle.Origin {
		return bundle.Origin{File: strings.TrimPrefix(o.File, root), Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
	}
	root, has := commonFolder(other), map[bundle.Origin]bool{}
	for _, r := range other.Resources {
		for _, o := range r.Origins {
			has[key(o, root)] = true
		}
	}
	root = commonFolder(from)
	return func(o bundle.Origin) int {
		if has[key(o, root)] {
			return 0
		}
		return -1
	}
}

// commonFolder is the longest folder that all files behind a bundle are in, with its slash.
func commonFolder(b *bundle.Bundle) string {
	var files []string
	for _, r := range b.Resources {
		for _, o := range r.Origins {
			files = append(files, o.File)
		}
	}
	if len(files) == 0 {
		return ""
	}
	first, last := slices.Min(files), slices.Max(files)
	n := 0
	for n < min(len(first), len(last)) && first[n] == last[n] {
		n++
	}
	return first[:strings.LastIndexByte(first[:n], '/')+1]
}
