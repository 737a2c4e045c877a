// Package kinds is the table of the kinds of objects that meshc reads. A kind is one row: its group, its name, the versions in
// which it is served or once was, what it is decoded into, whether its objects live in namespaces, and how they choose the
// workloads that they are for. Whatever has to know which kinds there are asks this table: the loader, to tell manifests
// from other files; the schema, whose definitions are named after the rows; the attachment of objects to workloads.
package kinds

import (
	"reflect"
	"slices"
	"sync"

	extensions "istio.io/api/extensions/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1beta1 "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Kind is a kind that is read.
type Kind struct {
	Group    string // "" for the core group of Kubernetes
	Name     string // no two rows have the same
	Versions []string
	Old      []OldVersion // versions, and groups, in which it is no longer served; they mean the same, and are read
	Istio    bool
	Cluster  bool       // its objects live outside of namespaces
	New      func() any // what it is decoded into, empty: of a kind of Istio the message of the spec, else the whole object
	Selects  *Selection // how its objects choose workloads; nil: they choose none
}

// OldVersion is an API version in which a kind was served once.
type OldVersion struct {
	APIVersion string
	Until      string // the release of Kubernetes that removed it
}

// Served is the apiVersion in which API servers serve the kind.
func (k *Kind) Served() string {
	v := k.Versions[len(k.Versions)-1]
	if k.Group == "" {
		return v
	}
	return k.Group + "/" + v
}

// Has tells whether a group and version are, or were, those of the kind.
func (k *Kind) Has(group, version string) bool {
	return k.Group == group && slices.Contains(k.Versions, version) ||
		slices.ContainsFunc(k.Old, func(o OldVersion) bool { return o.APIVersion == group+"/"+version })
}

// Definition is the name of its schema, and of what that describes: the spec of a kind of Istio, the object of others.
func (k *Kind) Definition() string { return "#" + k.Name }

// All lists the kinds. Nobody changes them.
func All() []*Kind { return table }

// Find returns the kind of a name; nil: it is none that is read.
func Find(name string) *Kind {
	if i := slices.IndexFunc(table, func(k *Kind) bool { return k.Name == name }); i >= 0 {
		return table[i]
	}
	return nil
}

// OfSpec returns the kind of which something is the decoded form; nil: of none.
func OfSpec(spec any) *Kind { return bySpec()[reflect.TypeOf(spec)] }

var bySpec = sync.OnceValue(func() map[reflect.Type]*Kind {
	out := make(map[reflect.Type]*Kind, len(table))
	for _, k := range table {
		out[reflect.TypeOf(k.New())] = k
	}
	return out
})

// istio makes a row of a kind of Istio. Versions do not matter: all of them hold the same message.
func istio(group, name string, of func() any, selects *Selection) *Kind {
	return &Kind{Group: group + ".istio.io", Name: name, Versions: []string{"v1alpha1", "v1alpha3", "v1beta1", "v1"}, Istio: true, New: of, Selects: selects}
}

// kubernetes makes a row of a kind that is served in one version.
func kubernetes(group, version, name string, of func() any, old ...OldVersion) *Kind {
	return &Kind{Group: group, Name: name, Versions: []string{version}, New: of, Old: old}
}

// cluster makes a row of a kind whose objects live outside of namespaces.
func cluster(k *Kind) *Kind {
	k.Cluster = true
	return k
}

func of[T any]() any { return new(T) }

var table = []*Kind{
	istio("networking", "VirtualService", of[networking.VirtualService], nil),
	istio("networking", "DestinationRule", of[networking.DestinationRule], &Selection{"workloadSelector", clientLabels, Own}),
	istio("networking", "Gateway", of[networking.Gateway], &Selection{"selector", gatewayLabels, Everywhere}),
	istio("networking", "ServiceEntry", of[networking.ServiceEntry], &Selection{"workloadSelector", workloadLabels, Own}),
	istio("networking", "WorkloadEntry", of[networking.WorkloadEntry], nil),
	istio("networking", "WorkloadGroup", of[networking.WorkloadGroup], nil),
	istio("networking", "Sidecar", of[networking.Sidecar], &Selection{"workloadSelector", workloadLabels, Layered}),
	istio("networking", "EnvoyFilter", of[networking.EnvoyFilter], &Selection{"workloadSelector", workloadLabels, Root}),
	istio("networking", "ProxyConfig", of[networkingv1beta1.ProxyConfig], &Selection{"selector", policyLabels, Layered}),
	istio("security", "PeerAuthentication", of[security.PeerAuthentication], &Selection{"selector", policyLabels, LayeredNoRoot}),
	istio("security", "AuthorizationPolicy", of[security.AuthorizationPolicy], &Selection{"selector", policyLabels, Root}),
	istio("security", "RequestAuthentication", of[security.RequestAuthentication], &Selection{"selector", policyLabels, Root}),
	istio("telemetry", "Telemetry", of[telemetry.Telemetry], &Selection{"selector", policyLabels, Layered}),
	istio("extensions", "WasmPlugin", of[extensions.WasmPlugin], &Selection{"selector", policyLabels, Root}),
	istio("extensions", "TrafficExtension", of[extensions.TrafficExtension], &Selection{"selector", policyLabels, Root}),

	cluster(kubernetes("", "v1", "Namespace", of[corev1.Namespace])),
	cluster(kubernetes("", "v1", "Node", of[corev1.Node])),
	kubernetes("", "v1", "Pod", of[corev1.Pod]),
	kubernetes("", "v1", "ReplicationController", of[corev1.ReplicationController]),
	kubernetes("", "v1", "Service", of[corev1.Service]),
	kubernetes("", "v1", "Endpoints", of[corev1.Endpoints]), //nolint:staticcheck // deprecated, and still what sources hold
	kubernetes("", "v1", "ServiceAccount", of[corev1.ServiceAccount]),
	kubernetes("", "v1", "ConfigMap", of[corev1.ConfigMap]),
	kubernetes("apps", "v1", "Deployment", of[appsv1.Deployment], OldVersion{"apps/v1beta1", "1.16"}, OldVersion{"apps/v1beta2", "1.16"}, OldVersion{"extensions/v1beta1", "1.16"}),
	kubernetes("apps", "v1", "StatefulSet", of[appsv1.StatefulSet], OldVersion{"apps/v1beta1", "1.16"}, OldVersion{"apps/v1beta2", "1.16"}),
	kubernetes("apps", "v1", "DaemonSet", of[appsv1.DaemonSet], OldVersion{"apps/v1beta2", "1.16"}, OldVersion{"extensions/v1beta1", "1.16"}),
	kubernetes("apps", "v1", "ReplicaSet", of[appsv1.ReplicaSet], OldVersion{"apps/v1beta2", "1.16"}, OldVersion{"extensions/v1beta1", "1.16"}),
	kubernetes("batch", "v1", "Job", of[batchv1.Job]),
	kubernetes("batch", "v1", "CronJob", of[batchv1.CronJob], OldVersion{"batch/v1beta1", "1.25"}),
	kubernetes("argoproj.io", "v1alpha1", "Rollout", of[Rollout]),
	kubernetes(OwnGroup, "v1alpha1", "MeshRollout", of[MeshRollout]),
	kubernetes("discovery.k8s.io", "v1", "EndpointSlice", of[discoveryv1.EndpointSlice], OldVersion{"discovery.k8s.io/v1beta1", "1.25"}),
	kubernetes("networking.k8s.io", "v1", "Ingress", of[networkingv1.Ingress], OldVersion{"networking.k8s.io/v1beta1", "1.22"}, OldVersion{"extensions/v1beta1", "1.22"}),
	cluster(kubernetes("networking.k8s.io", "v1", "IngressClass", of[networkingv1.IngressClass], OldVersion{"networking.k8s.io/v1beta1", "1.22"})),
}
