package schema

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/meshc/meshc/internal/diag"
)

// TestUnknownFieldsOfKubernetes: what kubectl would refuse is a warning at its place; what Kubernetes knows and a mesh does
// not read is not.
func TestUnknownFieldsOfKubernetes(t *testing.T) {
	objects, diags := Check(documents(t, `apiVersion: v1
kind: Service
metadata: {name: a, lables: {app: a}}
spec:
  selectr: {app: a}
  ports: [{port: 80, targetport: 8080, targetPort: http}]
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}
status: {loadBalancer: {}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  template:
    metadata: {labels: {app: a}, creationTimestamp: null}
    spec:
      containers: [{name: a, resources: {limits: {cpu: 1}}, env: [{name: A, valueFrom: {fieldRef: {fieldPth: x}}}], livenessProbe: {httpGet: {port: http}}}]
      tolerations: [{key: a, tolerationSeconds: 5}]
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: a, namespace: b}
spec:
  replicas: 1
  strategy: {canary: {steps: [{setWeight: 10}], maxSurge: 1}}
  template: {metadata: {labels: {app: a}}, spec: {contaners: []}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a, anotations: {a: b}, managedFields: [{fieldsV1: {"f:x": {}}}]}
spec: {mtls: {mode: STRICT}}
`), Options{})
	var got []string
	for _, d := range diags {
		if d.Code == unknownFieldCode {
			got = append(got, d.Field+" "+d.Help)
		}
	}
	want := "metadata.lables Did you mean labels?|spec.selectr Did you mean selector?|spec.ports[0].targetport Did you mean targetPort?|" +
		"spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPth Did you mean fieldPath?|spec.template.spec.contaners Did you mean containers?|metadata.anotations Did you mean annotations?"
	if s := strings.Join(got, "|"); s != want || diags.HasErrors() || len(objects) != 4 {
		t.Errorf("got  %s\nwant %s\n%v", s, want, diags)
	}
}

// TestOldVersions: objects of versions that no API server has any more mean what they meant.
func TestOldVersions(t *testing.T) {
	objects, diags := Check(documents(t, `apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: a}
spec:
  backend: {serviceName: b, servicePort: http}
  rules: [{host: a.example.com, http: {paths: [{path: /, backend: {serviceName: c, servicePort: 80}}]}}]
---
apiVersion: discovery.k8s.io/v1beta1
kind: EndpointSlice
metadata: {name: a}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], topology: {topology.kubernetes.io/zone: z1, kubernetes.io/hostname: n1}}]
ports: [{port: 80}]
---
apiVersion: apps/v1beta2
kind: StatefulSet
metadata: {name: a}
spec: {template: {metadata: {labels: {app: a}}}}
`), Options{})
	if len(objects) != 3 || len(diags) != 3 {
		t.Fatal(objects, diags)
	}
	for _, d := range diags {
		if d.Code != oldVersionCode || d.Field != "apiVersion" {
			t.Error(d)
		}
	}
	ingress := objects[0].Spec.(*networkingv1.Ingress).Spec
	path := ingress.Rules[0].HTTP.Paths[0]
	if ingress.DefaultBackend.Service.Port.Name != "http" || path.Backend.Service.Name != "c" || path.Backend.Service.Port.Number != 80 || *path.PathType != networkingv1.PathTypeImplementationSpecific {
		t.Errorf("%+v", ingress)
	}
	if e := objects[1].Spec.(*discoveryv1.EndpointSlice).Endpoints[0]; *e.Zone != "z1" || *e.NodeName != "n1" {
		t.Errorf("%+v", e)
	}
}

// TestRemovedMeshConfig: Istio passes over a field that it removed, and so does a lenient run.
func TestRemovedMeshConfig(t *testing.T) {
	const text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n" +
		"    mixerCheckServer: a:1\n    defaultConfig: {proxyHttpPort: 5, statusPort: 15020}\n    trustDomain: a.example\n"
	if _, diags := Check(documents(t, text), Options{}); diags.Count(diag.Error) != 2 {
		t.Error(diags)
	}
	objects, diags := Check(documents(t, text), Options{Lenient: true})
	if len(objects) != 1 || diags.HasErrors() || diags.Count(diag.Warning) != 2 {
		t.Fatal(objects, diags)
	}
	if got := objects[0].Spec.(*corev1.ConfigMap).Data[MeshKey]; strings.Contains(got, "mixer") || !strings.Contains(got, "a.example") {
		t.Error(got)
	}
}
