package mesh

import (
	"strings"
	"testing"
)

func TestPeerAuthenticationPrecedence(t *testing.T) {
	pa := func(ns, name, spec string) string { return istio("PeerAuthentication", ns, name, spec) }
	const (
		strict, disable = "{mtls: {mode: STRICT}}", "{mtls: {mode: DISABLE}}"
		app             = "selector: {matchLabels: {app: web}}"
	)
	for _, c := range []struct {
		name    string
		objects []string
		mode    MTLSMode
		port    MTLSMode // of 8080
		origins string
	}{
		{"nothing", nil, Permissive, Permissive, ""},
		{"mesh", []string{pa("istio-system", "m", strict)}, Strict, Strict, "m"},
		{"namespace over mesh", []string{pa("istio-system", "m", strict), pa("shop", "n", disable)}, Disable, Disable, "m n"},
		{"UNSET inherits", []string{pa("istio-system", "m", strict), pa("shop", "n", "{mtls: {mode: UNSET}}")}, Strict, Strict, "m n"},
		{"empty message inherits", []string{pa("istio-system", "m", strict), pa("shop", "n", "{mtls: {}}")}, Strict, Strict, "m n"},
		{"workload over namespace", []string{pa("shop", "n", strict), pa("shop", "w", "{"+app+", mtls: {mode: PERMISSIVE}}")}, Permissive, Permissive, "n w"},
		{"port of the workload", []string{pa("shop", "n", strict), pa("shop", "w", "{"+app+", portLevelMtls: {8080: {mode: DISABLE}}}")}, Strict, Disable, "n w"},
		{"port UNSET takes the workload's", []string{pa("shop", "w", "{"+app+", mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: UNSET}}}")}, Strict, Strict, "w"},
		{"oldest of two", []string{pa("shop", "a", strict), pa("shop", "b", disable)}, Strict, Strict, "a"},
		{"other namespace", []string{pa("other", "o", strict)}, Permissive, Permissive, ""},
		{"other workload", []string{pa("shop", "w", "{selector: {matchLabels: {app: x}}, mtls: {mode: STRICT}}")}, Permissive, Permissive, ""},
		{"selector in the root namespace has no effect", []string{pa("istio-system", "m", "{"+app+", mtls: {mode: STRICT}}")}, Permissive, Permissive, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := link(t, append(c.objects, service("shop", "web"))...)
			got := m.peerMode("shop", map[string]string{"app": "web"})
			var origins []string
			for _, o := range got.origins {
				origins = append(origins, o.Name)
			}
			if got.mode != c.mode || got.ModeFor(8080) != c.port || strings.Join(origins, " ") != c.origins {
				t.Errorf("mode %d, port %d, from %v", got.mode, got.ModeFor(8080), origins)
			}
		})
	}
}

// TestEndpointsKnowTheMode: an endpoint that may not be called with mutual TLS says so, port by port.
func TestEndpointsKnowTheMode(t *testing.T) {
	m, _ := link(t, service("shop", "web"), podOf("shop", "web", "10.0.0.1", "app: web"),
		istio("PeerAuthentication", "shop", "w", "{selector: {matchLabels: {app: web}}, portLevelMtls: {8080: {mode: DISABLE}}}"))
	if e := m.serviceNamed(t, "web.shop.svc.cluster.local").Ports[0].Endpoints[0]; e.MTLS {
		t.Error("mutual TLS on a port where it is disabled")
	}
}

func TestPoliciesAttach(t *testing.T) {
	ap := func(ns, name, selector string) string {
		return istio("AuthorizationPolicy", ns, name, "{"+selector+"rules: [{}], action: DENY}")
	}
	m, findings := link(t, service("shop", "web"), podOf("shop", "web", "10.0.0.1", "app: web"),
		ap("shop", "b-all", ""), ap("shop", "a-web", "selector: {matchLabels: {app: web}}, "), ap("shop", "other", "selector: {matchLabels: {app: x}}, "),
		ap("istio-system", "z-root", ""), ap("istio-system", "root-web", "selector: {matchLabels: {app: web}}, "), ap("far", "far", ""),
		ap("shop", "ref", "targetRefs: [{kind: Service, group: '', name: web}], "),
		istio("RequestAuthentication", "istio-system", "a-root", "{jwtRules: [{issuer: x}]}"), istio("RequestAuthentication", "shop", "z-own", "{jwtRules: [{issuer: x}]}"))
	var tokens []string
	for _, p := range classNamed(t, m, "sidecar/shop/web").Inbound.RequestAuthentications {
		tokens = append(tokens, p.Object.Name)
	}
	if strings.Join(tokens, " ") != "z-own a-root" {
		t.Error("of two rules for one issuer that of the namespace is tried first:", tokens)
	}
	var got []string
	for _, p := range classNamed(t, m, "sidecar/shop/web").Inbound.AuthorizationPolicies {
		got = append(got, p.Object.Name)
	}
	if strings.Join(got, " ") != "root-web z-root a-web b-all" {
		t.Error("root namespace first, then by age:", got)
	}
	wantCodes(t, findings, "MESHC1221 AuthorizationPolicy/ref spec.targetRefs")
}
