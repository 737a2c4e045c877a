package lint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// proxyImages: Pods that run another image of the proxy than the injector would give them now.
func (l *linter) proxyImages() {
	images := l.injectedImages()
	if len(images) == 0 {
		return
	}
	others := map[string][]*schema.Object{}
	for _, w := range l.m.Workloads {
		ns := l.namespaces[w.Namespace]
		p, ok := w.Object.Spec.(*corev1.Pod)
		if !ok || ns == nil || w.Object.Annotations["sidecar.istio.io/proxyImage"] != "" {
			continue
		}
		revision, revised := ns.Labels[mesh.LabelRevision]
		if !revised && ns.Labels[mesh.LabelInjection] != "enabled" {
			continue
		}
		if revision == "default" {
			revision = ""
		}
		want, variant := images[revision], w.ProxyConfig.GetImage().GetImageType()
		if want == "" || slices.Contains(others[w.Namespace], w.Object) {
			continue
		}
		for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
			if c.Name == mesh.ProxyContainer && c.Image != want && c.Image != want+"-"+variant {
				others[w.Namespace] = append(others[w.Namespace], w.Object)
				break
			}
		}
	}
	for _, name := range sorted(others) {
		l.add(l.namespaces[name], diag.Warning, "IST0158", fmt.Sprintf("pods of this namespace run another image of the proxy than the injector gives now: %s", objectNames(others[name])), "Restart them.", "metadata", "name")
	}
}

// injectedImages are the images that the injectors of the source give proxies, by revision.
func (l *linter) injectedImages() map[string]string {
	images := map[string]string{}
	for _, o := range l.objects {
		if c, ok := o.Spec.(*corev1.ConfigMap); ok && (o.Name == "istio-sidecar-injector" || strings.HasPrefix(o.Name, "istio-sidecar-injector-")) {
			if image := injectedImage(c); image != "" {
				images[strings.TrimPrefix(strings.TrimPrefix(o.Name, "istio-sidecar-injector"), "-")] = image
			}
		}
	}
	return images
}

// injectedImage is the image of the proxy in the values of an injector; "" where they do not say.
func injectedImage(c *corev1.ConfigMap) string {
	var v struct {
		Global struct {
			Hub   string          `json:"hub"`
			Tag   json.RawMessage `json:"tag"`
			Proxy struct {
				Image string `json:"image"`
			} `json:"proxy"`
		} `json:"global"`
	}
	if json.Unmarshal([]byte(c.Data["values"]), &v) != nil || v.Global.Proxy.Image == "" {
		return ""
	}
	if strings.Contains(v.Global.Proxy.Image, "/") {
		return v.Global.Proxy.Image
	}
	return fmt.Sprintf("%s/%s:%s", v.Global.Hub, v.Global.Proxy.Image, strings.Trim(string(v.Global.Tag), `"`))
}
