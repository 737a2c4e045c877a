package lint

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1beta1 "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// injection: who gets a proxy is what was meant.
func (l *linter) injection() {
	for _, o := range l.objects {
		if _, ok := o.Spec.(*corev1.Namespace); ok {
			l.namespaceInjection(o)
		} else if pods := o.Pods(); pods != nil {
			l.podInjection(o, pods)
		}
	}
	l.missingProxies()
	l.keptOffByInjector()
	if !l.nobodyHasAProxy() {
		l.namespacesWithoutProxy()
	}
}

// noWord reports a label or an annotation that does not do what it was written for.
func (l *linter) noWord(o *schema.Object, message, help string, path ...any) {
	l.add(o, diag.Warning, "MESHC1227", message, help, path...)
}

// namespaceInjection: the label of a namespace has two values, and the one of pods does nothing there.
func (l *linter) namespaceInjection(o *schema.Object) {
	at := func(label string) []any { return []any{"metadata", "labels", label} }
	if v, ok := o.Labels[mesh.LabelInjection]; ok && v != "enabled" && v != "disabled" {
		l.noWord(o, fmt.Sprintf("%s is %q, which Istio does not know: no pod of the namespace gets a proxy, not even one that asks for it", mesh.LabelInjection, v), "Write enabled or disabled.", at(mesh.LabelInjection)...)
	}
	if v, ok := o.Labels[mesh.LabelRevision]; ok && v == "" {
		l.noWord(o, mesh.LabelRevision+" is empty: no pod of the namespace gets a proxy", "Write the revision, as default.", at(mesh.LabelRevision)...)
	}
	for field, set := range map[string]map[string]string{"labels": o.Labels, "annotations": o.Annotations} {
		for _, k := range []string{mesh.LabelInject, mesh.LabelInjection} {
			if _, ok := set[k]; ok && (field == "annotations" || k == mesh.LabelInject) {
				l.noWord(o, fmt.Sprintf("%s among the %s of a Namespace means nothing: pods get no proxy by it", k, field), "Label the Namespace "+mesh.LabelInjection+": enabled, or the pods.", "metadata", field, k)
			}
		}
	}
}

// podInjection: what pods say of injection has two values, stands at the pods, and is asked for.
func (l *linter) podInjection(o *schema.Object, pods *schema.Pods) {
	label, labelled := pods.Labels[mesh.LabelInject]
	word, annotated := pods.Annotations[mesh.LabelInject]
	for field, v := range map[string]string{"labels": label, "annotations": word} {
		if v != "" && v != "true" && v != "false" {
			l.noWord(o, fmt.Sprintf("%s is %q, which Istio does not know: these pods get no proxy", mesh.LabelInject, v), `Write "true" or "false".`, pods.At("metadata", field, mesh.LabelInject)...)
		}
	}
	if v, ok := pods.Labels[mesh.LabelInjection]; ok && !labelled {
		l.noWord(o, fmt.Sprintf("%s: %s is a label of namespaces and means nothing at pods", mesh.LabelInjection, v), fmt.Sprintf("Label the pods %s: \"true\" or \"false\".", mesh.LabelInject), pods.At("metadata", "labels", mesh.LabelInjection)...)
	}
	if o.Kind != "Pod" && !labelled && !annotated {
		if v, ok := o.Labels[mesh.LabelInject]; ok {
			l.noWord(o, fmt.Sprintf("%s: %q is a label of the %s and not of its pods, so it means nothing", mesh.LabelInject, v, o.Kind), "Move it to "+schema.FieldPath(pods.At("metadata", "labels")...)+".", "metadata", "labels", mesh.LabelInject)
		}
	}
	for _, w := range l.byObject[o][:min(1, len(l.byObject[o]))] {
		l.unheard(w, pods)
	}
}

// unheard: pods that ask for a proxy where nobody listens.
func (l *linter) unheard(w *mesh.Workload, pods *schema.Pods) {
	if l.proxied(w) || w.Observed || pods.Spec.HostNetwork {
		return
	}
	ns := l.m.Namespaces[w.Namespace]
	switch {
	case pods.Labels[mesh.LabelInject] == "true" && w.Injection == mesh.NotInjected && ns.Labels[mesh.LabelInjection] == "disabled":
		l.noWord(w.Object, mesh.LabelInject+`: "true" is not heard: the namespace is labelled `+mesh.LabelInjection+": disabled, and that counts for all its pods", "Take the label from the Namespace: pods without one of their own get no proxy then either.",
			pods.At("metadata", "labels", mesh.LabelInject)...)
	case pods.Annotations[mesh.LabelInject] == "true" && pods.Labels[mesh.LabelInject] == "" && w.Injection == mesh.NotAsked && l.namespaces[w.Namespace] != nil:
		l.noWord(w.Object, "the annotation "+mesh.LabelInject+`: "true" is not heard: injection is asked for by labels, and neither these pods nor their namespace have one`, "Make it a label of the pods.",
			pods.At("metadata", "annotations", mesh.LabelInject)...)
	}
}

