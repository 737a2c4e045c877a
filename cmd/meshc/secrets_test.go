package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/secrettest"
)

const shop = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {containers: [{name: a, image: a}, {name: istio-proxy, image: p}]}
status: {phase: Running, podIP: 10.9.0.1}
`

// places are files that hold a text where somebody might put a key, by name: TEXT stands for it, quoted as in JSON. A name
// with a slash is that of a file beside the manifests.
func places() map[string]string {
	object := func(api, kind, meta, spec string) string {
		return "apiVersion: " + api + "\nkind: " + kind + "\nmetadata: {name: it, namespace: shop" + meta + "}\nspec: " + spec + "\n"
	}
	vs := func(http string) string {
		return object("networking.istio.io/v1", "VirtualService", "", "{hosts: [web], http: ["+http+"]}")
	}
	to := "route: [{destination: {host: web}}]"
	config := func(mesh string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: " + quoted(mesh) + "\n"
	}
	patch := func(value string) string {
		return object("networking.istio.io/v1alpha3", "EnvoyFilter", "", `{configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}},
  patch: {operation: INSERT_FIRST, value: `+value+`}}]}`)
	}
	return map[string]string{
		"name":             strings.Replace(vs("{"+to+"}"), "name: it", "name: TEXT", 1),
		"namespace":        strings.Replace(vs("{"+to+"}"), "namespace: shop", "namespace: TEXT", 1),
		"kind":             strings.Replace(vs("{"+to+"}"), "kind: VirtualService", "kind: TEXT", 1),
		"label key":        object("networking.istio.io/v1", "VirtualService", ", labels: {TEXT: a}", "{hosts: [web], http: [{"+to+"}]}"),
		"label":            strings.Replace(shop, "name: web-0, namespace: shop, labels: {", "name: it, namespace: shop, labels: {k: TEXT, ", 1),
		"annotation":       object("networking.istio.io/v1", "VirtualService", ", annotations: {proxy.istio.io/config: TEXT, a: TEXT}", "{hosts: [web], http: [{"+to+"}]}"),
		"header name":      vs("{headers: {request: {set: {TEXT: a}}}, " + to + "}"),
		"header":           vs("{headers: {request: {set: {a: TEXT}}}, " + to + "}"),
		"host":             object("networking.istio.io/v1", "VirtualService", "", "{hosts: [TEXT], http: [{"+to+"}]}"),
		"destination":      vs("{route: [{destination: {host: TEXT, subset: TEXT}}]}"),
		"gateway":          object("networking.istio.io/v1", "VirtualService", "", "{hosts: [web], gateways: [TEXT], http: [{"+to+"}]}"),
		"regex":            vs("{match: [{uri: {regex: TEXT}}], " + to + "}"),
		"wrong regex":      strings.ReplaceAll(vs("{match: [{uri: {regex: TEXT}}], "+to+"}"), "TEXT", `TEXT(`),
		"prefix":           vs("{match: [{uri: {prefix: TEXT}}], " + to + "}, {match: [{uri: {prefix: TEXT}}], " + to + "}"),
		"duplicate key":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\ndata:\n  TEXT: a\n  TEXT: b\n",
		"unknown field":    vs("{TEXT: 5s, " + to + "}"),
		"type":             vs("{timeout: TEXT, " + to + "}"),
		"enum":             object("networking.istio.io/v1", "DestinationRule", "", "{host: web, trafficPolicy: {tls: {mode: TEXT}}}"),
		"port name":        object("v1", "Service", "", "{selector: {app: web}, ports: [{name: TEXT, port: 80}]}"),
		"selector":         object("v1", "Service", "", "{selector: {app: TEXT, TEXT: a}, ports: [{name: http, port: 80}]}"),
		"address":          object("networking.istio.io/v1", "ServiceEntry", "", "{hosts: [a.example.com], addresses: [TEXT], endpoints: [{address: TEXT}], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC}"),
		"patch":            patch(`{name: TEXT, typed_config: {"@type": TEXT}}`),
		"code":             patch(`{name: lua, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: TEXT}}}`),
		"mesh":             config("accessLogFile: TEXT\ntrustDomain: TEXT\n"),
		"wrong mesh":       config("TEXT: a\naccessLogEncoding: TEXT\n"),
		"log format":       config("accessLogFile: /dev/stdout\naccessLogFormat: TEXT\n"),
		"tag":              object("telemetry.istio.io/v1", "Telemetry", "", "{tracing: [{customTags: {TEXT: {literal: {value: TEXT}}}, providers: [{name: TEXT}]}]}"),
		"principal":        object("security.istio.io/v1", "AuthorizationPolicy", "", "{rules: [{from: [{source: {principals: [TEXT], ipBlocks: [TEXT]}}], to: [{operation: {paths: [TEXT], methods: [TEXT]}}]}]}"),
		"keys":             object("security.istio.io/v1", "RequestAuthentication", "", "{jwtRules: [{issuer: TEXT, jwks: TEXT, jwksUri: TEXT}]}"),
		"list":             "apiVersion: v1\nkind: List\nitems: [TEXT]\n",
		"no object":        "TEXT: TEXT\n",
		"no YAML":          "a: TEXT b: [\n",
		"template":         "apiVersion: v1\nkind: Service\nmetadata: {name: {{ TEXT }}}\n",
		"policies/a.rego":  "package a\n\ndeny contains msg if { msg := sprintf(\"found %v and %v\", [input, TEXT]) }\n",
		"policies/b.rego":  "package b\n\ndeny contains msg if { msg := TEXT + }\n",
		"meshc.yaml/a":     "severity: {TEXT: TEXT}\nTEXT: a\npolicies: [TEXT]\n",
		"meshc.yaml/b":     "severity: TEXT\nTEXT: [\n",
		"kustomization/a":  "resources: [TEXT, a.yaml]\nTEXT: a\n",
		"a.calls/a":        "TEXT TEXT\n",
		"embedded/literal": "",
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// folder makes a source with the text in one place.
func folder(t *testing.T, place, text string) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, content string) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("shop.yaml", shop)
	content := strings.ReplaceAll(places()[place], "TEXT", quoted(text))
	switch name, _, _ := strings.Cut(place, "/"); {
	case place == "mesh" || place == "wrong mesh" || place == "log format": // quoted inside of what is quoted
		put("it.yaml", strings.ReplaceAll(places()[place], "TEXT", strings.Trim(quoted(quoted(text)), `"`)))
	case place == "embedded/literal":
		put("it.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    accessLogFile: |\n      "+strings.ReplaceAll(text, "\n", "\n      ")+"\n")
	case name == "policies":
		put(place, content)
		put("it.yaml", "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: it, namespace: shop}\nspec: {hosts: [web], http: [{route: [{destination: {host: web}}], match: [{uri: {exact: "+quoted("/"+text)+"}}]}]}\n")
	case name == "meshc.yaml" || name == "a.calls":
		put(name, content)
	case name == "kustomization":
		put("kustomization.yaml", content)
		put("a.yaml", shop)
	default:
		put("it.yaml", content)
	}
	return dir
}

