package inject

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/intercept"
	"github.com/meshc/meshc/internal/statistics"
	"github.com/meshc/meshc/schema"
)

// bad reports the value of an annotation.
func (p *pod) bad(key, why, help string) {
	p.fail("MESHC1902", fmt.Sprintf("the annotation %s is %q: %s", key, p.tmpl.Annotations[key], why), help, p.at(key)...)
}

// flag reads a boolean.
func (p *pod) flag(key string, otherwise bool) bool {
	v, ok := p.tmpl.Annotations[key]
	if !ok {
		return otherwise
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		p.bad(key, "that is neither true nor false", "write true or false, in quotes")
		return otherwise
	}
	return b
}

// number reads a whole number that is not negative.
func (p *pod) number(key string, otherwise int32) int32 {
	v, ok := p.tmpl.Annotations[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		p.bad(key, "that is no whole number", "write a number, in quotes")
		return otherwise
	}
	return int32(n)
}

// word reads a text that matches an expression.
func (p *pod) word(key, otherwise string, like *regexp.Regexp, help string) string {
	v, ok := p.tmpl.Annotations[key]
	if !ok || v == "" {
		return otherwise
	}
	if !like.MatchString(v) {
		p.bad(key, "that is no value that it can have", help)
		return otherwise
	}
	return v
}

// What the proxy may use. If an annotation says something of it, what no annotation says is not bounded; nor is anything where the
// pod is bounded as a whole, of which an API server takes no containers that ask for more together.
var quantities = []struct {
	key      string
	limit    bool
	name     corev1.ResourceName
	standard string
}{
	{"sidecar.istio.io/proxyCPU", false, corev1.ResourceCPU, "100m"},
	{"sidecar.istio.io/proxyMemory", false, corev1.ResourceMemory, "128Mi"},
	{"sidecar.istio.io/proxyCPULimit", true, corev1.ResourceCPU, "2"},
	{"sidecar.istio.io/proxyMemoryLimit", true, corev1.ResourceMemory, "1Gi"},
}

// resources reads the annotations with what the proxy may use.
func (p *pod) resources() corev1.ResourceRequirements {
	own := p.tmpl.Spec.Resources != nil
	for _, q := range quantities {
		_, said := p.tmpl.Annotations[q.key]
		own = own || said
	}
	var out corev1.ResourceRequirements
	for _, q := range quantities {
		text, said := p.tmpl.Annotations[q.key]
		if own && !said {
			continue
		}
		if !said {
			text = q.standard
		}
		v, err := resource.ParseQuantity(text)
		if err != nil || v.Sign() < 0 {
			p.bad(q.key, "that is no quantity", "write one as Kubernetes does: 100m, 128Mi")
			continue
		}
		to := &out.Requests
		if q.limit {
			to = &out.Limits
		}
		if *to == nil {
			*to = corev1.ResourceList{}
		}
		(*to)[q.name] = v
	}
	return out
}

// mounts reads the volumes that the user wants the proxy to have: JSON, by name.
func (p *pod) mounts() (volumes []corev1.Volume, mounts []corev1.VolumeMount) {
	const volume, mount = "sidecar.istio.io/userVolume", "sidecar.istio.io/userVolumeMount"
	sources, at := map[string]corev1.VolumeSource{}, map[string]corev1.VolumeMount{}
	p.jsonOf(volume, &sources)
	p.jsonOf(mount, &at)
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: sources[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		m := at[name]
		m.Name = name
		mounts = append(mounts, m)
	}
	return volumes, mounts
}

// jsonOf reads JSON, whose fields are those of the type.
func (p *pod) jsonOf(key string, into any) {
	v, ok := p.tmpl.Annotations[key]
	if !ok || strings.TrimSpace(v) == "" {
		return
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(v)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil || dec.More() {
		p.bad(key, "that is not what Kubernetes has there, as JSON by name", `write it as {"NAME": {…}}`)
	}
}

// statistics reads which statistics the proxy keeps. What annotations and ProxyConfig both say, annotations say.
func (p *pod) statistics() statistics.Settings {
	var s statistics.Settings
	matcher := p.proxy.GetProxyStatsMatcher()
	of := map[string][]string{
		"stats-inclusion-prefix": matcher.GetInclusionPrefixes(), "stats-inclusion-suffix": matcher.GetInclusionSuffixes(), "stats-inclusion-regexp": matcher.GetInclusionRegexps(),
	}
	for _, o := range statistics.Options {
		text := p.tmpl.Annotations[o.Annotation]
		if o.Annotation != "" && text != "" {
			if err := o.Read(&s, text); err != nil {
				p.bad(o.Annotation, err.Error(), "correct it, or take it out")
			}
			continue
		}
		for _, v := range of[o.Flag] {
			if err := o.Set(&s, v); err != nil {
				p.fail("MESHC1902", "proxyStatsMatcher of the ProxyConfig: "+err.Error(), "correct it, or take it out", p.at(mesh.AnnotationProxyConfig)...)
			}
		}
	}
	if err := s.Check(); err != nil {
		p.bad("sidecar.istio.io/statsEvictionInterval", err.Error(), "correct it, or take it out")
	}
	return s
}

// override is the ConfigMap that is laid over the proxy's bootstrap; "": there is none.
func (p *pod) override() string {
	const key = "sidecar.istio.io/bootstrapOverride"
	name := p.tmpl.Annotations[key]
	if wrong := validation.IsDNS1123Subdomain(name); name != "" && len(wrong) > 0 {
		p.bad(key, "that is no name of a ConfigMap: "+wrong[0], "name a ConfigMap in the namespace of the pod, with the key "+overrideFile)
		return ""
	}
	return name
}

// without tells of annotations that somebody has written for the proxy, and that a stock Envoy has no use for.
func (p *pod) without() {
	for _, key := range slices.Sorted(maps.Keys(p.tmpl.Annotations)) {
		if why := schema.NoEffect(key); why != "" && !p.reads(key) {
			p.findings.Add(p.object.Finding(diag.Info, "MESHC1905", fmt.Sprintf("the annotation %s has no effect on the proxy that is added: %s", key, why), "leave it to the part that reads it, or remove it", p.at(key)...))
		}
	}
}

// reads tells whether injection reads an annotation that has no effect on a bundle, or writes it.
func (p *pod) reads(key string) bool {
	return key == "proxy.istio.io/overrides" || key == "istio.io/rev" || slices.ContainsFunc(intercept.Options, func(o intercept.Option) bool { return slices.Contains(o.Annotations, key) })
}

// interception reads what of the pod's traffic goes through the proxy.
func (p *pod) interception() intercept.Settings {
	s := intercept.Default()
	for _, o := range intercept.Options {
		key, text, ok := o.Of(p.tmpl.Annotations)
		if !ok {
			continue
		}
		if err := o.Set(&s, text); err != nil {
			p.bad(key, err.Error(), "correct it, or take it out")
		}
	}
	s.DNS = mesh.CapturesDNS(p.proxy)
	return s
}