// missingProxies: Pods of a cluster that ought to have got a proxy.
func (l *linter) missingProxies() {
	for _, w := range l.m.Workloads {
		if k, ok := w.Object.Spec.(*corev1.Pod); ok && w.Observed && w.Injection == mesh.Injected && !l.proxied(w) && k.Status.Phase != corev1.PodSucceeded && k.Status.Phase != corev1.PodFailed {
			l.add(w.Object, diag.Warning, "IST0103", "this Pod runs without a proxy, although its labels or those of its namespace ask for one: calls to it go in plain text, and no policy is enforced there",
				"Restart it, so that it is injected, or label it "+mesh.LabelInject+`: "false".`, "metadata", "name")
		}
	}
}

// keptOffByInjector: workloads in an injected namespace that the injector's own configuration leaves out.
func (l *linter) keptOffByInjector() {
	by := map[*schema.Object][]*mesh.Workload{}
	var order []*schema.Object
	for _, w := range l.m.Workloads {
		if o := w.KeptOff; o != nil && !w.Observed && !l.proxied(w) {
			if by[o] == nil {
				order = append(order, o)
			}
			by[o] = append(by[o], w)
		}
	}
	for _, o := range order {
		l.add(o, diag.Warning, "MESHC1228", fmt.Sprintf("this configuration of the injector keeps the proxy off %s, which labels ask for: calls there go in plain text, and no policy is enforced", workloadNames(by[o])),
			"Label the pods "+mesh.LabelInject+`: "false" to say so where they are, or correct policy and selectors here.`, "data", "config")
	}
}

func workloadNames(list []*mesh.Workload) string {
	const most = 3
	var out []string
	for _, w := range list {
		if n := w.Namespace + "/" + w.Name; !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	if len(out) > most {
		return strings.Join(out[:most], ", ") + fmt.Sprintf(" and %d more", len(out)-most)
	}
	return strings.Join(out, ", ")
}

// nobodyHasAProxy tells that no workload has one, and reports it where configuration counts on sidecars: a bundle for nobody.
func (l *linter) nobodyHasAProxy() bool {
	list := l.m.Workloads
	if len(list) == 0 || slices.ContainsFunc(list, l.proxied) {
		return false
	}
	about := l.forSidecars()
	if about == nil {
		return true
	}
	o, why := list[0].Object, "the Namespaces, which could ask for one, are not in the source"
	help := "Add them with the label " + mesh.LabelInjection + ": enabled, or label the pods " + mesh.LabelInject + `: "true".`
	if ns := l.namespaces[list[0].Namespace]; ns != nil {
		o, why, help = ns, "nothing asks for one", "Label the Namespace "+mesh.LabelInjection+": enabled, or the pods "+mesh.LabelInject+`: "true".`
	}
	d := o.Finding(diag.Warning, "IST0103", fmt.Sprintf("no workload of the source has a proxy (%s), and %s: calls between them go in plain text and past what %s says", workloadNames(list), why, about.Ref()), help, "metadata", "name")
	d.Related = []diag.Related{{Pos: about.Pos("metadata", "name"), Object: about.Ref(), Message: "counts on proxies"}}
	l.found.Add(d)
	return true
}

// forSidecars returns the first object that says something to sidecars of the workloads in the source; nil: there is none.
func (l *linter) forSidecars() *schema.Object {
	for _, v := range l.m.VirtualServices {
		if slices.Contains(v.Spec.Gateways, "mesh") {
			return v.Object
		}
	}
	for _, o := range l.objects {
		_, rule := o.Spec.(*networking.DestinationRule)
		if (rule || forOwnProxies(o.Spec)) && (o.Namespace == l.m.RootNamespace || len(l.declared(o.Namespace)) > 0) {
			return o
		}
	}
	return nil
}

// namespacesWithoutProxy: namespaces that nothing injects, with configuration for the proxies in them.
func (l *linter) namespacesWithoutProxy() {
	for _, name := range sorted(l.namespaces) {
		list := l.declared(name)
		if _, labelled := l.namespaces[name].Labels[mesh.LabelInjection]; labelled || len(list) == 0 || slices.ContainsFunc(list, l.proxied) {
			continue
		}
		var about []*schema.Object
		for _, o := range l.objects {
			if o.Namespace == name && name != l.m.RootNamespace && forOwnProxies(o.Spec) {
				about = append(about, o)
			}
		}
		if len(about) == 0 {
			continue
		}
		d := l.namespaces[name].Finding(diag.Warning, "IST0102", fmt.Sprintf("nothing asks for proxies in this namespace, and it holds configuration for them (%s): none of its workloads (%s) has one", about[0].Ref(), workloadNames(list)),
			"Label it "+mesh.LabelInjection+": enabled, or the pods "+mesh.LabelInject+`: "true".`, "metadata", "name")
		for _, o := range about {
			d.Related = append(d.Related, diag.Related{Pos: o.Pos("metadata", "name"), Object: o.Ref(), Message: "without effect"})
		}
		l.found.Add(d)
	}
}

// forOwnProxies tells whether objects of a kind are about the proxies of their own namespace.
func forOwnProxies(spec any) bool {
	switch spec.(type) {
	case *networking.Sidecar, *networking.EnvoyFilter, *networkingv1beta1.ProxyConfig, *telemetry.Telemetry,
		*security.PeerAuthentication, *security.AuthorizationPolicy, *security.RequestAuthentication:
		return true
	}
	return false
}
