package mesh

import (
	"strings"
	"testing"
)

// injectorMap is the ConfigMap of a revision, "" for the default one.
func injectorMap(revision, config, values string) string {
	name := injectorName
	if revision != "" {
		name += "-" + revision
	}
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: istio-system}\ndata: {config: '" + config + "', values: '" + values + "'}"
}

func TestInjection(t *testing.T) {
	never := injectorMap("", "neverInjectSelector: [{matchExpressions: [{key: job, operator: Exists}]}, {}]", "")
	for _, c := range []struct {
		name, namespace, labels, annotations, more, config string
		want                                               bool
	}{
		{"nothing asks for it", "", "", "", "", "", false},
		{"the namespace", "istio-injection: enabled", "", "", "", "", true},
		{"a revision", "istio.io/rev: canary", "", "", "", "", true},
		{"disabled beats a revision", "istio-injection: disabled, istio.io/rev: canary", "", "", "", "", false},
		{"disabled beats a pod that asks", "istio-injection: disabled", "sidecar.istio.io/inject: 'true'", "", "", "", false},
		{"a value that nobody knows", "istio-injection: enable, istio.io/rev: canary", "sidecar.istio.io/inject: 'true'", "", "", "", false},
		{"the pod declines by label", "istio-injection: enabled", "sidecar.istio.io/inject: 'false'", "", "", "", false},
		{"the pod declines in other words", "istio-injection: enabled", "sidecar.istio.io/inject: 'no'", "", "", "", false},
		{"the pod declines by annotation", "istio-injection: enabled", "", "sidecar.istio.io/inject: 'false'", "", "", false},
		{"the label before the annotation", "", "sidecar.istio.io/inject: 'true'", "sidecar.istio.io/inject: 'false'", "", "", true},
		{"an annotation that no webhook sees", "", "", "sidecar.istio.io/inject: 'true'", "", "", false},
		{"the pod's revision", "", "istio.io/rev: canary", "", "", "", true},
		{"the pod's revision, declined", "", "istio.io/rev: canary, sidecar.istio.io/inject: 'false'", "", "", "", false},
		{"never on the host network", "istio-injection: enabled", "sidecar.istio.io/inject: 'true'", "", "hostNetwork: true, ", "", false},
		{"never selected", "istio-injection: enabled", "job: x", "", "", never, false},
		{"never selected, and asked for by the pod", "istio-injection: enabled", "job: x, sidecar.istio.io/inject: 'true'", "", "", never, true},
		{"not selected", "istio-injection: enabled", "app: x", "", "", never, true},
		{"policy disabled", "istio-injection: enabled", "", "", "", injectorMap("", "policy: disabled", ""), false},
		{"policy disabled, always selected", "istio-injection: enabled", "app: x", "", "", injectorMap("", "policy: disabled\n\n  alwaysInjectSelector: [{matchLabels: {app: x}}]", ""), true},
		{"never before always", "istio-injection: enabled", "app: x", "", "", injectorMap("", "alwaysInjectSelector: [{matchLabels: {app: x}}]\n\n  neverInjectSelector: [{matchLabels: {app: x}}]", ""), false},
		{"the injector of another revision", "istio.io/rev: canary", "", "", "", injectorMap("stable", "policy: disabled", ""), true},
		{"the injector of the revision", "istio.io/rev: canary", "", "", "", injectorMap("canary", "policy: disabled", ""), false},
		{"all namespaces by default", "", "", "", "", injectorMap("", "", `{"sidecarInjectorWebhook": {"enableNamespacesByDefault": true}}`), true},
	} {
		docs := []string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {" + c.namespace + "}}",
			object("apps/v1", "Deployment", "shop", "a", "spec: {template: {metadata: {labels: {"+c.labels+"}, annotations: {"+c.annotations+"}}, spec: {"+c.more+"containers: [{name: app}]}}}")}
		if c.config != "" {
			docs = append(docs, c.config)
		}
		m, findings := link(t, docs...)
		wantCodes(t, findings)
		if got := m.Workloads[0].Injected; got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
	m, findings := link(t, injectorMap("", "neverInjectSelector: 1", ""), object("apps/v1", "Deployment", "shop", "a", "spec: {template: {metadata: {labels: {sidecar.istio.io/inject: 'true'}}, spec: {containers: [{name: app}]}}}"))
	wantCodes(t, findings, "MESHC1208 ConfigMap/istio-sidecar-injector data.config")
	if !m.Workloads[0].Injected {
		t.Error("labels do not count without the injector's configuration")
	}
}

