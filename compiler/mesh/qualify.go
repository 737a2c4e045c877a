package mesh

import "strings"

// qualify resolves a host name as Istio does: a name without a dot is a service of the object's namespace, any other
// name is taken as it stands. Wildcards stay. The result is lower case.
func (m *Mesh) qualify(host, namespace string) string {
	if host == "" || host == "*" || strings.Contains(host, ".") || strings.Contains(host, ":") {
		return strings.ToLower(host)
	}
	return strings.ToLower(host + "." + namespace + ".svc." + m.Domain)
}

// qualifyGateway resolves a gateway name to namespace/name: "mesh" stays, "name" is in the object's namespace, "./name"
// too. A dot means the old form name.namespace[.svc…]: a Gateway with a dot in its name needs the slash.
func qualifyGateway(name, namespace string) string {
	switch {
	case name == "mesh" || name == "":
		return name
	case strings.HasPrefix(name, "./"):
		return namespace + "/" + name[2:]
	case strings.Contains(name, "/"):
		return name
	}
	if parts := strings.SplitN(name, ".", 3); len(parts) > 1 {
		return parts[1] + "/" + parts[0]
	}
	return namespace + "/" + name
}
