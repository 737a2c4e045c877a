package security

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	security "istio.io/api/security/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/internal/watchdog"
	"github.com/meshc/meshc/schema"
)

func parsed[M proto.Message](text string, m M) bool {
	b, err := yaml.YAMLToJSON([]byte(text))
	return err == nil && protojson.Unmarshal(b, m) == nil
}

// Whatever a policy says, what it is lowered to is valid, or an error says that it is not: Envoy never sees the rest.
func FuzzAuthorizationPolicy(f *testing.F) {
	for _, rule := range []string{
		"{to: [{operation: {paths: ['/a/{*}/b*', '*'], hosts: ['*.b', 'a:80'], ports: ['80'], notMethods: [GET]}}]}",
		"{from: [{source: {principals: ['*/ns/a/sa/b'], namespaces: ['a*b'], ipBlocks: ['::/0'], requestPrincipals: ['a/b*'], serviceAccounts: [a/b], trustDomains: ['*']}}]}",
		"{when: [{key: 'request.headers[x]', values: ['*']}, {key: 'request.auth.claims[a][b]', notValues: [c]}, {key: 'experimental.envoy.filters.a.b[c]', values: ['[d]']}]}",
		"{when: [{key: destination.ip, values: [1.2.3.4]}, {key: connection.sni, values: ['*.x']}]}",
	} {
		for _, action := range []string{"ALLOW", "DENY", "CUSTOM, provider: {name: grpc}"} {
			f.Add("{action: " + action + ", rules: [" + rule + "]}")
		}
	}
	config := "extensionProviders: [{name: grpc, envoyExtAuthzGrpc: {service: authz.test, port: 9000}}]"
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		p := &security.AuthorizationPolicy{}
		if !parsed(text, p) {
			return
		}
		in := guard(t, config)
		in.AuthorizationPolicies = []*mesh.AuthorizationPolicy{{Object: &schema.Object{Namespace: "shop", Name: "p", Doc: &source.Document{}}, Spec: p}}
		http, found := HTTPAuthFilters(in)
		tcp, more := TCPAuthFilters(in)
		if append(found, more...).HasErrors() {
			return
		}
		for _, f := range http {
			if m, err := f.GetTypedConfig().UnmarshalNew(); err != nil || valid(m) != nil {
				t.Errorf("%s: %v %v", text, err, valid(m))
			}
		}
		for _, f := range tcp {
			if m, err := f.GetTypedConfig().UnmarshalNew(); err != nil || valid(m) != nil {
				t.Errorf("%s: %v %v", text, err, valid(m))
			}
		}
	})
}

func valid(m proto.Message) error {
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		return v.ValidateAll()
	}
	return nil
}

func FuzzRequestAuthentication(f *testing.F) {
	f.Add(`{jwtRules: [{issuer: a, jwks: '{"keys":[{"kty":"EC"}]}', fromHeaders: [{name: x, prefix: y}], outputClaimToHeaders: [{header: h, claim: c}]}]}`)
	f.Add(`{jwtRules: [{issuer: a, jwksUri: 'https://a.test:8443/x?y', timeout: 3s}, {issuer: b, jwksUri: 'http://[::1]/k', fromParams: [p], fromCookies: [c]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		p := &security.RequestAuthentication{}
		if !parsed(text, p) {
			return
		}
		in := guard(t, "")
		in.RequestAuthentications = []*mesh.RequestAuthentication{{Object: &schema.Object{Namespace: "shop", Name: "p", Doc: &source.Document{}}, Spec: p}}
		fs, found := HTTPAuthFilters(in)
		if found.HasErrors() {
			return
		}
		for _, r := range JWKSClusters(in) {
			if err := valid(r.Message); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		for _, f := range fs {
			if _, err := f.GetTypedConfig().UnmarshalNew(); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}

// A key set that passes has only public keys.
func FuzzJWKS(f *testing.F) {
	f.Add(`{"keys":[{"kty":"RSA","n":"a","e":"AQAB"},{"kty":"OKP"}]}`)
	f.Add(`{"keys":[{"kty":"oct","k":"a"}]}`)
	f.Add(`{"keys":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		_ = validate.JWKS(text)
	})
}
