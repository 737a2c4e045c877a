package cluster

import (
	"slices"
	"testing"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/lowertest"
)

// TestFindings: a service or rule that does not do what it says is reported where it says so.
func TestFindings(t *testing.T) {
	for policy, want := range map[string]string{
		`{"tls":{"mode":"SIMPLE","sni":"a","subjectAltNames":["a"]}}`:                              "",
		`{"tls":{"mode":"SIMPLE","sni":"a","subjectAltNames":["a"],"credentialName":"reviews"}}`:   codeCredential,
		`{"tls":{"mode":"MUTUAL","sni":"a","subjectAltNames":["a"],"clientCertificate":"/c.pem"}}`: codeRuleIncomplete,
		`{"connectionPool":{"http":{"http2KeepAlive":{"interval":"10s"}}}}`:                        codeRuleIncomplete,
		`{"loadBalancer":{"simple":"ROUND_ROBIN","warmup":{"aggression":2}}}`:                      codeRuleIncomplete,
		`{"tls":{"mode":"SIMPLE","sni":"a"}}`:                                                      codeAnyName,
	} {
		rule := testRule(t, `{"host":"reviews.default.svc.cluster.local","trafficPolicy":`+policy+`}`)
		_, found := Outbound(testInputs(testService(), rule, nil))
		if got := lowertest.CodesOf(found); want == "" && slices.Contains(got, codeCredential) || want != "" && !slices.Contains(got, want) {
			t.Errorf("%s: %v", policy, found)
		}
	}
	local := testService()
	local.InternalLocal = true
	if _, found := Outbound(testInputs(local, nil, nil)); !slices.Equal(lowertest.CodesOf(found), []string{codeNodeLocal}) {
		t.Errorf("internalTrafficPolicy: %v", found)
	}
	for name, want := range map[string][]string{"example.com": {codeExternalAlias}, "reviews.default.svc.cluster.local": nil} {
		alias := &mesh.Service{Object: lowertest.Object("Service", "alias"), Hostname: "alias.default.svc.cluster.local", Resolution: mesh.Alias, ExternalName: name}
		in := testInputs(testService(), nil, nil)
		in.Service = alias
		if _, found := Outbound(in); !slices.Equal(lowertest.CodesOf(found), want) {
			t.Errorf("externalName %s: %v", name, found)
		}
	}
}

// TestProxyAddress: a placeholder in an address of ProxyConfig is one that nobody fills.
func TestProxyAddress(t *testing.T) {
	for address, want := range map[string][]string{"zipkin.test:9411": nil, "$(HOST_IP):9411": {codeProxyAddress}, "zipkin.test": {codeProxyAddress}, "": {codeProxyAddress}} {
		proxy := &meshconfig.ProxyConfig{Tracing: &meshconfig.Tracing{Tracer: &meshconfig.Tracing_Zipkin_{Zipkin: &meshconfig.Tracing_Zipkin{Address: address}}}}
		if rs, found := ProxyClusters(&mesh.Inbound{Mesh: &mesh.Mesh{}, Proxy: proxy}); !slices.Equal(lowertest.CodesOf(found), want) || len(rs) != 1 { // a cluster in any case: what traces to it is not reported besides
			t.Errorf("%q: %v %v", address, rs, found)
		}
	}
}
