package mesh

import (
	"slices"
	"strings"
)

// visibility resolves an exportTo list: "*" everybody, "." the object's own namespace, "~" nobody, else a namespace.
// "*" and then "~" outweigh the rest. An empty list takes the mesh-wide default, where only "." and "*" mean anything:
// with neither nobody sees the object. The default is "*" when that is empty too.
func visibility(exportTo, def []string, namespace string) Visibility {
	if len(exportTo) == 0 {
		exportTo = mainDefault(def)
	}
	v := Visibility{Namespaces: map[string]bool{}}
	for _, e := range exportTo {
		switch e = strings.TrimSpace(e); e {
		case "*":
			v.Public = true
		case ".":
			v.Namespaces[namespace] = true
		case "~", "":
		default:
			v.Namespaces[e] = true
		}
	}
	if v.Public || slices.Contains(exportTo, "~") {
		v.Namespaces = map[string]bool{}
	}
	return v
}

// mainDefault is the one entry of a mesh-wide default that counts.
func mainDefault(def []string) []string {
	switch {
	case slices.Contains(def, "."):
		return []string{"."}
	case len(def) == 0 || slices.Contains(def, "*"):
		return []string{"*"}
	}
	return []string{"~"}
}

// rank orders what a namespace sees: its own private objects, those exported to it by name, public ones; -1 hides.
func (v Visibility) rank(owner, viewer string) int {
	switch {
	case v.Public:
		return 2
	case !v.Namespaces[viewer]:
		return -1
	case owner == viewer:
		return 0
	}
	return 1
}
