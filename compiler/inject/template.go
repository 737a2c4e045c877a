package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/meshc/meshc/compiler/endpoint"
)

// Templates that meshc has. Others are the user's own, or are refused by name.
const (
	templateSidecar = "sidecar"
	templateGateway = "gateway"
)

const annotationTemplates = "inject.istio.io/templates"

func builtin(name string) bool { return name == templateSidecar || name == templateGateway }

// unsupported says why a template of Istio's is not one of meshc's; "" if it is none of Istio's.
func unsupported(name string) string {
	switch name {
	case "grpc-simple", "grpc-agent":
		return "it prepares an application that is its own proxy, by gRPC; meshc injects Envoy"
	case "waypoint", "kube-gateway", "agentgateway", "agentgateway-waypoint", "ztunnel":
		return "it is for pods that a controller makes by itself, of a Gateway of the Gateway API or for ambient mode"
	case "spire":
		return "it mounts the socket of SPIRE's agent, which meshc does by itself where the mesh has MESHC_IDENTITY: spire"
	}
	return ""
}

// templates are those that the pod asks for, by default one for what it is.
func (p *pod) templates() ([]string, bool) {
	standard := templateSidecar
	if endpoint.Show(p.tmpl.Spec, p.tmpl.Labels, p.tmpl.Annotations).Router {
		standard = templateGateway
	}
	text, asked := p.tmpl.Annotations[annotationTemplates]
	if !asked {
		return []string{standard}, true
	}
	var names []string
	for _, name := range strings.Split(text, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	base := 0
	for _, name := range names {
		if builtin(name) {
			base++
			continue
		}
		if p.settings.Templates[name] != nil {
			continue
		}
		why := unsupported(name)
		if why == "" {
			why = "meshc has sidecar and gateway, and those that --template gives it"
		}
		p.fail("MESHC1903", fmt.Sprintf("there is no template %s for injection: %s", name, why), "take it out, or give one of that name by --template NAME=FILE", p.at(annotationTemplates)...)
		return nil, false
	}
	if base != 1 {
		p.fail("MESHC1903", fmt.Sprintf("%s names %d of the templates sidecar and gateway, and a pod has one proxy", annotationTemplates, base), "name one of the two", p.at(annotationTemplates)...)
		return nil, false
	}
	return names, true
}

// merged is a container of ours with what the user says of it laid over, as kubectl patch does it. The user's own, wherever it
// stands among the containers of the pod, gives way to it.
func (p *pod) merged(c *corev1.Container, at string) map[string]any {
	if at == "containers" {
		p.added.Containers = append(p.added.Containers, c.Name)
	} else {
		p.added.InitContainers = append(p.added.InitContainers, c.Name)
	}
	ours := plain(c)
	spec := child(p.value, "spec")
	for _, key := range []string{"initContainers", "containers"} {
		l := list(spec, key)
		i := named(l, c.Name)
		if i < 0 {
			continue
		}
		own, _ := l[i].(map[string]any)
		own = clone(own).(map[string]any)
		if key := directed(own); key != "" {
			p.fail("MESHC1904", fmt.Sprintf("the container %s has %s, which is a word of patches and no field of a container", c.Name, key), "take it out: what the container says is merged by itself", p.container(c.Name)...)
			return ours
		}
		if image, _ := own["image"].(string); image == "" || image == "auto" {
			delete(own, "image")
		}
		if !p.classic && key == "containers" {
			delete(own, "restartPolicy")
		}
		giveWay(ours, own)
		out, err := strategicpatch.StrategicMergeMapPatch(strategicpatch.JSONMap(ours), strategicpatch.JSONMap(own), corev1.Container{})
		if err != nil {
			p.fail("MESHC1904", fmt.Sprintf("the container %s cannot be merged with the one that injection adds: %v", c.Name, err), "correct its fields", p.container(c.Name)...)
			return ours
		}
		spec[key] = slices.Delete(l, i, i+1)
		return out
	}
	return ours
}

// giveWay takes out of our container what it asks for where the user's bounds it lower and does not say what it asks for: an API server
// then takes the bound, and would refuse both.
func giveWay(ours, own map[string]any) {
	var us, user corev1.Container
	if message(ours, &us) != nil || message(own, &user) != nil {
		return // the merged one cannot be read either, and says so
	}
	resources, _ := ours["resources"].(map[string]any)
	requests, _ := resources["requests"].(map[string]any)
	for name, most := range user.Resources.Limits {
		if _, said := user.Resources.Requests[name]; !said && most.Cmp(us.Resources.Requests[name]) < 0 {
			delete(requests, string(name))
		}
	}
}

// overlay lays a template of the user's over the pod.
func (p *pod) overlay(name string, t map[string]any) {
	over := map[string]any{}
	for k, v := range t {
		if k == "metadata" || k == "spec" {
			over[k] = clone(v)
		}
	}
	out, err := strategicpatch.StrategicMergeMapPatch(strategicpatch.JSONMap(clone(p.value).(map[string]any)), strategicpatch.JSONMap(over), corev1.Pod{})
	if err != nil {
		p.fail("MESHC1904", fmt.Sprintf("the template %s does not fit the pod: %v", name, err), "correct the template", p.at(annotationTemplates)...)
		return
	}
	for k := range p.value {
		delete(p.value, k)
	}
	for k, v := range out {
		p.value[k] = v
	}
}

// ReadTemplate checks that plain data is part of a Pod, without fields that a Pod has not.
func ReadTemplate(v map[string]any) error {
	if len(v) == 0 {
		return errors.New("a template has metadata and spec of a Pod, and this one is empty")
	}
	for k := range v {
		if k != "metadata" && k != "spec" && k != "apiVersion" && k != "kind" {
			return fmt.Errorf("a template has metadata and spec of a Pod, and no %s", k)
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	return dec.Decode(&corev1.Pod{})
}
