package mesh

import (
	"cmp"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/schema"
)

// Labels that decide how a workload takes part in the mesh.
const (
	LabelTLSMode           = endpoint.LabelTLSMode
	labelNetwork           = endpoint.LabelNetwork
	labelCluster           = endpoint.LabelCluster
	annotationProxyConfig  = "proxy.istio.io/config"
	annotationInterception = "sidecar.istio.io/interceptionMode"

	// MetadataNetworkView is the proxyMetadata entry that lists the networks whose endpoints a proxy wants to see.
	MetadataNetworkView = "ISTIO_META_REQUESTED_NETWORK_VIEW"
)

// podWorkload reads a workload from a pod or a pod template and stamps the labels that injection would.
func (m *Mesh) podWorkload(o *schema.Object, name string, labels, annotations map[string]string, spec *corev1.PodSpec) *Workload {
	ports, proxy := endpoint.Containers(spec)
	w := &Workload{
		Object: o, Namespace: o.Namespace, Name: name, ServiceAccount: cmp.Or(spec.ServiceAccountName, "default"),
		Labels: map[string]string{}, Annotations: annotations, Ports: ports,
	}
	for k, v := range labels {
		w.Labels[k] = v
	}
	hasProxy := proxy != nil
	if hasProxy {
		w.networkView = networkView(proxy.Env)
	}
	w.Router = endpoint.Router(spec, annotations, hasProxy)
	w.Injected = !w.Router && (hasProxy || w.Labels[LabelTLSMode] != "" || m.injects(o.Namespace, labels, annotations, spec.HostNetwork))
	if w.Injected {
		endpoint.Stamp(w.Labels, name)
	}
	m.placeWorkload(w)
	return w
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

// placeWorkload settles network, cluster and locality from the labels of a workload.
func (m *Mesh) placeWorkload(w *Workload) {
	w.Network, w.Cluster, w.Locality = m.Site.Place(w.Labels)
}

func setDefault(m map[string]string, k, v string) {
	if _, ok := m[k]; !ok {
		m[k] = v
	}
}

// injects tells whether the sidecar injector would act on a pod: its own sidecar.istio.io/inject first (label before
// annotation), then the label istio-injection or istio.io/rev of the namespace.
func (m *Mesh) injects(namespace string, labels, annotations map[string]string, hostNetwork bool) bool {
	if hostNetwork {
		return false
	}
	switch cmp.Or(labels["sidecar.istio.io/inject"], annotations["sidecar.istio.io/inject"]) {
	case "true":
		return true
	case "false":
		return false
	}
	if labels["istio.io/rev"] != "" {
		return true
	}
	ns := m.Namespaces[namespace]
	if ns == nil || ns.Labels["istio-injection"] == "disabled" {
		return false
	}
	return ns.Labels["istio-injection"] == "enabled" || ns.Labels["istio.io/rev"] != ""
}

// linkWorkloads collects pods, pod templates, WorkloadEntries and WorkloadGroups.
func (m *Mesh) linkWorkloads(objects []*schema.Object) {
	nodes := map[string]*corev1.Node{}
	for _, o := range objects {
		if n, ok := o.Spec.(*corev1.Node); ok {
			nodes[o.Name] = n
		}
	}
	for _, o := range objects {
		switch k := o.Spec.(type) {
		case *corev1.Pod:
			w := m.podWorkload(o, endpoint.Owner(o.Name, k.OwnerReferences), o.Labels, o.Annotations, &k.Spec)
			w.Addresses = endpoint.PodAddresses(k)
			if n := nodes[k.Spec.NodeName]; n != nil && w.Locality == "" {
				w.Locality = endpoint.NodeLocality(n.Labels)
			}
			m.Workloads = append(m.Workloads, w)
			m.index.addPod(m.podOf(o, k, w))
		case *appsv1.Deployment:
			m.addTemplate(o, &k.Spec.Template)
		case *appsv1.StatefulSet:
			m.addTemplate(o, &k.Spec.Template)
		case *appsv1.DaemonSet:
			m.addTemplate(o, &k.Spec.Template)
		case *networking.WorkloadEntry:
			w := m.entryWorkload(o, k)
			m.Workloads = append(m.Workloads, w)
			m.index.entries.add(w.Namespace, w.Labels, w)
		case *networking.WorkloadGroup:
			w := m.entryWorkload(o, k.GetTemplate())
			for key, v := range k.GetMetadata().GetLabels() {
				setDefault(w.Labels, key, v)
			}
			w.Addresses = nil
			m.Workloads = append(m.Workloads, w)
		}
	}
	sortByAge(m.Workloads, func(w *Workload) *schema.Object { return w.Object })
}

func (m *Mesh) addTemplate(o *schema.Object, t *corev1.PodTemplateSpec) {
	w := m.podWorkload(o, o.Name, t.Labels, t.Annotations, &t.Spec)
	m.Workloads = append(m.Workloads, w)
	m.index.templates.add(w.Namespace, w.Labels, w)
}

func (m *Mesh) entryWorkload(o *schema.Object, e *networking.WorkloadEntry) *Workload {
	w := &Workload{
		Object: o, Namespace: o.Namespace, Name: o.Name, Labels: map[string]string{}, Annotations: o.Annotations,
		ServiceAccount: e.GetServiceAccount(), Ports: map[string]uint32{}, Injected: true,
	}
	for k, v := range e.GetLabels() {
		w.Labels[k] = v
	}
	for k, v := range o.Labels {
		w.Labels[k] = v
	}
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
