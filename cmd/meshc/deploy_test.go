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
	corev1 "k8s.io/api/core/v1"
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
		}
	}
}

// TestChartRefuses: a value that does not exist or does not fit is refused by its name, and never passed over.
func TestChartRefuses(t *testing.T) {
	helm := clustertest.Helm(t)
	for set, want := range map[string]string{
		"server.bundle=x,server.replica=1":                    "replica",
		"server.bundle=":                                      "server.bundle or server.compile",
		"server.bundle=x,server.compile[0]=y":                 "server.bundle or server.compile",
		"server.bundle=x,server.identity.tls=y":               "server.identity.spiffe or server.identity.tls",
		"server.bundle=x,server.identity.issuer.name=y":       "server.identity.tls",
		"server.bundle=x,webhook.failurePolicy=Open":          "failurePolicy",
		"server.bundle=x,gateways[0].name=a":                  "ports",
		"server.bundle=x,image.digest=latest":                 "digest",
		"server.bundle=x,gateways[0].name=a,gateways[0].x=1,": "x",
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
