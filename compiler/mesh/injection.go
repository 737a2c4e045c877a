package mesh

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Labels, and an annotation, that ask for injection or keep it off.
const (
	LabelInject    = "sidecar.istio.io/inject" // of a pod; as an annotation it is looked at where injection is asked for
	LabelInjection = "istio-injection"         // of a namespace
	LabelRevision  = "istio.io/rev"            // of either
)

// Values of the labels.
const (
	injectionEnabled = "enabled"
	injectTrue       = "true"
)

// Injection is what the source says of a pod that is to come.
type Injection int

// The outcomes of injection.
const (
	NotAsked    Injection = iota // nothing asks for a proxy
	NotInjected                  // something keeps the proxy off
	Injected
)

// injector is the configuration of the sidecar injector of one revision. The zero value is what Istio installs.
type injector struct {
	object        *schema.Object // nil: not in the source
	off           bool           // policy disabled: only pods that ask for it, or that always selects, get a proxy
	never, always []labels.Selector
	everywhere    bool // namespaces without a label count as enabled
}

// injectorConfig is the key config of the injector's ConfigMap, as far as it says who gets a proxy.
type injectorConfig struct {
	Policy string                 `json:"policy"`
	Never  []metav1.LabelSelector `json:"neverInjectSelector"`
	Always []metav1.LabelSelector `json:"alwaysInjectSelector"`
}

// injectorValues is its key values, likewise.
type injectorValues struct {
	Webhook struct {
		Everywhere bool `json:"enableNamespacesByDefault"`
	} `json:"sidecarInjectorWebhook"`
}

// injectorName is the ConfigMap of the default revision; those of others have the revision behind a dash.
const injectorName = "istio-sidecar-injector"

// linkInjectors reads the injectors' ConfigMaps of the root namespace, by revision.
func (m *Mesh) linkInjectors(objects []*schema.Object) diag.List {
	var findings diag.List
	m.index.injectors = map[string]*injector{}
	for _, o := range objects {
		cm, ok := o.Spec.(*corev1.ConfigMap)
		rest, named := strings.CutPrefix(o.Name, injectorName)
		revision, other := strings.CutPrefix(rest, "-")
		if !ok || !named || rest != "" && !other || o.Namespace != m.RootNamespace {
			continue
		}
		in := &injector{object: o}
		if err := in.read(cm); err != nil {
			findings.Add(o.Finding(diag.Warning, "MESHC1208", "the configuration of the injector cannot be read: "+err.Error()+"; who gets a proxy is taken from labels alone",
				"compare it with the ConfigMap that Istio installs", "data", "config"))
			continue
		}
		m.index.injectors[revision] = in
	}
	return findings
}

func (in *injector) read(cm *corev1.ConfigMap) error {
	var c injectorConfig
	if err := yaml.Unmarshal([]byte(cm.Data["config"]), &c); err != nil {
		return err
	}
	var v injectorValues
	if err := yaml.Unmarshal([]byte(cm.Data["values"]), &v); err != nil {
		return err
	}
	in.off, in.everywhere = c.Policy != "" && c.Policy != injectionEnabled, v.Webhook.Everywhere
	var err error
	if in.never, err = readSelectors(c.Never); err != nil {
		return err
	}
	in.always, err = readSelectors(c.Always)
	return err
}

// readSelectors leaves out empty ones, which the injector passes over.
func readSelectors(list []metav1.LabelSelector) (out []labels.Selector, err error) {
	for i := range list {
		s, err := metav1.LabelSelectorAsSelector(&list[i])
		if err != nil {
			return nil, err
		}
		if !s.Empty() {
			out = append(out, s)
		}
	}
	return out, nil
}

// injectorOf returns the injector of a revision: its own, else the default one.
func (m *Mesh) injectorOf(revision string) *injector {
	if in := m.index.injectors[revision]; in != nil {
		return in
	}
	if in := m.index.injectors[""]; in != nil {
		return in
	}
	return &injector{}
}

// injection tells what the sidecar injector would do with a pod, and which configuration keeps a proxy off that labels ask
// for. First the webhooks decide, by labels alone: istio-injection of the namespace, else its revision, else the pod's own
// labels. Then the injector itself looks at the pod.
func (m *Mesh) injection(namespace string, pod *schema.Pods) (Injection, *schema.Object) {
	asked, revision := m.webhook(namespace, pod.Labels)
	if asked != Injected {
		return asked, nil
	}
	return m.Admit(namespace, revision, pod)
}

// Admit tells what the injector of a revision does with a pod that is shown to it: the pod's label or else its annotation
// decides, then the selectors, then the policy.
func (m *Mesh) Admit(namespace, revision string, pod *schema.Pods) (Injection, *schema.Object) {
	in, set := m.injectorOf(revision), labels.Set(pod.Labels)
	word, _ := InjectionWord(pod)
	switch {
	case pod.Spec.HostNetwork || neverInjected(namespace):
		return NotInjected, nil
	case word == injectTrue:
		return Injected, nil
	case word != "":
		return NotInjected, nil
	case matchesAny(in.never, set):
		return NotInjected, in.object
	case in.off && !matchesAny(in.always, set):
		return NotInjected, in.object
	}
	return Injected, nil
}

// InjectionWord is what a pod says about its injection: the label, else the annotation. "" says nothing.
func InjectionWord(pod *schema.Pods) (word string, said bool) {
	word, said = pod.Labels[LabelInject]
	if !said {
		word = pod.Annotations[LabelInject]
	}
	return word, word != ""
}

// neverInjected tells whether the injector never acts in a namespace.
func neverInjected(namespace string) bool {
	switch namespace {
	case "kube-system", "kube-public", "kube-node-lease", "local-path-storage":
		return true
	}
	return false
}

func matchesAny(list []labels.Selector, set labels.Set) bool {
	for _, s := range list {
		if s.Matches(set) {
			return true
		}
	}
	return false
}

// webhook tells whether pods with the labels are shown to an injector, and to that of which revision.
func (m *Mesh) webhook(namespace string, pod map[string]string) (Injection, string) {
	var ns map[string]string
	if n := m.Namespaces[namespace]; n != nil {
		ns = n.Labels
	}
	injection, labelled := ns[LabelInjection]
	revision, revised := ns[LabelRevision]
	word, own := pod[LabelInject], pod[LabelRevision]
	switch {
	case word == "false":
		return NotInjected, ""
	case injection == injectionEnabled:
		return Injected, ""
	case labelled:
		return NotInjected, "" // disabled, or a value that no webhook knows; what pods ask for does not count then
	case revision != "":
		return Injected, revision
	case revised:
		return NotInjected, ""
	case own != "":
		return Injected, own
	case word == injectTrue, word == "" && m.injectorOf("").everywhere:
		return Injected, ""
	}
	return NotAsked, ""
}

// HasProxy tells whether a workload has a proxy: a sidecar, or one that is a gateway by its pods, or because configuration
// is all there is of it. One that a Gateway selects without any of these has one as well: see ServesGateway.
func (w *Workload) HasProxy() bool { return w.Injected || w.Router || w.Implied }
