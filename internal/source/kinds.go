package source

import (
	"slices"
	"strings"
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
	if slices.ContainsFunc(readKinds, func(r readKind) bool { return r.kind == kind && r.has(group, version) }) {
		return Kubernetes
	}
	switch group {
	case OwnGroup:
		return UnknownMesh
	case gatewayGroup, "gateway.networking.x-k8s.io":
		return GatewayAPI
	case "install.istio.io", "operator.istio.io", "sailoperator.io":
		return Installer
	}
	if kinds, ok := istioKinds(group); ok {
		for _, k := range kinds {
			if k == kind && istioVersion(version) {
				return Istio
			}
		}
		return UnknownMesh
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

// splitVersion parts an apiVersion; the core group has no name.
func splitVersion(apiVersion string) (group, version string) {
	group, version, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return "", apiVersion
	}
	return group, version
}

// OwnGroup is the group of meshc's own kinds.
const OwnGroup = "meshc.dev"

// gatewayGroup is the group of the Gateway API.
const gatewayGroup = "gateway.networking.k8s.io"

func istioVersion(v string) bool {
	return v == "v1alpha1" || v == "v1alpha3" || v == "v1beta1" || v == "v1"
}

func istioGroups() []string {
	return []string{"networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"}
}

func istioKinds(group string) ([]string, bool) {
	switch group {
	case "networking.istio.io":
		return []string{"VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "WorkloadEntry", "WorkloadGroup", "Sidecar", "EnvoyFilter", "ProxyConfig"}, true
	case "security.istio.io":
		return []string{"PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"}, true
	case "telemetry.istio.io":
		return []string{"Telemetry"}, true
	case "extensions.istio.io":
		return []string{"WasmPlugin", "TrafficExtension"}, true
	}
	return nil, false
}

// istioGroup is the group of a kind of Istio, or "".
func istioGroup(kind string) string {
	for _, g := range istioGroups() {
		if kinds, _ := istioKinds(g); slices.Contains(kinds, kind) {
			return g
		}
	}
	return ""
}

// ClusterScoped tells whether objects of a kind live outside of namespaces.
func ClusterScoped(apiVersion, kind string) bool {
	switch kind {
	case "Namespace", "Node", "PersistentVolume", "GatewayClass", "IngressClass", "StorageClass", "PriorityClass",
		"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration",
		"ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "APIService",
		"ClusterIssuer", "RuntimeClass":
		return true
	}
	return false
}
