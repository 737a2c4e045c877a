package inject

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	meshconfig "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Names of what injection adds. Those of the proxy and of the rules are Istio's, by which people and tools know them.
const (
	proxyName     = endpoint.ProxyContainer
	rulesName     = "istio-init"
	checkName     = "istio-validation"
	bootstrapName = "meshc-bootstrap"

	envoyVolume    = "istio-envoy"
	podInfoVolume  = "istio-podinfo"
	identityVolume = "workload-identity"
	overrideVolume = "custom-bootstrap-volume"
)

// AnnotationStatus says what injection has added. Istio's injector writes the same annotation.
const AnnotationStatus = "sidecar.istio.io/status"

// status is the value of AnnotationStatus.
type status struct {
	InitContainers []string `json:"initContainers"`
	Containers     []string `json:"containers"`
	Volumes        []string `json:"volumes"`
}

// pod is a Pod, or the template of one, while it gets its proxy.
type pod struct {
	*Injector
	workload *mesh.Workload
	object   *schema.Object
	tmpl     *schema.Pods
	proxy    *meshconfig.ProxyConfig

	whole    map[string]any // the object
	value    map[string]any // the pod in it: metadata and spec
	gateway  bool
	classic  bool
	added    status
	findings diag.List
}

func newPod(in *Injector, w *mesh.Workload, o *schema.Object, tmpl *schema.Pods) (*pod, error) {
	p := &pod{Injector: in, workload: w, object: o, tmpl: tmpl, whole: clone(o.Doc.Value).(map[string]any)}
	p.value = p.whole
	for _, key := range tmpl.At() {
		p.value = child(p.value, key.(string))
	}
	p.added = status{InitContainers: []string{}, Containers: []string{}, Volumes: []string{}}
	var err error
	p.proxy, err = in.mesh.ProxyConfigOf(w)
	return p, err
}

// at is the path of an annotation of the pod in its object.
func (p *pod) at(key string) []any { return p.tmpl.At("metadata", "annotations", key) }

func (p *pod) fail(code, message, help string, path ...any) {
	p.findings.Add(p.object.Finding(diag.Error, code, message, help, path...))
}

// has says why a pod has its proxy already, "" if it has none.
func (p *pod) has() string {
	text, marked := p.tmpl.Annotations[AnnotationStatus]
	if marked {
		var s status
		switch err := json.Unmarshal([]byte(text), &s); {
		case err != nil || !slices.Contains(s.InitContainers, bootstrapName):
		case !slices.ContainsFunc(p.tmpl.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == bootstrapName }):
			p.fail("MESHC1904", "the annotation "+AnnotationStatus+" says that the pod has its proxy, and no container "+bootstrapName+" is there",
				"take the annotation out; to keep a proxy off, write the label sidecar.istio.io/inject: \"false\"", p.at(AnnotationStatus)...)
			return ""
		default:
			return "it has its proxy already"
		}
		p.fail("MESHC1901", "Istio's injector has given this pod its proxy, and meshc cannot tell what of it was the user's",
			"inject the manifest as it was before; one that runs changes its control plane by discoveryAddress instead", p.at(AnnotationStatus)...)
		return ""
	}
	for _, c := range slices.Concat(p.tmpl.Spec.InitContainers, p.tmpl.Spec.Containers) {
		image := c.Image[strings.LastIndexByte(c.Image, '/')+1:]
		if c.Name == proxyName && strings.HasPrefix(image, "proxyv2") {
			p.fail("MESHC1901", fmt.Sprintf("the container %s runs %s, which starts the agent of Istio, and meshc gives a pod a stock Envoy", proxyName, c.Image),
				"write image: auto, or leave the container out", p.container(c.Name)...)
		}
	}
	return ""
}

// container is the path of a container in the object.
func (p *pod) container(name string) []any {
	for key, list := range map[string][]corev1.Container{"initContainers": p.tmpl.Spec.InitContainers, "containers": p.tmpl.Spec.Containers} {
		if i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == name }); i >= 0 {
			return p.tmpl.At("spec", key, i)
		}
	}
	return p.tmpl.At("spec")
}

