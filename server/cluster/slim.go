package cluster

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// slimMeta leaves out what changes without a meaning, and what kubectl apply has noted of a whole object.
func slimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, Labels: m.Labels, OwnerReferences: m.OwnerReferences, CreationTimestamp: m.CreationTimestamp}
	out.Annotations = maps.Clone(m.Annotations)
	maps.DeleteFunc(out.Annotations, func(k, _ string) bool {
		return k == corev1.LastAppliedConfigAnnotation || strings.HasPrefix(k, "control-plane.alpha.kubernetes.io/")
	})
	if len(out.Annotations) == 0 {
		out.Annotations = nil
	}
	return out
}

func slimNamespace(n *corev1.Namespace) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: slimMeta(n.ObjectMeta)}
}

// slimNode keeps the labels, which say where a node is. Kubelets write the rest of their Nodes often.
func slimNode(n *corev1.Node) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels}}
}

func slimService(s *corev1.Service) *corev1.Service {
	out := &corev1.Service{ObjectMeta: slimMeta(s.ObjectMeta), Spec: s.Spec}
	out.Status.LoadBalancer = s.Status.LoadBalancer
	return out
}

func slimSlice(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: slimMeta(s.ObjectMeta), AddressType: s.AddressType, Endpoints: s.Endpoints, Ports: s.Ports}
}

// slimPod keeps what tells which workload a pod is of, where it is, and whether it has a proxy. Values of environment
// variables are kept only of those that a proxy is told about its mesh by: others may be secret.
func slimPod(p *corev1.Pod) *corev1.Pod {
	out := &corev1.Pod{ObjectMeta: slimMeta(p.ObjectMeta)}
	out.UID = p.UID
	out.Spec = corev1.PodSpec{
		InitContainers: slimContainers(p.Spec.InitContainers), Containers: slimContainers(p.Spec.Containers),
		ServiceAccountName: p.Spec.ServiceAccountName, NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork,
		Hostname: p.Spec.Hostname, Subdomain: p.Spec.Subdomain,
	}
	out.Status = corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, PodIPs: p.Status.PodIPs}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			out.Status.Conditions = append(out.Status.Conditions, corev1.PodCondition{Type: c.Type, Status: c.Status})
		}
	}
	return out
}

// meshVariables are how the environment variables begin that tell a proxy about its mesh.
func meshVariables() []string { return []string{"ISTIO_META_", "MESHC_", "PROXY_CONFIG"} }

func slimContainers(list []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for _, c := range list {
		slim := corev1.Container{Name: c.Name, Image: c.Image, Ports: c.Ports, RestartPolicy: c.RestartPolicy}
		for _, e := range c.Env {
			for _, begin := range meshVariables() {
				if e.ValueFrom == nil && strings.HasPrefix(e.Name, begin) {
					slim.Env = append(slim.Env, corev1.EnvVar{Name: e.Name, Value: e.Value})
					break
				}
			}
		}
		out = append(out, slim)
	}
	return out
}