// command runs a verb and returns all that it prints.
func command(t *testing.T, args ...string) (printed string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return stdout.String() + "\n" + stderr.String(), code
}

// TestNoKeyComesOut: wherever a key stands and however it is written, no verb prints it in any format, and no bundle holds
// it.
func TestNoKeyComesOut(t *testing.T) {
	const stride = 37 // each spelling somewhere, each place with a handful of them, every format
	spellings := secrettest.JWKs()
	for _, k := range secrettest.Keys() {
		spellings = append(spellings, k.Spellings()...)
	}
	for n, place := range slices.Sorted(maps.Keys(places())) {
		for i := n % stride; i < len(spellings); i += stride {
			s := spellings[i]
			dir := folder(t, place, s.Text)
			bundle := filepath.Join(t.TempDir(), "b")
			format := diag.Formats()[(n/stride+i/stride)%len(diag.Formats())]
			for _, args := range [][]string{
				{"check", dir, "-o", format}, {"compile", dir, "-o", bundle}, {"test", dir},
				{"route", dir, "--from", "shop/web-0", "--to", "http://web.shop.svc.cluster.local/"},
			} {
				printed, code := command(t, args...)
				if leak := secrettest.Leaked(printed, s.Body, 20); leak != "" {
					t.Errorf("%s as %s: meshc %s prints %q:\n%.3000s", place, s.Name, args[0], leak, printed)
				}
				if strings.Contains(printed, "internal error") || code == exitClean && args[0] == "check" && strings.Contains(printed, "MESHC1606") {
					t.Errorf("%s as %s: meshc %s ended with %d:\n%.3000s", place, s.Name, args[0], code, printed)
				}
			}
			held := ""
			_ = filepath.WalkDir(bundle, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					b, _ := os.ReadFile(path)
					held += string(b)
				}
				return nil
			})
			if leak := secrettest.Leaked(held, s.Body, 20); leak != "" {
				t.Errorf("%s as %s: the bundle holds %q", place, s.Name, leak)
			}
		}
	}
}

