package source

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/internal/suggest"
)

// Misnamed says why no API server has a kind in a group and version, and what is meant, for a kind that is none of those
// that are read and nearly one of them; else both are empty. Nobody can add to the groups of Kubernetes, nor to one without
// a dot; in a group of somebody else's a kind may have any name, unless the group itself is a slip.
func Misnamed(apiVersion, kind string) (why, help string) {
	group, version := splitVersion(apiVersion)
	own, known := builtInKinds[group]
	names := strings.Fields(own)
	switch {
	case known && slices.Contains(names, kind):
		return wrongVersion(apiVersion, kind)
	case group == "" && slices.Contains(meshGroups(), version):
		return "the apiVersion " + apiVersion + " has no version", "Write apiVersion: " + apiVersion + "/v1."
	case known || !strings.Contains(group, "."):
		return wrongKind(apiVersion, kind, names)
	default:
		return wrongGroup(apiVersion, group, kind)
	}
}

// wrongVersion is about a kind that its group has, in versions that are known if it is one that is read.
func wrongVersion(apiVersion, kind string) (why, help string) {
	served := servedVersion(kind)
	if served == "" {
		return "", ""
	}
	return "no API server has the kind " + kind + " in " + apiVersion, "Write apiVersion: " + served + "."
}

// wrongKind is about a kind that a closed group does not have.
func wrongKind(apiVersion, kind string, names []string) (why, help string) {
	if v := servedVersion(kind); v != "" {
		return "no API server has the kind " + kind + " in " + apiVersion, "It belongs to " + v + ": write apiVersion: " + v + "."
	}
	if len(names) == 0 || isBuiltIn(kind) {
		return "", ""
	}
	meant := suggest.Word(kind, slices.Concat(names, readNames()))
	limit := 1
	if len(kind) > 4 {
		limit = max(2, len(kind)/6)
	}
	if v := servedVersion(meant); v != "" && suggest.Distance(strings.ToLower(kind), strings.ToLower(meant)) <= limit {
		return "no API server has the kind " + kind + " in " + apiVersion, "Did you mean " + meant + " of " + v + "?"
	}
	return "", ""
}

// wrongGroup is about a group that is nobody's known to be.
func wrongGroup(apiVersion, group, kind string) (why, help string) {
	if strings.HasSuffix(group, "x-k8s.io") { // where projects of Kubernetes try groups that look like its own
		return "", ""
	}
	for _, g := range meshGroups() {
		if suggest.Distance(group, g) <= 2 {
			return "the group of " + apiVersion + " is nearly that of " + g + ", and an object of it is none of the mesh", "Did you mean " + g + "? Write apiVersion: " + g + "/v1."
		}
	}
	labels := strings.FieldsFunc(group, func(r rune) bool { return r == '.' || r == '-' })
	if v := istioGroup(kind); v != "" && slices.Contains(labels, "istio") {
		return "the kind " + kind + " of Istio belongs to " + v + ", not to the group of " + apiVersion, "Write apiVersion: " + v + "/v1."
	}
	return "", ""
}

// meshGroups are the groups with a dot whose kinds make a mesh.
func meshGroups() []string {
	out := append(istioGroups(), gatewayGroup)
	for _, k := range kinds.All() {
		if _, known := builtInKinds[k.Group]; known && strings.Contains(k.Group, ".") && !slices.Contains(out, k.Group) {
			out = append(out, k.Group)
		}
	}
	return out
}

// servedVersion is the apiVersion of a kind that is read, or "".
func servedVersion(kind string) string {
	if k := kinds.Find(kind); k != nil {
		return k.Served()
	}
	return ""
}

// readNames are the kinds that are read.
func readNames() []string {
	var out []string
	for _, k := range kinds.All() {
		out = append(out, k.Name)
	}
	return out
}

// IsRead tells whether a kind of some group has the name of one that is read, and whether it is Istio's alone: no other API
// has a kind of that name that is known.
func IsRead(kind string) (read, alone bool) {
	generic := kind == "Gateway" || kind == "Sidecar"
	return servedVersion(kind) != "", istioGroup(kind) != "" && !generic
}

// IsKubernetes tells whether a kind of some group has the name of one of Kubernetes that is read.
func IsKubernetes(kind string) bool {
	k := kinds.Find(kind)
	return k != nil && !k.Istio
}

func isBuiltIn(kind string) bool {
	for _, own := range builtInKinds {
		if slices.Contains(strings.Fields(own), kind) {
			return true
		}
	}
	return false
}
