package source

import "strings"

// Class says what meshc does with a kind.
type Class int

// The classes of kinds.
const (
	Foreign     Class = iota // not ours: counted, never read
	Kubernetes               // read by the compiler
	Istio                    // read by the compiler, every field of it
	UnknownMesh              // of a group of Istio's, but no kind that meshc knows
	Installer                // describes the installation of Istio, not the mesh
	GatewayAPI               // Gateway API, not compiled
)

// Classify tells what a kind is to meshc. Versions do not matter for Istio's kinds: v1alpha3, v1beta1 and v1 hold the
// same message.
func Classify(apiVersion, kind string) Class {
	group, version, ok := strings.Cut(apiVersion, "/")
	if !ok {
		group, version = "", apiVersion
	}
	switch group {
	case "":
		switch kind {
		case "Namespace", "Node", "Pod", "Service", "ServiceAccount", "ConfigMap":
			return Kubernetes
		}
		return Foreign
	case "apps":
		if version == "v1" && (kind == "Deployment" || kind == "StatefulSet" || kind == "DaemonSet") {
			return Kubernetes
		}
	case "discovery.k8s.io":
		if kind == "EndpointSlice" {
			return Kubernetes
		}
	case "networking.k8s.io":
		if version == "v1" && (kind == "Ingress" || kind == "IngressClass") {
			return Kubernetes
		}
	case "gateway.networking.k8s.io", "gateway.networking.x-k8s.io":
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

func istioVersion(v string) bool {
	return v == "v1alpha1" || v == "v1alpha3" || v == "v1beta1" || v == "v1"
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
