package load

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
)

func readText(t *testing.T, text string) ([]*source.Document, diag.List) {
	t.Helper()
	res, l, err := Load(context.Background(), []string{"-"}, Options{Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return res.Documents, l
}

// TestWhatHappened: the message says what happened to a file, at its line.
func TestWhatHappened(t *testing.T) {
	const head = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n"
	for name, c := range map[string]struct {
		text, code, message string
		line                int
	}{
		"conflict":    {head + "<<<<<<< HEAD\nspec: {}\n=======\nspec: {a: 1}\n>>>>>>> other\n", "MESHC1003", "conflict", 5},
		"half solved": {head + "=======\nspec: {a: 1}\n>>>>>>> other\n", "MESHC1003", "conflict", 5},
		"tar":         {"pax_global_header" + strings.Repeat("\x00", 240) + "ustar\x0000", "MESHC1003", "a tar archive", 1},
		"zip":         {"PK\x03\x04\x14\x00\x08", "MESHC1003", "a zip archive", 1},
		"tab":         {"apiVersion: v1\nkind: Service\nmetadata:\n\tname: a\n", "MESHC1003", "tab", 4},
		"lost ---":    {head + head, "MESHC1007", "no line ---", 5},
		"placeholder": {"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec:\n  rules:\n  - to:\n    - operation:\n        hosts: [\"${HOST:=a}\"]\n", "MESHC1004", "spec.rules.0.to.0.operation.hosts.0", 8},
		"expression":  {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  selector:\n    app: '{{ .Values.app }}'\n", "MESHC1004", "spec.selector.app", 6},
		"annotation":  {"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    description: ${ANY}\n    networking.istio.io/exportTo: ${SCOPE}\n", "MESHC1004", "${SCOPE}", 7},
		"template":    {"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          serviceAccountName: ${ACCOUNT}\n", "MESHC1004", "${ACCOUNT}", 9},
		"variable":    {"apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: a}\nspec:\n  jwtRules:\n  - issuer: https://$(ISSUER)/\n", "MESHC1004", "looks like a placeholder", 6},
		"to fill in":  {"apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: a}\nspec:\n  jwtRules:\n  - issuer: https://<YOUR-DOMAIN>/\n", "MESHC1004", "<YOUR-DOMAIN>", 6},
		"mesh":        {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    # ${NONE}\n    trustDomain: ${DOMAIN}\n", "MESHC1004", "${DOMAIN}", 7},
	} {
		_, l := readText(t, c.text)
		if len(l) != 1 || l[0].Code != c.code || l[0].Pos.Line != c.line || !strings.Contains(l[0].Message, c.message) {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// TestNoPlaceholder: what only looks like one is left alone.
func TestNoPlaceholder(t *testing.T) {
	for _, s := range []string{"^/a/[0-9]{2,3}$", "$5", "%REQ(:path)%", "a$${NAME}b", "{a}", "${2}", "{{}}", "/{*}/b", "%{x}%", "<b>", "__Secure-ID", "$(", "(?i)((a)|b)", "a@b@c", "a__b__c", "[[:alpha:]]"} {
		text := fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: ['%s']\n  http: [{directResponse: {status: 200, body: {string: '{{ name }}'}}}]\n", s)
		if _, l := readText(t, text); len(l) > 0 {
			t.Errorf("%s: %+v", s, l)
		}
	}
}

// TestMergedIdentity: an object is what its keys say after those that it merges.
func TestMergedIdentity(t *testing.T) {
	docs, l := readText(t, `apiVersion: v1
kind: List
items:
- &one
  apiVersion: v1
  kind: Service
  metadata: &meta {name: one, namespace: shop}
  spec: {ports: [{port: 80}]}
- <<: [*one]
  metadata:
    <<: *meta
    name: two
`)
	if len(l) > 0 || len(docs) != 2 || docs[1].Name != "two" || docs[1].Namespace != "shop" || docs[1].Kind != "Service" {
		t.Errorf("%+v %+v", docs, l)
	}
	bomb := "a0: &a0 {x: 1}\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d {<<: [%s]}\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	if docs, _ := readText(t, bomb+"<<: *a11\n"); len(docs) > 0 {
		t.Errorf("%+v", docs)
	}
}