// inject adds everything.
func (p *pod) inject() {
	if key := p.windows(); key != "" {
		p.fail("MESHC1903", "the pod runs on Windows, where there is neither the proxy's image nor a user to tell its connections by",
			`keep the proxy off by the label sidecar.istio.io/inject: "false"`, p.tmpl.At("spec", key)...)
		return
	}
	p.checkConfig()
	names, ok := p.templates()
	if !ok {
		return
	}
	p.gateway = slices.Contains(names, templateGateway)
	p.classic = p.gateway || !p.flag("sidecar.istio.io/nativeSidecar", !p.settings.Classic)
	if p.classic && !p.gateway && p.proxy.GetHoldApplicationUntilProxyStarts().GetValue() {
		p.fail("MESHC1903", "holdApplicationUntilProxyStarts needs a native sidecar: a stock Envoy has nothing that a hook could run to wait for it",
			"leave sidecar.istio.io/nativeSidecar and --native-sidecars at true", p.at("sidecar.istio.io/nativeSidecar")...)
	}
	p.without()
	p.labels()
	probes := p.probes()
	p.volumes()
	bootstrap := p.bootstrapContainer(probes)
	proxy := p.proxyContainer()
	var rules *corev1.Container
	if !p.gateway {
		rules = p.rulesContainer()
	}
	if p.findings.HasErrors() {
		return
	}
	p.place(bootstrap, rules, proxy)
	p.annotate()
	for _, name := range names {
		if t := p.settings.Templates[name]; t != nil {
			p.overlay(name, t)
		}
	}
	p.verify()
}

// windows is the field of the pod that has it run on Windows, "" if none does.
func (p *pod) windows() string {
	if os := p.tmpl.Spec.OS; os != nil && os.Name == corev1.Windows {
		return "os"
	}
	for _, label := range [...]string{corev1.LabelOSStable, "beta." + corev1.LabelOSStable} {
		if p.tmpl.Spec.NodeSelector[label] == string(corev1.Windows) {
			return "nodeSelector"
		}
	}
	return ""
}

// place puts the containers where they belong. A native sidecar is before the init containers of the user, which may call by
// way of it; one of the older kind starts when these have ended, so that the rules come last.
func (p *pod) place(bootstrap, rules, proxy *corev1.Container) {
	spec := child(p.value, "spec")
	at := "containers"
	if !p.classic {
		at = "initContainers"
	}
	first := []any{p.merged(bootstrap, "initContainers")}
	var last []any
	if rules != nil {
		last = []any{p.merged(rules, "initContainers")}
	}
	sidecar := p.merged(proxy, at)
	init, containers := list(spec, "initContainers"), list(spec, "containers")
	if p.classic {
		init = slices.Concat(first, init, last)
		containers = append(containers, sidecar)
	} else {
		init = slices.Concat(first, last, []any{sidecar}, init)
	}
	spec["initContainers"] = init
	if len(containers) > 0 {
		spec["containers"] = containers
	}
}

// labels gives the pod those that clients and rules know it by.
func (p *pod) labels() {
	labels := maps.Clone(p.tmpl.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	endpoint.Stamp(labels, p.workload.Name, p.gateway)
	to := child(child(p.value, "metadata"), "labels")
	for k, v := range labels {
		to[k] = v
	}
}

// annotate says what was added, and tells other tools about it.
func (p *pod) annotate() {
	b, err := json.Marshal(p.added)
	if err != nil {
		panic("inject: " + err.Error()) // lists of strings
	}
	to := child(child(p.value, "metadata"), "annotations")
	to[AnnotationStatus] = string(b)
	if first := p.application(); first != "" && !p.gateway {
		setDefault(to, "kubectl.kubernetes.io/default-container", first)
		setDefault(to, "kubectl.kubernetes.io/default-logs-container", first)
	}
	p.scraped(to)
}

// application is the first container of the user.
func (p *pod) application() string {
	for _, c := range p.tmpl.Spec.Containers {
		if c.Name != proxyName {
			return c.Name
		}
	}
	return ""
}

// scraped tells Prometheus where the proxy's statistics are, unless the pod has statistics of its own.
func (p *pod) scraped(to map[string]any) {
	const port, scheme, path, scrape = "prometheus.io/port", "prometheus.io/scheme", "prometheus.io/path", "prometheus.io/scrape"
	const merge = "prometheus.istio.io/merge-metrics"
	for _, k := range []string{port, scheme, path, scrape} {
		if _, own := p.tmpl.Annotations[k]; own {
			if p.flag(merge, false) {
				p.fail("MESHC1903", "the annotation "+merge+" asks for the application's statistics in one answer with the proxy's, which takes the agent of istio-proxy",
					"take it out, and have Prometheus scrape both ports", p.at(merge)...)
			}
			return
		}
	}
	to[scrape], to[port], to[path] = "true", fmt.Sprint(statsPort), "/stats/prometheus"
}

func setDefault(m map[string]any, key, value string) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}
