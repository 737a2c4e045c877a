package mesh

import "testing"

func TestPoliciesThatProtectNothing(t *testing.T) {
	app := "selector: {matchLabels: {app: web}}, "
	for _, c := range []struct {
		name    string
		objects []string
		want    []string
	}{
		{"all is well", []string{istio("PeerAuthentication", "shop", "a", "{"+app+"portLevelMtls: {8080: {mode: STRICT}, 9999: {mode: STRICT}}}"), istio("RequestAuthentication", "istio-system", "b", "{}")}, nil},
		{"port of the Service", []string{istio("PeerAuthentication", "shop", "a", "{"+app+"portLevelMtls: {80: {mode: STRICT}}}")}, []string{"MESHC1223 PeerAuthentication/a spec.portLevelMtls.80"}},
		{"port of the Service in a rule", []string{istio("AuthorizationPolicy", "shop", "a", "{action: DENY, rules: [{to: [{operation: {ports: ['80', '8080', '9999']}}], when: [{key: destination.port, notValues: ['80']}]}]}")},
			[]string{"MESHC1549 AuthorizationPolicy/a spec.rules[0].to[0].operation.ports[0]", "MESHC1549 AuthorizationPolicy/a spec.rules[0].when[0].notValues[0]"}},
		{"selector in the root namespace", []string{istio("PeerAuthentication", "istio-system", "a", "{"+app+"mtls: {mode: STRICT}}")}, []string{"MESHC1224 PeerAuthentication/a spec.selector"}},
	} {
		_, findings := link(t, append(c.objects, service("shop", "web"), podOf("shop", "web", "10.0.0.1", "app: web"))...)
		t.Run(c.name, func(t *testing.T) { wantCodes(t, findings, c.want...) })
	}
}
