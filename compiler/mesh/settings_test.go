package mesh

import (
	"strings"
	"testing"
)

// TestWhereSettingsComeFrom: one ConfigMap is in force, and what lies elsewhere is said.
func TestWhereSettingsComeFrom(t *testing.T) {
	settings := func(name, namespace, key, text string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: " + namespace + "}\ndata:\n  " + key + ": |\n    " + text + "\n"
	}
	const a, b = "trustDomain: a.example", "trustDomain: b.example"
	for _, c := range []struct {
		name, domain, codes string
		maps                []string
	}{
		{"istio", "a.example", "", []string{settings("istio", "istio-system", "mesh", a)}},
		{"a revision alone", "a.example", "", []string{settings("istio-canary", "istio-system", "mesh", a)}},
		{"beside a revision", "a.example", "MESHC1207", []string{settings("istio-canary", "istio-system", "mesh", b), settings("istio", "istio-system", "mesh", a)}},
		{"two revisions", "a.example", "MESHC1201", []string{settings("istio-one", "istio-system", "mesh", a), settings("istio-two", "istio-system", "mesh", b)}},
		{"a revision elsewhere", "cluster.local", "MESHC1207", []string{settings("istio-one", "shop", "mesh", a)}},
		{"another key", "cluster.local", "MESHC1207", []string{settings("istio", "istio-system", "meshConfig", a)}},
		{"another name", "cluster.local", "MESHC1207", []string{settings("mesh-config", "istio-system", "mesh", a)}},
		{"of an application", "cluster.local", "", []string{settings("web", "shop", "mesh", "size: 3")}},
		{"another ConfigMap", "cluster.local", "", []string{settings("istio-ca-root-cert", "istio-system", "root-cert.pem", "x")}},
	} {
		m, findings := link(t, strings.Join(c.maps, "---\n"))
		var codes []string
		for _, d := range findings {
			codes = append(codes, d.Code)
		}
		if got := strings.Join(codes, " "); got != c.codes || m.Config.TrustDomain != c.domain {
			t.Errorf("%s: %s, trust domain %s; want %s, %s\n%v", c.name, got, m.Config.TrustDomain, c.codes, c.domain, findings)
		}
	}
}
