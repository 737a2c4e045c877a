package mesh

import "strings"

// visibility resolves an exportTo list: "*" everybody, "." the object's own namespace, "~" nobody, else a namespace.
// An empty list takes the mesh-wide default, which is "*" when that is empty too.
func visibility(exportTo, def []string, namespace string) Visibility {
	if len(exportTo) == 0 {
		exportTo = def
	}
	if len(exportTo) == 0 {
		return Visibility{Public: true}
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
	return v
}

// rank orders what a namespace sees: its own private objects, those exported to it by name, public ones; -1 hides.
func (v Visibility) rank(owner, viewer string) int {
	switch {
	case v.Public:
		return 2
	case !v.Namespaces[viewer]:
		return -1
	case owner == viewer && len(v.Namespaces) == 1:
		return 0
	}
	return 1
}
