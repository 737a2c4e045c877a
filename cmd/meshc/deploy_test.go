package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/clustertest"
)

func documents(t *testing.T, text []byte) (out []map[string]any) {
	t.Helper()
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		if doc != nil {
			out = append(out, doc)
		}
	}
}

// deployed are the objects that a folder of deploy builds.
func deployed(t *testing.T, folder string) []map[string]any {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("../../deploy", folder))
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return documents(t, text)
}

func deployFolders() []string { return []string{"server", "webhook"} }

// charted are the objects of the chart by a file of values in testdata/chart.
func charted(t *testing.T, values string) []map[string]any {
	t.Helper()
	cmd := exec.Command(clustertest.Helm(t), "template", "meshc", "../../deploy/chart", "--namespace", "istio-system", "--values", filepath.Join("testdata/chart", values))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", values, err, errs.Bytes())
	}
	return documents(t, text)
}

// chartValues are files of values that together use everything that the chart has.
func chartValues() []string { return []string{"bundle.yaml", "compile.yaml"} }

// arguments are those of all containers of meshc in some objects.
func arguments(t *testing.T, docs []map[string]any) (out [][]string) {
	t.Helper()
	for _, doc := range docs {
		if doc["kind"] != "StatefulSet" && doc["kind"] != "Deployment" {
			continue
		}
		var o struct {
			Spec struct {
				Template struct{ Spec corev1.PodSpec }
			}
		}
		text, err := sigsyaml.Marshal(doc)
		if err == nil {
			err = sigsyaml.Unmarshal(text, &o)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range o.Spec.Template.Spec.Containers {
			if c.Name == "meshc" {
				out = append(out, c.Args)
			}
		}
	}
	return out
}

// holdArguments holds a command line to verbs and flags that there are.
func holdArguments(t *testing.T, args []string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := newApp(strings.NewReader(""), &out, &errs)
	root := a.root()
	verb, rest, err := root.Find(args)
	if err == nil {
		err = verb.ParseFlags(rest)
	}
	if err == nil {
		err = verb.ValidateArgs(verb.Flags().Args())
	}
	if err != nil || verb == root {
		t.Errorf("%v: %v", args, err)
	}
}

// TestDeployArguments: the containers' arguments are those of verbs and flags that there are.
func TestDeployArguments(t *testing.T) {
	for _, folder := range deployFolders() {
		all := arguments(t, deployed(t, folder))
		if len(all) != 1 {
			t.Errorf("%s: %d containers were seen", folder, len(all))
		}
		for _, args := range all {
			holdArguments(t, args)
		}
	}
}

// TestChartArguments: the same of the chart.
func TestChartArguments(t *testing.T) {
	for _, values := range chartValues() {
		all := arguments(t, charted(t, values))
		if len(all) != 2 {
			t.Errorf("%s: %d containers were seen", values, len(all))
		}
		for _, args := range all {
			holdArguments(t, args)
			if slices.Contains(args, "--compile") && slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--trust=") }) {
				t.Errorf("%s: a server that compiles is told whose bundles to trust, and does not start: %v", values, args)
			}
		}
	}
}

// gateway sets the gateway of an index.
func gateway(index, name string) string {
	at := "gateways[" + index + "]."
	return at + "name=" + name + "," + at + "labels.istio=x," + at + "ports[0].name=http," + at + "ports[0].port=80"
}

