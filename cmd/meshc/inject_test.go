package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// meshc runs a command line that has to end well.
func meshc(t *testing.T, stdin string, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), args, strings.NewReader(stdin), &out, &errs); code != 0 {
		t.Fatalf("%v: %d: %s", args, code, errs.String())
	}
	return out.Bytes()
}

// What is injected is what was compiled for: a repository with its proxies is the same bundle.
func TestInjectedIsCompiledAlike(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join("..", "..", "examples", "bookinfo", "base")
	injected := filepath.Join(dir, "injected.yaml")
	text := meshc(t, "", "inject", source)
	if n := bytes.Count(text, []byte("- name: meshc-bootstrap")); n < 5 {
		t.Fatalf("%d proxies", n)
	}
	if again := meshc(t, string(text), "inject", "-"); !bytes.Equal(again, text) {
		t.Error("injecting twice is not injecting once")
	}
	if err := os.WriteFile(injected, text, 0o600); err != nil {
		t.Fatal(err)
	}
	digest := func(source string) string {
		d, _, _ := strings.Cut(string(meshc(t, "", "compile", source, "--severity", "MESHC1248=off", "-o", filepath.Join(dir, filepath.Base(source)+".tar.gz"))), " ")
		return d
	}
	if a, b := digest(source), digest(injected); a != b {
		t.Errorf("compiled from the source %s, with its proxies %s", a, b)
	}
}

// The arguments that injection writes are those that the init containers run with.
func TestInjectedContainersRun(t *testing.T) {
	const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web, sidecar.istio.io/inject: "true"}
      annotations:
        traffic.sidecar.istio.io/excludeInboundPorts: "22,23"
        proxy.istio.io/config: |
          proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true", ISTIO_META_NOTE: "a,\"$(POD_NAME)\" b"}
    spec:
      containers:
      - name: app
        image: web:1
        livenessProbe: {httpGet: {port: 8080, path: "/live?a=$(X)&b=\"1\""}}
        readinessProbe: {tcpSocket: {port: 8080}}
`
	var d struct {
		Spec struct{ Template corev1.PodTemplateSpec }
	}
	if err := yaml.Unmarshal(meshc(t, deployment, "inject", "-"), &d); err != nil {
		t.Fatal(err)
	}
	info, out := t.TempDir(), filepath.Join(t.TempDir(), "envoy.json")
	if err := os.WriteFile(filepath.Join(info, "labels"), []byte("app=\"web\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// As kubelet does: $(NAME) is the variable, $$ is one dollar.
	kubelet := strings.NewReplacer("$$", "$", "$(POD_NAME)", "web-1", "$(POD_NAMESPACE)", "shop", "$(INSTANCE_IPS)", "10.0.0.7,fd00::7", "$(SERVICE_ACCOUNT)", "web",
		"/etc/istio/pod", info, "/etc/istio/proxy/envoy.json", out)
	for _, c := range d.Spec.Template.Spec.InitContainers[:2] {
		args := make([]string, len(c.Args))
		for i, a := range c.Args {
			args[i] = kubelet.Replace(a)
		}
		if args[0] == "intercept" {
			args = append(args, "--print")
		}
		rules := string(meshc(t, "", args...))
		if args[0] == "intercept" && (!strings.Contains(rules, "--dport 23 -j RETURN") || !strings.Contains(rules, "--to-ports 15053")) {
			t.Errorf("%v gives %s", args, rules)
		}
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		Node struct {
			ID       string
			Metadata map[string]any
		}
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.Node.ID != "sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local" || b.Node.Metadata["NOTE"] != `a,"$(POD_NAME)" b` || b.Node.Metadata["WORKLOAD_NAME"] != "web" {
		t.Errorf("%+v", b.Node)
	}
	if !bytes.Contains(text, []byte(`/live?a=$(X)\u0026b=\"1\"`)) && !bytes.Contains(text, []byte(`/live?a=$(X)&b=\"1\"`)) {
		t.Errorf("the path of a probe is not there: %s", text)
	}
}
