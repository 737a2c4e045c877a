// Package hosts compares host names that may begin with a wildcard, as Istio's objects have them.
package hosts

import "strings"

// Overlap tells whether the two host names, each exact or with a leading wildcard, have a host in common.
func Overlap(a, b string) bool {
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

// Within tells whether every host of a is one of b.
func Within(a, b string) bool {
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

// Split cuts a Gateway or Sidecar host "namespace/name" in two; without a slash the namespace is "".
func Split(h string) (namespace, name string) {
	if i := strings.IndexByte(h, '/'); i >= 0 {
		return h[:i], h[i+1:]
	}
	return "", h
}