// TestChartRefuses: a value that does not exist or does not fit is refused by its name, and never passed over.
func TestChartRefuses(t *testing.T) {
	helm := clustertest.Helm(t)
	for set, want := range map[string]string{
		"server.bundle=x,server.replica=1":                                                                      "replica",
		"server.bundle=":                                                                                        "server.bundle or server.compile",
		"server.bundle=x,server.compile[0]=y":                                                                   "server.bundle or server.compile",
		"server.bundle=x,server.identity.tls=y":                                                                 "server.identity.spiffe or server.identity.tls",
		"server.bundle=x,server.identity.issuer.name=y":                                                         "server.identity.tls",
		"server.bundle=x,webhook.failurePolicy=Open":                                                            "failurePolicy",
		"server.bundle=x,gateways[0].name=a":                                                                    "ports",
		"server.bundle=x,image.digest=latest":                                                                   "digest",
		"server.bundle=x,gateways[0].name=a,gateways[0].x=1,":                                                   "x",
		"server.bundle=x,server.tokens=null":                                                                    "tokens",
		"server.bundle=x,webhook.certificate=null":                                                              "certificate",
		"server.bundle=x,server.tokens.review=true,server.tokens.keys=y":                                        "server.tokens.review or server.tokens.keys",
		"server.bundle=x,webhook.certificate.certManager=false":                                                 "caBundle",
		"server.bundle=x,webhook.certificate.certManager=false,webhook.certificate.issuer.name=y":               "leave the issuer out",
		"server.bundle=x,webhook.revision=A_b":                                                                  "revision",
		"server.bundle=x," + gateway("0", "Bad_Name"):                                                           "name",
		"server.bundle=x," + gateway("0", strings.Repeat("a", 64)):                                              "name",
		"server.bundle=x," + gateway("0", "meshc-webhook"):                                                      "already",
		"server.bundle=x," + gateway("0", "a") + "," + gateway("1", "a"):                                        "gateways[1].name",
		"server.bundle=x," + gateway("0", "a") + ",gateways[0].autoscaling.min=3,gateways[0].autoscaling.max=2": "more than the max",
	} {
		out, err := exec.Command(helm, "template", "meshc", "../../deploy/chart", "--set", set).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v %s", set, err, out)
		}
	}
}

// TestDeployOnKubernetes: an API server of Kubernetes takes all objects, strictly, of the kustomize bases and of the chart.
func TestDeployOnKubernetes(t *testing.T) {
	all := map[string][]map[string]any{}
	for _, folder := range deployFolders() {
		all[folder] = deployed(t, folder)
	}
	for _, values := range chartValues() {
		all[values] = charted(t, values)
	}
	api := clustertest.Start(t)
	api.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "istio-system"}})
	api.PutFiles(api.Kinds())
	kinds := map[string]bool{}
	for from, docs := range all {
		for _, doc := range docs {
			kinds[doc["kind"].(string)] = true
			err := api.Accepts(doc)
			for end := time.Now().Add(time.Minute); err != nil && strings.HasPrefix(err.Error(), "404") && time.Now().Before(end); err = api.Accepts(doc) {
				time.Sleep(50 * time.Millisecond) // a kind that was put is served a moment later
			}
			if err != nil {
				t.Errorf("%s: %v %v: %v", from, doc["kind"], doc["metadata"], err)
			}
		}
	}
	for _, kind := range []string{"Certificate", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule", "ServiceMonitor"} {
		if !kinds[kind] {
			t.Errorf("no %s was tried", kind)
		}
	}
}

// TestChartInjects: the pods of the chart's gateways get their proxy from the webhook, and those of meshc itself none.
func TestChartInjects(t *testing.T) {
	cmd := exec.Command(clustertest.Helm(t), "template", "meshc", "../../deploy/chart", "--namespace", "istio-system", "--values", "testdata/chart/compile.yaml")
	manifests, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"inject", "-"}, bytes.NewReader(manifests), &out, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	var with []string
	for _, doc := range documents(t, out.Bytes()) {
		text, err := sigsyaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("name: meshc-bootstrap")) {
			with = append(with, doc["metadata"].(map[string]any)["name"].(string))
		}
	}
	if slices.Sort(with); !slices.Equal(with, []string{"egressgateway", "ingressgateway"}) {
		t.Errorf("a proxy for %v\n%s", with, errs.String())
	}
}