// TestShownProxy: a Pod that a cluster has let in has the proxy that it shows, one that is to come the one it will be given.
func TestShownProxy(t *testing.T) {
	const app, proxy = "{name: app}", "{name: istio-proxy}"
	pod := func(containers, first, status string) string {
		return object("v1", "Pod", "shop", "p", "spec: {containers: ["+containers+"], initContainers: ["+first+"]}") + status
	}
	for _, c := range []struct {
		name, containers, first, status string
		sidecar, router                 bool
	}{
		{"to come", app, "", "", true, false},
		{"running without", app, "", "status: {phase: Running}", false, false},
		{"running beside the proxy", app + ", " + proxy, "", "status: {phase: Running}", true, false},
		{"a native sidecar", app, "{name: istio-init}, " + proxy, "status: {phase: Running}", true, false},
		{"a gateway", proxy, "{name: istio-init}", "status: {podIP: 10.1.0.1}", false, true},
	} {
		m, _ := link(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}", pod(c.containers, c.first, c.status))
		if w := m.Workloads[0]; w.Injected != c.sidecar || w.Router != c.router || w.HasProxy() != (c.sidecar || c.router) {
			t.Errorf("%s: sidecar %v, gateway %v", c.name, w.Injected, w.Router)
		}
	}
}

func TestKindsOfWorkloads(t *testing.T) {
	template := func(labels string) string {
		return "template: {metadata: {labels: {" + labels + "}}, spec: {containers: [{name: app}]}}"
	}
	owned := "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: dep-5f4, namespace: shop, ownerReferences: [{kind: Deployment, name: dep}]}\nspec: {" + template("app: old") + "}\n"
	m, _ := link(t,
		object("apps/v1", "Deployment", "shop", "dep", "spec: {"+template("app: dep")+"}"), owned,
		object("apps/v1", "ReplicaSet", "shop", "rs", "spec: {"+template("app: rs")+"}"),
		object("v1", "ReplicationController", "shop", "rc", "spec: {"+template("app: rc")+"}"),
		object("batch/v1", "Job", "shop", "job", "spec: {"+template("app: job")+"}"),
		object("batch/v1", "CronJob", "shop", "cron", "spec: {jobTemplate: {spec: {"+template("app: cron")+"}}}"),
		object("argoproj.io/v1alpha1", "Rollout", "shop", "roll", "spec: {"+template("app: roll")+"}"),
		object("argoproj.io/v1alpha1", "Rollout", "shop", "blue", "spec: {"+template("app: blue")+", strategy: {blueGreen: {activeMetadata: {labels: {role: active}}}}}"),
		object("argoproj.io/v1alpha1", "Rollout", "shop", "ref", "spec: {workloadRef: {kind: Deployment, name: dep}}"),
	)
	var got []string
	for _, w := range m.Workloads {
		got = append(got, w.Object.Kind+" "+w.Name+" "+w.Labels["app"]+" "+w.Labels["role"])
	}
	want := "Rollout blue blue , Rollout blue-active blue active, CronJob cron cron , Deployment dep dep , Job job job , ReplicationController rc rc , Rollout roll roll , ReplicaSet rs rs "
	if strings.Join(got, ", ") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, ", "), want)
	}
}

func TestEndpointsAsSlices(t *testing.T) {
	far := "apiVersion: v1\nkind: Endpoints\nmetadata: {name: far, namespace: shop}\nsubsets:\n- addresses: [{ip: 10.9.0.1}, {ip: 'fd00::1'}]\n  notReadyAddresses: [{ip: 10.9.0.2}]\n  ports: [{name: http, port: 8080}]\n"
	svc := object("v1", "Service", "shop", "far", "spec: {clusterIP: 10.0.0.7, ports: [{name: http, port: 80}]}")
	read := func(docs ...string) string {
		m, _ := link(t, docs...)
		var out []string
		for _, e := range m.Services[0].Ports[0].Endpoints {
			state := "ready"
			if !e.Ready {
				state = "not"
			}
			out = append(out, e.Address+" "+state)
		}
		return strings.Join(out, ", ")
	}
	if got := read(svc, far); got != "10.9.0.1 ready, 10.9.0.2 not, fd00::1 ready" {
		t.Error(got)
	}
	slice := "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: far-1, namespace: shop, labels: {kubernetes.io/service-name: far}}\naddressType: IPv4\nendpoints: [{addresses: [10.9.0.5]}]\nports: [{name: http, port: 8080}]\n"
	if got := read(svc, far, slice); got != "10.9.0.5 ready" {
		t.Errorf("a cluster has both, and the slices are what it uses: %s", got)
	}
}
