package source

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/scheme"

	"github.com/meshc/meshc/internal/kinds"
)

// TestKindsOfKubernetes holds the tables to the kinds that the client of Kubernetes knows.
func TestKindsOfKubernetes(t *testing.T) {
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if !strings.HasPrefix(typ.PkgPath(), "k8s.io/api/") || strings.HasSuffix(gvk.Kind, "Options") || strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		if !slices.Contains(strings.Fields(builtInKinds[gvk.Group]), gvk.Kind) {
			t.Errorf("%s is not in the table", gvk)
		}
		if k := kinds.Find(gvk.Kind); k != nil && !k.Has(gvk.Group, gvk.Version) {
			t.Errorf("%s is read, but not in the version %s", gvk.Kind, gvk.GroupVersion())
		}
	}
	for _, k := range kinds.All() {
		if own, known := builtInKinds[k.Group]; known && !slices.Contains(strings.Fields(own), k.Name) {
			t.Errorf("%s is read and not in the table of its group", k.Name)
		}
	}
}

func TestMisnamed(t *testing.T) {
	for _, c := range []struct{ apiVersion, kind, want string }{
		{"apps/v1", "Deploymnet", "Deployment of apps/v1"},
		{"apps/v1", "deployment", "Deployment of apps/v1"},
		{"v1", "service", "Service of v1"},
		{"v1", "Deployment", "write apiVersion: apps/v1"},
		{"v1", "AuthorizationPolicy", "security.istio.io/v1"},
		{"networking.k8s.io/v1", "AuthorizationPolicy", "security.istio.io/v1"},
		{"v2", "Service", "apiVersion: v1"},
		{"apps", "Deployment", "apiVersion: apps/v1"},
		{"app/v1", "Deployment", "apiVersion: apps/v1"},
		{"apps/v2", "Deployment", "apiVersion: apps/v1"},
		{"networking.k8s.io/v2", "Ingress", "networking.k8s.io/v1"},
		{"security.istio.io", "AuthorizationPolicy", "security.istio.io/v1"},
		{"security.istio.oi/v1", "AuthorizationPolicy", "security.istio.io"},
		{"security.istoi.io/v1", "Whatever", "security.istio.io"},
		{"networking.istio/v1", "VirtualService", "networking.istio.io/v1"},
		{"istio.io/v1", "PeerAuthentication", "security.istio.io/v1"},
		{"gateway.networking.k8s.oi/v1", "HTTPRoute", "gateway.networking.k8s.io"},
		{"v1", "PeerAuthenticaton", "PeerAuthentication"},
	} {
		why, help := Misnamed(c.apiVersion, c.kind)
		if why == "" || !strings.Contains(help, c.want) {
			t.Errorf("%s/%s: %q, %q; want %q", c.apiVersion, c.kind, why, help, c.want)
		}
	}
	for _, c := range [][2]string{
		{"net.example.com/v1", "Gateway"}, {"gateway.solo.io/v1", "VirtualService"}, {"serving.knative.dev/v1", "Service"},
		{"appmesh.k8s.aws/v1beta2", "VirtualService"}, {"networking.x-k8s.io/v1alpha1", "GatewayClass"}, {"config.openshift.io/v1", "Ingress"},
		{"policy/v1", "PodDisruptionBudget"}, {"v1", "Secret"}, {"v1", "Config"}, {"v1", "Template"}, {"v1", "Route"}, {"v1", "Role"}, {"rbac.authorization.k8s.io/v1", "Role"},
		{"skaffold/v4beta11", "Config"}, {"policy/v1beta1", "PodSecurityPolicy"}, {"autoscaling/v2beta2", "HorizontalPodAutoscaler"},
		{"istio.banzaicloud.io/v1beta1", "Istio"}, {"cert-manager.io/v1", "Certificate"}, {"kustomize.config.k8s.io/v1beta1", "Kustomization"},
		{"v1", "Event"}, {"apiextensions.k8s.io/v1", "CustomResourceDefinition"},
	} {
		if why, _ := Misnamed(c[0], c[1]); why != "" {
			t.Errorf("%s/%s: %s", c[0], c[1], why)
		}
	}
}
