package endpoint

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProxyContainer is the name of the proxy's container in an injected pod.
const ProxyContainer = "istio-proxy"

// annotationTemplates lists the templates that injection uses, separated by commas; one of them makes a gateway.
const (
	annotationTemplates = "inject.istio.io/templates"
	gatewayTemplate     = "gateway"
)

// Shown is what a pod shows of its proxy by itself, whatever injection would do with it.
type Shown struct {
	Ports   map[string]uint32 // of all containers, by name
	Proxy   *corev1.Container // nil: none of them is the proxy
	Sidecar bool              // a proxy beside an application; a pod may say so by its label, whatever its container is called
	Router  bool              // a gateway
}

// Show reads what a pod shows. A gateway has the proxy for its only container; beside others, or started before them as a
// native sidecar, the proxy is a sidecar.
func Show(spec *corev1.PodSpec, labels, annotations map[string]string) Shown {
	s := Shown{Ports: map[string]uint32{}}
	alone := false
	for i, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for j := range list {
			c := &list[j]
			if c.Name == ProxyContainer && s.Proxy == nil {
				s.Proxy, alone = c, i == 0 && len(list) == 1
			}
			for _, p := range c.Ports {
				if _, ok := s.Ports[p.Name]; !ok && p.Name != "" {
					s.Ports[p.Name] = uint32(p.ContainerPort)
				}
			}
		}
	}
	s.Router = alone || slices.ContainsFunc(strings.Split(annotations[annotationTemplates], ","), func(t string) bool { return strings.TrimSpace(t) == gatewayTemplate })
	s.Sidecar = !s.Router && (s.Proxy != nil || labels[LabelTLSMode] == TLSModeIstio)
	return s
}

// Observed tells whether a cluster has let a Pod in: then it has the proxy that it shows, and nothing injects one any more.
func Observed(pod *corev1.Pod) bool {
	return pod.UID != "" || pod.Status.Phase != "" || pod.Status.PodIP != "" || len(pod.Status.PodIPs) > 0 || len(pod.Status.Conditions) > 0
}

// scheduled is the name of a Job that a CronJob made: its own, and the minute.
var scheduled = regexp.MustCompile(`^(.+)-\d{8,10}$`)

// Owner guesses the name of the workload behind a pod.
func Owner(name string, owners []metav1.OwnerReference) string {
	if len(owners) == 0 {
		return name
	}
	switch owner := owners[0]; owner.Kind {
	case "ReplicaSet":
		if i := strings.LastIndexByte(owner.Name, '-'); i > 0 {
			return owner.Name[:i]
		}
	case "Job":
		if m := scheduled.FindStringSubmatch(owner.Name); m != nil {
			return m[1]
		}
	}
	return owners[0].Name
}

// Stamp adds the labels that injection gives a pod, as far as it has not got them. name is that of its workload. A gateway is
// nobody's peer by mutual TLS of the mesh, so that it has no label for that.
func Stamp(labels map[string]string, name string, gateway bool) {
	canonical := cmp.Or(labels["app.kubernetes.io/name"], labels["app"], name)
	revision := cmp.Or(labels["app.kubernetes.io/version"], labels["version"], "latest")
	stamps := map[string]string{LabelTLSMode: TLSModeIstio, LabelCanonicalName: labelValue(canonical), LabelCanonicalRevision: labelValue(revision)}
	if gateway {
		delete(stamps, LabelTLSMode)
	}
	for k, v := range stamps {
		if _, ok := labels[k]; !ok {
			labels[k] = v
		}
	}
}

// labelValue cuts a name to what a label takes.
func labelValue(s string) string {
	const most = 63
	return strings.Trim(s[:min(len(s), most)], "-_.")
}
