package compiler

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/secrettest"
)

// places are manifests that take a text into the bundle: TEXT stands for it, quoted.
func places() map[string]string {
	virtualService := func(http string) string {
		return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: it, namespace: shop}\nspec:\n  hosts: [web]\n  http: [" + http + "]\n"
	}
	filter := func(patch string) string {
		return "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: it, namespace: shop}\nspec:\n  configPatches: [" + patch + "]\n"
	}
	to := "route: [{destination: {host: web}}]"
	return map[string]string{
		"label":          "apiVersion: v1\nkind: Pod\nmetadata: {name: it, namespace: shop, labels: {app: it, k: TEXT}}\nspec: {containers: [{name: a, image: a}]}\nstatus: {phase: Running, podIP: 10.0.0.9}\n",
		"response body":  virtualService("{directResponse: {status: 200, body: {string: TEXT}}}"),
		"response bytes": virtualService("{directResponse: {status: 200, body: {bytes: BASE64}}}"),
		"regex":          virtualService("{match: [{uri: {prefix: /a}, headers: {a: {exact: TEXT}}}], " + to + "}, {" + to + "}"),
		"patch": filter(`{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}},
    patch: {operation: INSERT_FIRST, value: {name: lua, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: TEXT}}}}}`),
		"patch bytes": filter(`{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}},
    patch: {operation: INSERT_FIRST, value: {name: lua, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_bytes: BASE64}}}}}`),
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestKeysAreRefusedWhereTheyStand: whatever takes a key into a bundle, in whatever spelling, and binary too, is refused
// with the object and the field that has it.
func TestKeysAreRefusedWhereTheyStand(t *testing.T) {
	spellings := secrettest.JWKs()
	for _, k := range secrettest.Keys() {
		spellings = append(spellings, k.Spellings()...)
	}
	for n, place := range slices.Sorted(maps.Keys(places())) {
		text := places()[place]
		for i, s := range spellings {
			if (i+n)%4 != 0 { // each spelling somewhere
				continue
			}
			object := strings.NewReplacer("TEXT", quoted(s.Text), "BASE64", secrettest.Base64(s.Text)).Replace(text)
			res, findings := compileText(t, Options{}, shop, object)
			refused := false
			for _, d := range findings {
				if d.Code == bundle.CodePrivateKey {
					refused = true
					if d.Object.Name != "it" || d.Pos.Line < 3 || d.Field == "" {
						t.Errorf("%s as %s: %+v", place, s.Name, d)
					}
				}
			}
			if res.Bundle != nil || !refused && !findings.HasErrors() {
				t.Errorf("%s as %s came in: %v", place, s.Name, findings)
			}
		}
	}
}

// TestCredentialsAreReported: a token that a route sets is in the bundle with a warning at its line, once, which can be
// made an error or none.
func TestCredentialsAreReported(t *testing.T) {
	for _, s := range secrettest.Tokens() {
		text := strings.ReplaceAll(places()["response body"], "directResponse: {status: 200, body: {string: TEXT}}", "headers: {request: {set: {authorization: "+quoted(s.Text)+"}}}, route: [{destination: {host: web}}]")
		for severity, want := range map[string]int{"": 1, "error": 1, "off": 0} {
			res, findings := compileText(t, Options{Severity: map[string]string{bundle.CodeCredential: severity}}, shop, text)
			n := 0
			for _, d := range findings {
				if d.Code != bundle.CodeCredential {
					continue
				}
				n++
				if d.Field != "spec.http[0].headers.request.set.authorization" || d.Object.Name != "it" || (severity == "") != (d.Severity == diag.Warning) {
					t.Errorf("%s: %+v", s.Name, d)
				}
			}
			if n != want || (res.Bundle == nil) != (severity == "error") {
				t.Errorf("%s with severity %q: %d findings, a bundle %t: %v", s.Name, severity, n, res.Bundle != nil, findings)
			}
		}
	}
}

// TestInnocentTextIsSealed: certificates, public keys, digests, images and mentions of keys are compiled without a word.
func TestInnocentTextIsSealed(t *testing.T) {
	for name, text := range secrettest.Innocent() {
		if name == "bytes" || name == "certificate in DER" { // no text
			continue
		}
		res, findings := compileText(t, Options{}, shop, strings.ReplaceAll(places()["response body"], "TEXT", quoted(text)))
		if res.Bundle == nil || len(res.Bundle.Credentials) > 0 {
			t.Errorf("%s: %v", name, findings)
		}
	}
}