// TestKeysInNamesOfFiles: what a file is called is input too, and so is an argument.
func TestKeysInNamesOfFiles(t *testing.T) {
	for _, k := range secrettest.Keys() {
		body := k.Spellings()[0].Body
		for _, name := range []string{strings.ReplaceAll(body, "/", "_")[:min(len(body), 120)], "a\n::error::b\x1b[31m\u202e##[add-mask]c"} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(shop+"---\nkind: [\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{
				{"check", dir}, {"check", dir, "-o", "json"}, {"check", filepath.Join(dir, name+".yaml"), "-o", "github"}, {"compile", dir, "-o", filepath.Join(dir, name)},
				{"check", filepath.Join(dir, name)}, {"bundle", "inspect", name}, {"check", dir, "-o", name}, {"check", "--" + name}, {name}, {"bootstrap", name}, {"serve", name},
				{"route", dir, "--from", name, "--to", name}, {"diff", dir, name},
			} {
				printed, _ := command(t, args...)
				if leak := secrettest.Leaked(printed, strings.ReplaceAll(body, "/", "_"), 20); leak != "" {
					t.Errorf("%s: meshc %s prints %q:\n%s", k.Name, args[0], leak, printed)
				}
				for _, r := range printed {
					if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf) {
						t.Errorf("meshc %q prints %U:\n%s", args, r, printed)
					}
				}
				if strings.Contains(printed, "##[") || strings.Contains("\n"+printed, "\n::error::") {
					t.Errorf("meshc %q passes a command on:\n%s", args, printed)
				}
			}
		}
	}
}

// TestNoTokenComesOut: a token that routes and lookups handle is compiled and followed, and shown by no verb.
func TestNoTokenComesOut(t *testing.T) {
	base := folder(t, "header", "harmless")
	for _, s := range secrettest.Tokens() {
		dir, bundle := folder(t, "header", s.Text), filepath.Join(t.TempDir(), "b")
		node := filepath.Join(t.TempDir(), "node.json")
		if err := os.WriteFile(node, []byte(`{"id":"sidecar~10.9.0.1~web-0.shop~shop.svc.cluster.local","metadata":{"NAMESPACE":"shop","LABELS":{"app":"web"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		request := []string{"--from", "shop/web-0", "--to", "http://web.shop.svc.cluster.local/", "--header", "authorization=" + s.Text}
		for _, args := range [][]string{
			{"compile", dir, "-o", bundle}, {"bundle", "inspect", bundle}, {"bundle", "inspect", bundle, "-o", "json"}, {"bundle", "xds", bundle, "--node", node},
			append([]string{"route", bundle}, request...), append([]string{"route", bundle, "-o", "json"}, request...),
			{"diff", base, bundle}, {"diff", base, bundle, "-o", "markdown"}, {"diff", base, bundle, "-o", "json"},
		} {
			printed, code := command(t, args...)
			if leak := secrettest.Leaked(printed, s.Body, 20); leak != "" || code == exitFailure {
				t.Errorf("%s: meshc %s ends with %d and prints %q:\n%.3000s", s.Name, strings.Join(args[:2], " "), code, leak, printed)
			}
			if args[len(args)-1] == "json" || args[1] == "xds" {
				text, _, _ := strings.Cut(printed, "\n\n")
				if !json.Valid([]byte(text)) && args[0] != "diff" {
					t.Errorf("%s: meshc %s prints no JSON:\n%.3000s", s.Name, strings.Join(args[:2], " "), printed)
				}
			}
		}
	}
}
