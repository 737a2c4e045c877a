package inject

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meshc/meshc/compiler/mesh"
)

// verify holds the pod with its proxy to what an API server asks of pods, as far as it can be broken by what annotations, containers
// and templates of the user have put into the containers of injection: what it would refuse is refused here, with its place.
func (p *pod) verify() {
	var spec corev1.PodSpec
	if err := message(p.value["spec"], &spec); err != nil {
		p.fail("MESHC1904", "the pod with its proxy cannot be read: "+err.Error(), "correct the fields that are merged with it", p.tmpl.At("spec")...)
		return
	}
	if spec.HostNetwork {
		p.fail("MESHC1904", "a template puts the pod on the network of its node, and the rules that send connections to the proxy would be those of the node", "take hostNetwork out of the template", p.at(annotationTemplates)...)
		return
	}
	volumes := p.claims()
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
	}
	seen := map[string]bool{}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if seen[c.Name] {
			p.fail("MESHC1904", "the pod would have two containers "+c.Name, "leave one of them; what a template says of the proxy stands where the proxy is: in initContainers, unless it is no native sidecar", p.container(c.Name)...)
		}
		seen[c.Name] = true
		if slices.Contains(p.added.InitContainers, c.Name) || slices.Contains(p.added.Containers, c.Name) {
			p.verifyContainer(&c, volumes)
		}
	}
}

// claims are the volumes that a StatefulSet gives its pods.
func (p *pod) claims() map[string]bool {
	out := map[string]bool{}
	spec, _ := p.whole["spec"].(map[string]any)
	for _, e := range list(spec, "volumeClaimTemplates") {
		claim, _ := e.(map[string]any)
		meta, _ := claim["metadata"].(map[string]any)
		if name, ok := meta["name"].(string); ok {
			out[name] = true
		}
	}
	return out
}

func (p *pod) verifyContainer(c *corev1.Container, volumes map[string]bool) {
	refuse := func(format string, args ...any) {
		p.fail("MESHC1904", fmt.Sprintf("the container %s %s", c.Name, fmt.Sprintf(format, args...)), "correct the annotations of the pod, the ProxyConfig or the template that say so", p.container(c.Name)...)
	}
	paths := map[string]bool{}
	for _, m := range c.VolumeMounts {
		switch {
		case !volumes[m.Name]:
			refuse("mounts the volume %s, which the pod does not have", m.Name)
		case paths[m.MountPath]:
			refuse("has two volumes at %s", m.MountPath)
		}
		paths[m.MountPath] = true
	}
	for _, e := range c.Env {
		if wrong := validation.IsRelaxedEnvVarName(e.Name); len(wrong) > 0 {
			refuse("has the variable %q: %s", e.Name, wrong[0])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Resources.Requests)) {
		wants := c.Resources.Requests[name]
		if most, bounded := c.Resources.Limits[name]; bounded && wants.Cmp(most) > 0 {
			refuse("asks for %s of %s, and may use no more than %s", wants.String(), name, most.String())
		}
	}
}

// directed finds a key of kubectl's patches, such as $patch, in plain data; "" if there is none. What merges data must not take orders
// from it.
func directed(v any) string {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if found := directed(v[k]); strings.HasPrefix(k, "$") || found != "" {
				return cmp.Or(found, k)
			}
		}
	case []any:
		for _, e := range v {
			if found := directed(e); found != "" {
				return found
			}
		}
	}
	return ""
}

// checkConfig refuses values of the ProxyConfig that have its type and cannot be.
func (p *pod) checkConfig() {
	refuse := func(what string) {
		p.fail("MESHC1902", "the ProxyConfig of the pod has "+what, "correct it in the annotation, the ProxyConfig or MeshConfig", p.at(mesh.AnnotationProxyConfig)...)
	}
	if n := p.proxy.GetConcurrency().GetValue(); n < 0 {
		refuse(fmt.Sprintf("the concurrency %d, and there are no fewer workers than none", n))
	}
	for name, d := range map[string]*durationpb.Duration{"drainDuration": p.proxy.GetDrainDuration(), "terminationDrainDuration": p.proxy.GetTerminationDrainDuration()} {
		if d.AsDuration() < 0 {
			refuse(fmt.Sprintf("the %s %s, which is no time that can pass", name, d.AsDuration()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.proxy.GetProxyMetadata())) {
		if rest := strings.TrimPrefix(name, nodeMetadata); rest == "" || strings.Contains(rest, "=") {
			refuse(fmt.Sprintf("an entry %q of proxyMetadata, which is the name of no variable", name))
		}
	}
}

// seconds are those of a duration, of which a part counts as one.
func seconds(d *durationpb.Duration) int64 { return int64(math.Ceil(d.AsDuration().Seconds())) }

// checkAddress tells why a text is no HOST:PORT.
func checkAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%q is no HOST:PORT", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is no HOST:PORT: the port is a number from 1 to 65535", text)
	}
	return nil
}
