package lint

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	security "istio.io/api/security/v1beta1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

// Installation looks at what a source holds of an installation of Istio: the webhooks that inject and validate, the kinds of
// the Gateway API, istiod itself. Nothing of it becomes part of a bundle, so all of it is advice.
func Installation(docs []*source.Document, objects []*schema.Object) diag.List {
	l := &installation{objects: objects}
	for _, d := range docs {
		group, _, _ := strings.Cut(d.APIVersion, "/")
		switch {
		case group == "admissionregistration.k8s.io" && d.Kind == "MutatingWebhookConfiguration":
			l.mutating(d)
		case group == "admissionregistration.k8s.io" && d.Kind == "ValidatingWebhookConfiguration":
			l.validating(d)
		case group == "apiextensions.k8s.io" && d.Kind == "CustomResourceDefinition":
			l.gatewayKind(d)
		}
	}
	l.overlappingInjectors()
	l.keysFromAnywhere()
	return l.found
}

type installation struct {
	objects   []*schema.Object
	injectors []injector
	found     diag.List
}

// injector is one webhook that injects proxies.
type injector struct {
	doc                *source.Document
	index              int
	name               string
	namespaces, pods   labels.Selector
	revisions          []string
	service, namespace string
}

func (l *installation) add(d *source.Document, sev diag.Severity, code, message, help string, path ...any) {
	l.found.Add(diag.Diagnostic{Code: code, Severity: sev, Pos: d.Pos(path...), Object: d.Ref(), Field: schema.FieldPath(path...), Message: message, Help: help})
}

// read decodes a document into a type of Kubernetes; what does not fit is none of this package's business.
func read(d *source.Document, into any) bool {
	b, err := json.Marshal(d.Value)
	return err == nil && json.Unmarshal(b, into) == nil
}

func (l *installation) mutating(d *source.Document) {
	var c admissionv1.MutatingWebhookConfiguration
	if !read(d, &c) {
		return
	}
	external := strings.HasPrefix(d.Name, "istio-sidecar-injector")
	revision, tagged := c.Labels[mesh.LabelRevision]
	istios := tagged || slices.ContainsFunc(c.Webhooks, func(w admissionv1.MutatingWebhook) bool { return strings.HasSuffix(w.Name, "istio.io") })
	for i, w := range c.Webhooks {
		if external {
			l.reach(d, i, w.Name, w.ClientConfig)
		}
		in := injector{doc: d, index: i, name: w.Name, namespaces: selector(w.NamespaceSelector), pods: selector(w.ObjectSelector), revisions: slices.Concat(revisionsOf(w.NamespaceSelector), revisionsOf(w.ObjectSelector))}
		if !istios && len(in.revisions) == 0 {
			continue
		}
		if tagged {
			in.revisions = append(in.revisions, revision)
		}
		if s := w.ClientConfig.Service; s != nil {
			in.service, in.namespace = s.Name, s.Namespace
		}
		l.injectors = append(l.injectors, in)
	}
}

func (l *installation) validating(d *source.Document) {
	var c admissionv1.ValidatingWebhookConfiguration
	if d.Name != "istiod-default-validator" && !strings.HasPrefix(d.Name, "istio-validator") || !read(d, &c) {
		return
	}
	for i, w := range c.Webhooks {
		l.reach(d, i, w.Name, w.ClientConfig)
	}
}

// reach: the API server has to find the control plane, by a Service or by a host name.
func (l *installation) reach(d *source.Document, i int, name string, c admissionv1.WebhookClientConfig) {
	path := []any{"webhooks", i, "clientConfig", "url"}
	if c.URL == nil {
		if c.Service == nil {
			l.add(d, diag.Warning, "IST0163", fmt.Sprintf("the webhook %s names neither a service nor a url: the API server cannot call it", name), "Name the Service of istiod, or the url of an external control plane.", path...)
		}
		return
	}
	u, err := url.Parse(*c.URL)
	if err != nil {
		l.add(d, diag.Warning, "IST0163", fmt.Sprintf("the url of the webhook %s is none: %v", name, err), "Write https://HOST:PORT/PATH.", path...)
		return
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		l.add(d, diag.Info, "IST0164", fmt.Sprintf("the webhook %s reaches the control plane by the address %s, which may change", name, u.Hostname()), "Use a host name.", path...)
	}
}

func selector(s *metav1.LabelSelector) labels.Selector {
	if s == nil {
		return labels.Everything()
	}
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return out
}

func revisionsOf(s *metav1.LabelSelector) []string {
	if s == nil {
		return nil
	}
	var out []string
	if r, ok := s.MatchLabels[mesh.LabelRevision]; ok {
		out = append(out, r)
	}
	for _, e := range s.MatchExpressions {
		if e.Key == mesh.LabelRevision {
			out = append(out, e.Values...)
		}
	}
	return out
}

