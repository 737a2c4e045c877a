package security

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/mesh"
)

// TrustDomains returns the trust domain of the mesh and its aliases, the trust domain first, without repeats.
func TrustDomains(m *mesh.Mesh) []string {
	out := []string{m.TrustDomain}
	for _, a := range m.Config.GetTrustDomainAliases() {
		if a != "" && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// peerTrustDomains adds the trust domains that MeshConfig.caCertificates lets in.
func peerTrustDomains(m *mesh.Mesh) []string {
	out := TrustDomains(m)
	for _, c := range m.Config.GetCaCertificates() {
		for _, td := range c.GetTrustDomains() {
			if td != "" && !slices.Contains(out, td) {
				out = append(out, td)
			}
		}
	}
	return out
}

// expandPrincipals adds, to each principal that names the trust domain of the mesh, an alias of it or cluster.local,
// the same identity in every trust domain of the mesh. What does not look like td/ns/x/sa/y, and any td "*", stays.
func expandPrincipals(principals, domains []string) []string {
	var out []string
	add := func(p string) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, p := range principals {
		td, rest, _ := strings.Cut(p, "/")
		known := td == "cluster.local" || slices.ContainsFunc(domains, func(d string) bool { return wildMatch(d, td) })
		if strings.Count(p, "/") != 4 || td == "*" || !known {
			add(p)
			continue
		}
		for _, d := range domains {
			if strings.HasPrefix(td, "*") && strings.HasSuffix(d, td[1:]) {
				add(p) // *-td already covers this domain
				continue
			}
			add(d + "/" + rest)
		}
	}
	return out
}

// expandTrustDomains adds all trust domains of the mesh where one of them is named.
func expandTrustDomains(values, domains []string) []string {
	var out []string
	for _, v := range values {
		all := []string{v}
		if slices.Contains(domains, v) {
			all = domains
		}
		for _, d := range all {
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// wildMatch compares a trust domain with a pattern: exact, prefix* or *suffix.
func wildMatch(d, pattern string) bool {
	return d == pattern || strings.HasPrefix(pattern, "*") && strings.HasSuffix(d, pattern[1:]) ||
		strings.HasSuffix(pattern, "*") && strings.HasPrefix(d, pattern[:len(pattern)-1])
}
