package source

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/kinds"
)

// Class says what meshc does with a kind.
type Class int

// The classes of kinds.
const (
	Foreign     Class = iota // not ours: counted, never read
	Kubernetes               // read by the compiler
	Istio                    // read by the compiler, every field of it
	UnknownMesh              // of a group of Istio's or of meshc's, but no kind that meshc knows
	Installer                // describes the installation of Istio, not the mesh
	GatewayAPI               // Gateway API, not compiled
)

// Classify tells what a kind is to meshc. Versions do not matter for Istio's kinds: v1alpha3, v1beta1 and v1 hold the
// same message.
func Classify(apiVersion, kind string) Class {
	group, version := splitVersion(apiVersion)
	if k := kinds.Find(kind); k != nil && k.Has(group, version) {
		if k.Istio {
			return Istio
		}
		return Kubernetes
	}
	switch group {
	case kinds.OwnGroup:
		return UnknownMesh
	case gatewayGroup, "gateway.networking.x-k8s.io":
		return GatewayAPI
	case "install.istio.io", "operator.istio.io", "sailoperator.io":
		return Installer
	}
	if strings.HasSuffix(group, ".istio.io") {
		return UnknownMesh
	}
	return Foreign
}

// Installs tells whether an object that is not read says how Istio is installed: its webhooks, and the kinds of the Gateway
// API that it would read.
func Installs(apiVersion, kind, name string) bool {
	switch group, _ := splitVersion(apiVersion); group {
	case "admissionregistration.k8s.io":
		return kind == "MutatingWebhookConfiguration" || kind == "ValidatingWebhookConfiguration"
	case "apiextensions.k8s.io":
		return kind == "CustomResourceDefinition" && strings.HasSuffix(name, "."+gatewayGroup)
	}
	return false
}

// Generated is the name by which an object is known that a cluster gives its name when it is made, as kubectl create and hooks of
// Argo CD do: what the name begins with. Only what runs and ends is made so, and nothing refers to it; "" for any other kind.
func Generated(kind, generateName string) string {
	if kind != "Job" && kind != "Pod" {
		return ""
	}
	return strings.TrimRight(generateName, "-.")
}

// splitVersion parts an apiVersion; the core group has no name.
func splitVersion(apiVersion string) (group, version string) {
	group, version, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return "", apiVersion
	}
	return group, version
}

// gatewayGroup is the group of the Gateway API.
const gatewayGroup = "gateway.networking.k8s.io"

// istioGroups are the groups of Istio's kinds.
func istioGroups() (out []string) {
	for _, k := range kinds.All() {
		if k.Istio && !slices.Contains(out, k.Group) {
			out = append(out, k.Group)
		}
	}
	return out
}

// istioGroup is the group of a kind of Istio, or "".
func istioGroup(kind string) string {
	if k := kinds.Find(kind); k != nil && k.Istio {
		return k.Group
	}
	return ""
}

// ClusterScoped tells whether objects of a kind live outside of namespaces.
func ClusterScoped(apiVersion, kind string) bool {
	if k := kinds.Find(kind); k != nil && k.Cluster {
		return true
	}
	switch kind { // of those that are not read, what comes along with a mesh
	case "PersistentVolume", "GatewayClass", "StorageClass", "PriorityClass",
		"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration",
		"ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "APIService",
		"ClusterIssuer", "RuntimeClass":
		return true
	}
	return false
}
