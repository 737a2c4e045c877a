package lint_test

import (
	"strings"
	"testing"
)

func TestInjectionWords(t *testing.T) {
	enabled, disabled, silent := object("Namespace", "shop", ", labels: {istio-injection: enabled}", ""), object("Namespace", "shop", ", labels: {istio-injection: disabled}", ""), object("Namespace", "shop", "", "")
	proxied := object("Pod", "proxied", ", namespace: else", "spec: {containers: [{name: app, image: a}, {name: istio-proxy, image: p}]}")
	deployment := func(own, labels, annotations string) string {
		return object("Deployment", "web", ", namespace: shop"+own, "spec: {template: {metadata: {labels: {app: web"+labels+"}, annotations: {"+annotations+"}}, spec: {containers: [{name: app, image: a}]}}}")
	}
	running := func(phase, labels string) string {
		return plainPod("web", "app: web"+labels) + "status: {phase: " + phase + ", podIP: 10.1.0.1}\n"
	}
	sidecar := object("Sidecar", "s", ", namespace: shop", "spec: {egress: [{hosts: ['./*']}]}")
	for _, c := range []struct {
		name string
		docs []string
		want string // CODE FIELD
	}{
		{"values that Istio knows", []string{enabled, deployment("", ", sidecar.istio.io/inject: 'false'", "")}, ""},
		{"a namespace with another value", []string{object("Namespace", "shop", ", labels: {istio-injection: enable}", ""), proxied}, "MESHC1227 metadata.labels.istio-injection"},
		{"a namespace with the word of pods", []string{object("Namespace", "shop", ", labels: {sidecar.istio.io/inject: 'true'}", ""), proxied}, "MESHC1227 metadata.labels.sidecar.istio.io/inject"},
		{"a revision without a name", []string{object("Namespace", "shop", ", labels: {istio.io/rev: ''}", ""), proxied}, "MESHC1227 metadata.labels.istio.io/rev"},
		{"pods with another value", []string{enabled, deployment("", ", sidecar.istio.io/inject: enabled", "")}, "MESHC1227 spec.template.metadata.labels.sidecar.istio.io/inject"},
		{"pods with the word of namespaces", []string{enabled, deployment("", ", istio-injection: enabled", "")}, "MESHC1227 spec.template.metadata.labels.istio-injection"},
		{"the Deployment instead of its pods", []string{enabled, deployment(", labels: {sidecar.istio.io/inject: 'false'}", "", "")}, "MESHC1227 metadata.labels.sidecar.istio.io/inject"},
		{"pods that ask in a namespace that refuses", []string{disabled, proxied, deployment("", ", sidecar.istio.io/inject: 'true'", "")}, "MESHC1227 spec.template.metadata.labels.sidecar.istio.io/inject"},
		{"an annotation that nobody reads", []string{silent, proxied, deployment("", "", "sidecar.istio.io/inject: 'true'")}, "MESHC1227 spec.template.metadata.annotations.sidecar.istio.io/inject"},
		{"a running Pod without its proxy", []string{enabled, proxied, running("Running", "")}, "IST0103 metadata.name"},
		{"a Pod that has ended", []string{enabled, proxied, running("Succeeded", "")}, ""},
		{"a running Pod that declines", []string{enabled, proxied, running("Running", ", sidecar.istio.io/inject: 'false'")}, ""},
		{"a namespace without proxies, and configuration for them", []string{silent, proxied, deployment("", "", ""), sidecar}, "IST0102 metadata.name"},
		{"a namespace without proxies on purpose", []string{disabled, proxied, deployment("", "", ""), sidecar}, ""},
		{"a namespace without proxies", []string{silent, proxied, deployment("", "", "")}, ""},
		{"nobody has a proxy", []string{silent, deployment("", "", ""), sidecar}, "IST0103 metadata.name"},
		{"nobody has a proxy or counts on one", []string{silent, deployment("", "", "")}, ""},
		{"ambient mode", []string{object("Namespace", "shop", ", labels: {istio.io/dataplane-mode: ambient}", ""), deployment("", "", ""), object("Telemetry", "t", ", namespace: shop", "spec: {}")}, ""},
		{"the injector keeps off a proxy", []string{enabled, proxied, deployment("", "", ""), object("ConfigMap", "istio-sidecar-injector", ", namespace: istio-system", "data: {config: 'neverInjectSelector: [{matchLabels: {app: web}}]'}")}, "MESHC1228 data.config"},
		{"the injector keeps off nobody", []string{enabled, proxied, deployment("", "", ""), object("ConfigMap", "istio-sidecar-injector", ", namespace: istio-system", "data: {config: 'neverInjectSelector: [{matchLabels: {app: db}}]'}")}, ""},
	} {
		if got := linted(t, c.docs...); strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}
