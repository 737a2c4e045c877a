package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/schema"
)

// Labels that decide how a workload takes part in the mesh.
const (
	LabelTLSMode           = endpoint.LabelTLSMode
	ProxyContainer         = endpoint.ProxyContainer
	labelNetwork           = endpoint.LabelNetwork
	labelCluster           = endpoint.LabelCluster
	AnnotationProxyConfig  = "proxy.istio.io/config"
	annotationInterception = "sidecar.istio.io/interceptionMode"

	// MetadataNetworkView is the proxyMetadata entry that lists the networks whose endpoints a proxy wants to see.
	MetadataNetworkView = "ISTIO_META_REQUESTED_NETWORK_VIEW"
)

// podWorkload reads a workload from a pod or a pod template and stamps the labels that injection would. A Pod that a cluster
// has let in has the proxy that it shows; any other, the one that injection would give it, too.
func (m *Mesh) podWorkload(o *schema.Object, name string, pod *schema.Pods, observed bool) *Workload {
	shown := endpoint.Show(pod.Spec, pod.Labels, pod.Annotations)
	w := &Workload{
		Object: o, Namespace: o.Namespace, Name: name, ServiceAccount: cmp.Or(pod.Spec.ServiceAccountName, "default"),
		Labels: map[string]string{}, Annotations: pod.Annotations, Ports: shown.Ports, Router: shown.Router, Observed: observed,
	}
	maps.Copy(w.Labels, pod.Labels)
	if shown.Proxy != nil {
		w.networkView = networkView(shown.Proxy.Env)
	}
	w.Injection, w.KeptOff = m.injection(o.Namespace, pod)
	w.Injected = shown.Sidecar || !shown.Router && !observed && w.Injection == Injected
	if w.Injected || w.Router && !observed && w.Injection == Injected {
		endpoint.Stamp(w.Labels, name, w.Router)
	}
	m.placeWorkload(w)
	return w
}

// AnnotationPath is where an annotation of a workload's proxies stands in its object: at the template of the pods, if there is
// one.
func (w *Workload) AnnotationPath(key string) []any {
	var at []any
	switch w.Object.Kind {
	case "Pod", "WorkloadEntry":
	case "WorkloadGroup":
		at = []any{"spec"}
	case "CronJob":
		at = []any{"spec", "jobTemplate", "spec", "template"}
	default:
		at = []any{"spec", "template"}
	}
	return append(at, "metadata", "annotations", key)
}

// networkView reads MetadataNetworkView from the variables of a proxy's container.
func networkView(list []corev1.EnvVar) string {
	for _, e := range list {
		if e.Name == MetadataNetworkView && e.Value != "" {
			return e.Value
		}
	}
	return ""
}

// placeWorkload resolves network, cluster and locality from the labels of a workload.
func (m *Mesh) placeWorkload(w *Workload) {
	w.Network, w.Cluster, w.Locality = m.Site.Place(w.Labels)
}

func setDefault(m map[string]string, k, v string) {
	if _, ok := m[k]; !ok {
		m[k] = v
	}
}

// linkWorkloads collects pods, pod templates, WorkloadEntries and WorkloadGroups.
func (m *Mesh) linkWorkloads(objects []*schema.Object) {
	nodes := map[string]*corev1.Node{}
	for _, o := range objects {
		if n, ok := o.Spec.(*corev1.Node); ok {
			nodes[o.Name] = n
		}
	}
	known := map[ownerKey]bool{} // a workload that one of them made adds nothing
	for _, o := range objects {
		known[ownerKey{o.Namespace, o.Kind, o.Name}] = true
	}
	for _, o := range objects {
		switch k := o.Spec.(type) {
		case *corev1.Pod:
			m.addPod(o, k, nodes)
		case *kinds.Rollout:
			m.addRollout(o, k)
		case *networking.WorkloadEntry:
			w := m.entryWorkload(o, k)
			m.Workloads = append(m.Workloads, w)
			m.index.entries.Add(w.Namespace, w.Labels, w)
		case *networking.WorkloadGroup:
			w := m.entryWorkload(o, k.GetTemplate())
			for key, v := range k.GetMetadata().GetLabels() {
				setDefault(w.Labels, key, v)
			}
			w.Addresses = nil
			m.Workloads = append(m.Workloads, w)
		default:
			if pod := o.Pods(); pod != nil {
				owners := o.Spec.(metav1.Object).GetOwnerReferences()
				if !slices.ContainsFunc(owners, func(r metav1.OwnerReference) bool { return known[ownerKey{o.Namespace, r.Kind, r.Name}] }) {
					m.addTemplate(o, endpoint.Owner(o.Name, owners), pod)
				}
			}
		}
	}
	sortByAge(m.Workloads, func(w *Workload) *schema.Object { return w.Object })
}

type ownerKey struct{ namespace, kind, name string }

func (m *Mesh) addPod(o *schema.Object, k *corev1.Pod, nodes map[string]*corev1.Node) {
	w := m.podWorkload(o, endpoint.Owner(o.Name, k.OwnerReferences), o.Pods(), endpoint.Observed(k))
	w.Addresses = endpoint.PodAddresses(k)
	if n := nodes[k.Spec.NodeName]; n != nil && w.Locality == "" {
		w.Locality = endpoint.NodeLocality(n.Labels)
	}
	m.Workloads = append(m.Workloads, w)
	m.index.addPod(m.podOf(o, k, w))
}

// addRollout adds each version that a Rollout gives labels of its own.
func (m *Mesh) addRollout(o *schema.Object, r *kinds.Rollout) {
	pod := o.Pods()
	if pod == nil {
		return // workloadRef: the Deployment has the template
	}
	versions := r.Versions()
	for _, version := range sortedKeys(versions) {
		p := *pod
		p.Labels = versions[version]
		name := o.Name
		if version != "" {
			name += "-" + version
		}
		m.addTemplate(o, name, &p)
	}
}

func (m *Mesh) addTemplate(o *schema.Object, name string, pod *schema.Pods) {
	w := m.podWorkload(o, name, pod, false)
	m.Workloads = append(m.Workloads, w)
	m.index.templates.Add(w.Namespace, w.Labels, w)
}

func (m *Mesh) entryWorkload(o *schema.Object, e *networking.WorkloadEntry) *Workload {
	w := &Workload{
		Object: o, Namespace: o.Namespace, Name: o.Name, Labels: map[string]string{}, Annotations: o.Annotations,
		ServiceAccount: e.GetServiceAccount(), Ports: map[string]uint32{},
	}
	for k, v := range e.GetLabels() {
		w.Labels[k] = v
	}
	for k, v := range o.Labels {
		w.Labels[k] = v
	}
	w.Injected = entryHasProxy(w.Labels, e)
	if e.GetAddress() != "" && !strings.HasPrefix(e.GetAddress(), "unix://") {
		w.Addresses = []string{e.GetAddress()}
	}
	for name, p := range e.GetPorts() {
		w.Ports[name] = p
	}
	m.placeWorkload(w)
	w.Network = cmp.Or(e.GetNetwork(), w.Labels[labelNetwork], w.Network)
	w.Locality = cmp.Or(e.GetLocality(), w.Locality)
	return w
}

// entryHasProxy tells whether a machine has a proxy: it is labelled so or, without the label, has a service account.
func entryHasProxy(labels map[string]string, e *networking.WorkloadEntry) bool {
	if mode := labels[LabelTLSMode]; mode != "" {
		return mode == endpoint.TLSModeIstio
	}
	return e.GetServiceAccount() != ""
}