// overlappingInjectors: a pod is to be injected once, by a control plane that is there.
func (l *installation) overlappingInjectors() {
	if len(l.injectors) == 0 {
		return
	}
	overlaps := map[int]map[int]bool{}
	namespaces, pods := l.kindsOf(mesh.LabelInjection, "enabled", "disabled"), l.kindsOf(mesh.LabelInject, "true", "false")
	for _, ns := range namespaces {
		for _, pod := range pods {
			var both []int
			for i, in := range l.injectors {
				if in.namespaces.Matches(ns) && in.pods.Matches(pod) {
					both = append(both, i)
				}
			}
			for _, i := range both {
				for _, j := range both {
					if i != j {
						if overlaps[i] == nil {
							overlaps[i] = map[int]bool{}
						}
						overlaps[i][j] = true
					}
				}
			}
		}
	}
	for i, in := range l.injectors {
		var others []string
		for j, other := range l.injectors {
			if overlaps[i][j] {
				others = append(others, other.doc.Name+"/"+other.name)
			}
		}
		if len(others) > 0 {
			l.add(in.doc, diag.Warning, "IST0139", fmt.Sprintf("the webhook %s takes pods that %s takes, too: they would be injected twice", in.name, strings.Join(others, " and ")), "Narrow the selectors of one of them.", "webhooks", in.index, "namespaceSelector")
		}
		if in.service != "" && l.lacks(in.namespace, in.service) {
			l.add(in.doc, diag.Warning, "IST0139", fmt.Sprintf("the webhook %s calls the Service %s/%s, which does not exist: no pod would be injected", in.name, in.namespace, in.service), "Correct the name.", "webhooks", in.index, "clientConfig", "service", "name")
		}
	}
}

// kindsOf are the label sets that injection may tell apart: without a label and with each value, and each with each revision.
func (l *installation) kindsOf(label string, values ...string) []labels.Set {
	var revisions []string
	for _, in := range l.injectors {
		revisions = append(revisions, in.revisions...)
	}
	slices.Sort(revisions)
	out := []labels.Set{{}}
	for _, v := range values {
		out = append(out, labels.Set{label: v})
	}
	for _, base := range slices.Clone(out) {
		for _, r := range slices.Compact(revisions) {
			set := labels.Set{mesh.LabelRevision: r}
			for k, v := range base {
				set[k] = v
			}
			out = append(out, set)
		}
	}
	return out
}

// lacks tells whether the source holds Services of a namespace, and not this one.
func (l *installation) lacks(namespace, name string) bool {
	some := false
	for _, o := range l.objects {
		if _, ok := o.Spec.(*corev1.Service); ok && o.Namespace == namespace {
			if o.Name == name {
				return false
			}
			some = true
		}
	}
	return some
}

// gatewayKind: kinds of the Gateway API that are older than Istio reads are passed over.
func (l *installation) gatewayKind(d *source.Document) {
	least, ok := map[string][2]int{"grpcroutes": {1, 1}, "backendtlspolicies": {1, 4}, "tlsroutes": {1, 5}, "tcproutes": {1, 6}}[strings.TrimSuffix(d.Name, ".gateway.networking.k8s.io")]
	meta, _ := d.Value["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	const key = "gateway.networking.k8s.io/bundle-version"
	version, _ := annotations[key].(string)
	if !ok || !strings.HasSuffix(d.Name, ".gateway.networking.k8s.io") || version == "" {
		return
	}
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err == nil && err2 == nil && (major < least[0] || major == least[0] && minor < least[1]) {
		l.add(d, diag.Warning, "IST0176", fmt.Sprintf("%s is of version %s of the Gateway API, and Istio passes over objects of this kind before %d.%d.0", d.Name, version, least[0], least[1]), "Install newer definitions.", "metadata", "annotations", key)
	}
}

// keysFromAnywhere: istiod fetches the keys of tokens from whatever URL a RequestAuthentication names, unless it is told
// which addresses not to call.
func (l *installation) keysFromAnywhere() {
	tokens := slices.ContainsFunc(l.objects, func(o *schema.Object) bool { _, ok := o.Spec.(*security.RequestAuthentication); return ok })
	for _, o := range l.objects {
		d, ok := o.Spec.(*appsv1.Deployment)
		if !ok || !tokens || o.Labels["app"] != "istiod" {
			continue
		}
		limited := slices.ContainsFunc(d.Spec.Template.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "BLOCKED_CIDRS_IN_JWKS_URIS" && e.Value != "" })
		})
		if !limited {
			l.found.Add(o.Finding(diag.Warning, "IST0175", "istiod fetches the keys of tokens from any address that a RequestAuthentication names, those of the cluster among them", "Set BLOCKED_CIDRS_IN_JWKS_URIS in its environment.", "spec", "template", "spec", "containers"))
		}
	}
}