// TestChartAsksAboutGateways: the API server asks the webhook about the pods of the chart's gateways, whatever the namespace says that they
// are in, and never about those of the server and of the webhook, which could not start then.
func TestChartAsksAboutGateways(t *testing.T) {
	for values, labelled := range map[string]map[string]string{"bundle.yaml": {"istio-injection": "enabled"}, "compile.yaml": {"istio.io/rev": "meshc"}} {
		for _, namespace := range []map[string]string{{}, labelled} {
			asked := chartAsksAbout(t, charted(t, values), namespace)
			want := map[string]bool{"meshc": false, "meshc-webhook": false, "ingressgateway": true, "egressgateway": true}
			for name, is := range asked {
				if is != want[name] {
					t.Errorf("%s: in a namespace with %v, %s is asked about: %v", values, namespace, name, is)
				}
			}
			if len(asked) != 4 {
				t.Errorf("%s has %v", values, asked)
			}
		}
	}
}

// chartAsksAbout tells which pods the webhooks of some objects are asked about, in a namespace with these labels.
func chartAsksAbout(t *testing.T, docs []map[string]any, namespace map[string]string) map[string]bool {
	t.Helper()
	pods, asked := map[string]labels.Set{}, map[string]bool{}
	var hooks admissionv1.MutatingWebhookConfiguration
	for _, doc := range docs {
		text, err := sigsyaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var o struct {
			Metadata struct{ Name string }
			Spec     struct{ Template corev1.PodTemplateSpec }
		}
		switch doc["kind"] {
		case "StatefulSet", "Deployment":
			err = sigsyaml.Unmarshal(text, &o)
			pods[o.Metadata.Name] = o.Spec.Template.Labels
		case "MutatingWebhookConfiguration":
			err = sigsyaml.Unmarshal(text, &hooks)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	matches := func(s *metav1.LabelSelector, of labels.Set) bool {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		return selector.Matches(of)
	}
	around := labels.Merge(labels.Set{"kubernetes.io/metadata.name": "istio-system"}, namespace)
	for name, pod := range pods {
		asked[name] = slices.ContainsFunc(hooks.Webhooks, func(w admissionv1.MutatingWebhook) bool {
			return matches(w.NamespaceSelector, around) && matches(w.ObjectSelector, pod)
		})
	}
	return asked
}

// TestKustomizationsOfTheGuides: what the guides have people write builds, and leaves nothing of the image that the bases name, neither in
// a container nor in what pods are given.
func TestKustomizationsOfTheGuides(t *testing.T) {
	base := regexp.MustCompile(`github\.com/meshc/meshc/(deploy/\w+)\?ref=v1`)
	for _, page := range []string{"install.md", "webhook.md"} {
		dir := t.TempDir()
		var text string
		for _, block := range strings.Split(contents(t, "../../docs/guides/"+page), "```yaml\n")[1:] {
			if block, _, _ = strings.Cut(block, "```"); base.MatchString(block) {
				text = block
			}
		}
		for _, m := range base.FindAllStringSubmatch(text, -1) {
			if err := os.CopyFS(filepath.Join(dir, m[1]), os.DirFS(filepath.Join("../..", m[1]))); err != nil {
				t.Fatal(err)
			}
		}
		for name, content := range map[string]string{"kustomization.yaml": base.ReplaceAllString(text, "$1"), "mesh.yaml": "x", "trust.yaml": "x", "release.pub": "x", "token": "x"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
		if err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		out, err := built.AsYaml()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out, []byte("registry.example.com")) || !bytes.Contains(out, []byte("--meshc-image=registry.example.org/meshc:v1.2.0")) {
			t.Errorf("%s leaves the image of the bases:\n%s", page, out)
		}
	}
}

// TestAlertsNameMetrics: the alerts ask for metrics of the page about them, by labels that nothing else says.
func TestAlertsNameMetrics(t *testing.T) {
	rules, page := contents(t, "../../deploy/chart/templates/monitoring.yaml"), contents(t, "../../docs/guides/serving.md")
	names := regexp.MustCompile(`\bmeshc_[a-z_]+`).FindAllString(rules, -1)
	for _, name := range names {
		if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`"+name+"{") {
			t.Errorf("%s is none of the metrics that docs/guides/serving.md lists", name)
		}
	}
	if len(names) < 6 {
		t.Errorf("%d metrics", len(names))
	}
}

func contents(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
