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

// HostMatches tells whether the two host names, each exact or with a leading wildcard, have a host in common.
func HostMatches(a, b string) bool {
	aw, bw := strings.HasPrefix(a, "*"), strings.HasPrefix(b, "*")
	switch {
	case aw && bw:
		return strings.HasSuffix(a[1:], b[1:]) || strings.HasSuffix(b[1:], a[1:])
	case aw:
		return strings.HasSuffix(b, a[1:])
	case bw:
		return strings.HasSuffix(a, b[1:])
	}
	return a == b
}

// HostWithin tells whether every host of a is one of b.
func HostWithin(a, b string) bool {
	if !strings.HasPrefix(b, "*") {
		return a == b
	}
	if strings.HasPrefix(a, "*") {
		return strings.HasSuffix(a[1:], b[1:])
	}
	return strings.HasSuffix(a, b[1:])
}

// MoreSpecific orders host names for precedence: exact before wildcard, the longer wildcard before the shorter.
func MoreSpecific(a, b string) bool {
	aw, bw := strings.HasPrefix(a, "*"), strings.HasPrefix(b, "*")
	if aw != bw {
		return bw
	}
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a < b
}

// SplitHost cuts a Gateway or Sidecar host "namespace/name" in two; without a slash the namespace is "".
func SplitHost(h string) (namespace, name string) {
	if i := strings.IndexByte(h, '/'); i >= 0 {
		return h[:i], h[i+1:]
	}
	return "", h
}
