package load

import (
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/diag"
)

// TestBrokenObjects: what was meant to be an object is an error at its line, however it is broken.
func TestBrokenObjects(t *testing.T) {
	const rest = "metadata: {name: a, namespace: b}\nspec: {action: DENY}\n"
	for name, text := range map[string]string{
		"apiversion":        "apiversion: security.istio.io/v1\nkind: AuthorizationPolicy\n" + rest,
		"Kind":              "apiVersion: security.istio.io/v1\nKind: AuthorizationPolicy\n" + rest,
		"no kind":           "apiVersion: security.istio.io/v1\n" + rest,
		"kind without word": "apiVersion: security.istio.io/v1\nkind:\n" + rest,
		"no apiVersion":     "kind: AuthorizationPolicy\n" + rest,
		"neither":           rest,
		"spec alone":        "spec: {action: DENY}\n",
		"Istio's group":     "apiVersion: networking.istio.io/v1\nname: a\nhosts: [a]\n",
		"Istio's kind":      "kind: PeerAuthentication\nname: a\n",
		"kind":              "apiVersion: apps/v1\nkind: Deploymnet\n" + rest,
		"group":             "apiVersion: security.istio.oi/v1\nkind: AuthorizationPolicy\n" + rest,
		"other group":       "apiVersion: v1\nkind: AuthorizationPolicy\n" + rest,
		"no version":        "apiVersion: security.istio.io\nkind: AuthorizationPolicy\n" + rest,
		"in a list":         "apiVersion: v1\nkind: List\nitems: [{kind: AuthorizationPolicy, metadata: {name: a}}]\n",
		"list":              "apiVersion: v1\nkind: List\nitem: []\n",
		"LFS":               "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 312\n",
		"link":              "../base/policy.yaml",
		"text":              "No resources found\n",
		"list of objects":   "- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n",
		"list of policies":  "# kept in one list\n- apiVersion: example.com/v1\n  kind: Other\n- kind: AuthorizationPolicy\n  metadata: {name: a}\n",
		"list in a list":    "apiVersion: v1\nkind: List\nitems:\n- [{apiVersion: v1, kind: Service, metadata: {name: a}}]\n",
	} {
		_, diags := load(t, write(t, "f.yaml", text, "ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"))
		if len(diags) != 1 || diags[0].Code != "MESHC1009" || diags[0].Pos.File != "f.yaml" || diags[0].Pos.Line > 4 {
			t.Errorf("%s: %+v", name, diags)
		}
	}
}

// TestListsOfOthers: a list that holds no object of the mesh is the business of whoever reads it.
func TestListsOfOthers(t *testing.T) {
	for _, text := range []string{
		"- op: replace\n  path: /spec/replicas\n  value: 2\n",
		"- apiVersion: example.com/v1\n  kind: Other\n  metadata: {name: a}\n",
		"- name: deploy\n  kind: task\n",
		"[]\n",
	} {
		dir := write(t, "f.yaml", text, "ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")
		res, diags, err := Load(t.Context(), []string{dir}, Options{})
		if err != nil || len(diags) != 0 || len(res.Foreign) != 1 {
			t.Errorf("%s: %v %+v %+v", text, err, diags, res)
		}
	}
}

// TestLenientOnObjects: an object of Kubernetes that a cluster refuses by itself stops no lenient run, and is counted. What can
// be a policy of the mesh does stop it.
func TestLenientOnObjects(t *testing.T) {
	for text, severity := range map[string]diag.Severity{
		"apiVersion: apps/v1\nkind: Job\nmetadata: {name: a}\n":                                       diag.Warning,
		"apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n":                                     diag.Warning,
		"apiVersion: batch/v9\nkind: CronJob\nmetadata: {name: a}\n":                                  diag.Warning,
		"apiVersion: apps/v1\nkind: Deploymnet\nmetadata: {name: a}\n":                                diag.Error,
		"apiVersion: v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {action: DENY}\n":      diag.Error,
		"apiVersion: security.istio.oi/v1\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {}\n": diag.Error,
		"apiVersion: v1\nmetadata: {name: a}\nspec: {}\n":                                             diag.Error,
	} {
		dir := write(t, "f.yaml", text, "ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")
		res, diags, err := Load(t.Context(), []string{dir}, Options{Lenient: true})
		if err != nil || len(diags) != 1 || diags[0].Code != "MESHC1009" || diags[0].Severity != severity {
			t.Errorf("%s: %v %+v", text, err, diags)
			continue
		}
		if left := len(res.Foreign); severity == diag.Warning && left != 1 {
			t.Errorf("%s: %d are counted as left alone", text, left)
		}
	}
}

// TestOtherFiles: what belongs to others is left alone, and counted.
func TestOtherFiles(t *testing.T) {
	files := []string{
		"Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n",
		"values.yaml", "metadata: {a: b}\nspec: {c: d}\nkind: Deployment\n",
		"compose.yaml", "services: {web: {image: a}}\n",
		"patch.yaml", "- op: replace\n  path: /spec\n  value: {}\n",
		"grafana.yaml", "apiVersion: 1\ndatasources: []\n",
		"drone.yaml", "kind: pipeline\ntype: docker\nname: default\n",
		"own.yaml", "apiVersion: net.example.com/v1\nkind: Gateway\nmetadata: {name: a}\n",
		"package.json", `{"name": "a", "version": "1"}`,
	}
	res, diags := load(t, write(t, append(files, "comment.yaml", "# nothing\n---\n", "ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")...))
	if len(diags) != 0 || len(res.Foreign) != len(files)/2 {
		t.Errorf("%v\n%+v", diags, res.Foreign)
	}
	for _, l := range res.Foreign {
		if l.Pos.File == "" || l.Pos.Line < 1 || strings.HasSuffix(l.Pos.File, "ns.yaml") {
			t.Errorf("%+v", l)
		}
	}
}

// TestUnreadSettings: settings for a chart that nobody rendered are not in force, and said to be so.
func TestUnreadSettings(t *testing.T) {
	for name, text := range map[string]string{
		"values":      "meshConfig:\n  trustDomain: a\n",
		"sub-chart":   "istiod:\n  meshConfig: {trustDomain: a}\n",
		"HelmRelease": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\nspec: {values: {meshConfig: {trustDomain: a}}}\n",
		"Application": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec:\n  source:\n    helm:\n      values: |\n        meshConfig:\n          trustDomain: a\n",
		"parameter":   "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec: {source: {helm: {parameters: [{name: meshConfig.trustDomain, value: a}]}}}\n",
		"valuesFrom":  "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\nspec: {valuesFrom: [{kind: ConfigMap, name: x, valuesKey: y, targetPath: meshConfig.trustDomain}]}\n",
		"of flux":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: values}\ndata:\n  values.yaml: |\n    meshConfig:\n      trustDomain: a\n",
		"-injector":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio-sidecar-injector, namespace: istio-system}\ndata:\n  values: |\n    meshConfig:\n      trustDomain: a\n",
		"-text":       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n  readme: |\n    set meshConfig: {trustDomain}\n",
		"-schema":     "properties: {meshConfig: {type: object}}\n",
		"-empty":      "meshConfig: {}\n",
		"-other":      "meshConfigs: {a: b}\n",
	} {
		_, diags := load(t, write(t, "f.yaml", text, "ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"))
		if got := len(diags) == 1 && diags[0].Code == "MESHC1015"; got == strings.HasPrefix(name, "-") {
			t.Errorf("%s: %v", name, diags)
		}
	}
}
