package lint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	extensions "istio.io/api/extensions/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	networkingbeta "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/near"
	"github.com/meshc/meshc/schema"
)

// selected is an object that has, or has not, a selector of workloads.
type selected struct {
	object   *schema.Object
	selector map[string]string
	path     []any // of the selector
}

// claims reports several objects of one kind that claim one workload, or a whole namespace; one of them counts.
func (l *linter) claims(list []selected, kind, several, whole string) {
	byNamespace := map[string][]selected{}
	for _, s := range list {
		byNamespace[s.object.Namespace] = append(byNamespace[s.object.Namespace], s)
	}
	for _, ns := range sorted(byNamespace) {
		var all []*schema.Object
		for _, s := range byNamespace[ns] {
			if len(s.selector) == 0 {
				all = append(all, s.object)
			}
		}
		if len(all) > 1 {
			l.conflict(all, diag.Error, whole, fmt.Sprintf("%d objects of kind %s without a selector are in namespace %s, and one of them counts: %s", len(all), kind, ns, objectNames(all)),
				"Merge them, or add selectors.", "metadata", "name")
		}
		reported := map[string]bool{}
		for _, w := range l.declared(ns) {
			var by []*schema.Object
			for _, s := range byNamespace[ns] {
				if len(s.selector) > 0 && selects(s.selector, w.Labels) {
					by = append(by, s.object)
				}
			}
			if who := objectNames(by); len(by) > 1 && !reported[who] {
				reported[who] = true
				l.conflict(by, diag.Error, several, fmt.Sprintf("%s select workload %s/%s, and one of them counts", who, w.Namespace, w.Name), "Merge them, or let their selectors exclude each other.", "metadata", "name")
			}
		}
	}
}

// nobody reports objects that reach no workload of the source: by their labels, or since nothing runs in their namespace.
func (l *linter) nobody(list []selected) {
	for _, s := range list {
		ns := s.object.Namespace
		switch {
		case len(l.m.Workloads) == 0, l.matches(ns, s.selector), l.ofGateway(s.selector), defaultGateway(s.selector):
		case len(s.selector) > 0:
			where := "of namespace " + ns + " "
			if ns == l.m.RootNamespace {
				where = ""
			}
			l.add(s.object, diag.Warning, "IST0101", "no workload "+where+"in the source has the labels of the selector ("+text(s.selector)+")",
				"Correct the labels, or add the workload.", s.path...)
		case protects(s.object) && ns != l.m.RootNamespace && l.namespaces[ns] == nil && !l.offers(ns):
			l.add(s.object, diag.Warning, "IST0101", "nothing of the source is in namespace "+ns+": this object reaches no workload", "Correct the namespace, or add the workloads.", "metadata", "namespace")
		}
	}
}

// protects tells whether an object without effect leaves something open that was meant to be shut.
func protects(o *schema.Object) bool {
	return o.Kind == "PeerAuthentication" || o.Kind == "RequestAuthentication"
}

// ofGateway tells whether a selector picks the proxies of a Gateway, which are often installed by somebody else.
func (l *linter) ofGateway(selector map[string]string) bool {
	return len(selector) > 0 && slices.ContainsFunc(l.m.Gateways, func(g *mesh.Gateway) bool { return selects(selector, g.Spec.GetSelector()) })
}

// offers tells whether a namespace has a Service or a ServiceEntry.
func (l *linter) offers(namespace string) bool {
	return slices.ContainsFunc(l.m.Services, func(s *mesh.Service) bool { return s.Namespace == namespace })
}

// matches tells whether a selector picks a workload of a namespace, or for objects of the root namespace of any.
func (l *linter) matches(namespace string, selector map[string]string) bool {
	list := l.declared(namespace)
	if namespace == l.m.RootNamespace {
		list = l.m.Workloads
	}
	return slices.ContainsFunc(list, func(w *mesh.Workload) bool { return selects(selector, w.Labels) })
}

// attached: whatever else is for workloads reaches some.
func (l *linter) attached() {
	var list []selected
	add := func(o *schema.Object, labels map[string]string, path ...any) {
		list = append(list, selected{o, labels, path})
	}
	for _, o := range l.objects {
		if t, ok := o.Spec.(targeted); ok && (t.GetTargetRef() != nil || len(t.GetTargetRefs()) > 0) {
			continue
		}
		switch s := o.Spec.(type) {
		case *security.PeerAuthentication:
			if o.Namespace != l.m.RootNamespace { // MESHC1224
				add(o, s.GetSelector().GetMatchLabels(), "spec", "selector")
			}
		case *security.RequestAuthentication:
			add(o, s.GetSelector().GetMatchLabels(), "spec", "selector")
		case *networking.EnvoyFilter:
			if len(s.GetTargetRefs()) == 0 {
				add(o, s.GetWorkloadSelector().GetLabels(), "spec", "workloadSelector")
			}
		case *extensions.WasmPlugin:
			add(o, s.GetSelector().GetMatchLabels(), "spec", "selector")
		case *networkingbeta.ProxyConfig:
			add(o, s.GetSelector().GetMatchLabels(), "spec", "selector")
		case *networking.ServiceEntry:
			if labels := s.GetWorkloadSelector().GetLabels(); len(labels) > 0 {
				add(o, labels, "spec", "workloadSelector")
			}
		}
	}
	l.nobody(list)
}

func (l *linter) sidecars() {
	var list []selected
	for _, s := range l.m.Sidecars {
		sel := s.Spec.GetWorkloadSelector().GetLabels()
		list = append(list, selected{s.Object, sel, []any{"spec", "workloadSelector"}})
		ambient := false
		if n := l.namespaces[s.Object.Namespace]; n != nil { // a label for injection beside it wins
			ambient = n.Labels[labelDataplane] == "ambient" && n.Labels[mesh.LabelInjection] == "" && n.Labels[mesh.LabelRevision] == ""
		}
		for _, w := range l.declared(s.Object.Namespace) {
			ambient = ambient || len(sel) > 0 && selects(sel, w.Labels) && w.Labels[labelDataplane] == "ambient"
		}
		if ambient {
			l.add(s.Object, diag.Warning, "IST0167", "a Sidecar has no effect on workloads in ambient mode", "Remove it, or the label "+labelDataplane+".", "spec")
		}
	}
	l.claims(list, "Sidecar", "IST0110", "IST0111")
	l.nobody(list)
}

func (l *linter) telemetries() {
	var list []selected
	for _, o := range l.objects {
		if t, ok := o.Spec.(*telemetry.Telemetry); ok && len(t.GetTargetRefs()) == 0 && t.GetTargetRef() == nil {
			list = append(list, selected{o, t.GetSelector().GetMatchLabels(), []any{"spec", "selector"}})
		}
	}
	l.claims(list, "Telemetry", "IST0159", "IST0160")
	l.nobody(list)
}

// authorizationPolicies: a policy protects somebody, and names namespaces that are there.
func (l *linter) authorizationPolicies() {
	for _, p := range l.m.AuthorizationPolicies {
		if len(p.Spec.GetTargetRefs()) > 0 || p.Spec.GetTargetRef() != nil {
			continue
		}
		sel := p.Spec.GetSelector().GetMatchLabels()
		if len(l.m.Workloads) > 0 && !l.reachesSome(p.Object.Namespace, sel) {
			l.add(p.Object, diag.Warning, "IST0127", "this policy protects no workload of the source: none is in namespace "+p.Object.Namespace+" with the labels "+text(sel),
				"Correct selector or namespace, or add the workload.", "spec")
		}
		if len(l.namespaces) == 0 {
			continue
		}
		for i, r := range p.Spec.GetRules() {
			for j, f := range r.GetFrom() {
				l.sourceNamespaces(p.Object, f.GetSource().GetNamespaces(), "spec", "rules", i, "from", j, "source", "namespaces")
				l.sourceNamespaces(p.Object, f.GetSource().GetNotNamespaces(), "spec", "rules", i, "from", j, "source", "notNamespaces")
			}
		}
	}
}

func (l *linter) reachesSome(namespace string, selector map[string]string) bool {
	for _, w := range l.m.Workloads {
		if (w.Namespace == namespace || namespace == l.m.RootNamespace) && selects(selector, w.Labels) {
			return true
		}
	}
	return namespace == l.m.RootNamespace && len(selector) == 0
}

func (l *linter) sourceNamespaces(o *schema.Object, list []string, path ...any) {
	for k, pattern := range list {
		found := false
		for ns := range l.m.Namespaces {
			found = found || pattern == "*" || pattern == ns ||
				strings.HasSuffix(pattern, "*") && strings.HasPrefix(ns, strings.TrimSuffix(pattern, "*")) ||
				strings.HasPrefix(pattern, "*") && strings.HasSuffix(ns, strings.TrimPrefix(pattern, "*"))
		}
		if !found {
			l.add(o, diag.Warning, "IST0101", "no namespace of the source is called "+pattern+": the condition is about nobody", cmp.Or(near.Ask(near.Parts(pattern, "/", slices.Collect(maps.Keys(l.m.Namespaces)))), "Correct the name, or add the Namespace."), append(slices.Clone(path), k)...)
		}
	}
}

// targeted is a policy that may name what it is for.
type targeted interface {
	GetTargetRef() *typev1beta1.PolicyTargetReference
	GetTargetRefs() []*typev1beta1.PolicyTargetReference
}

const labelGatewayName = "gateway.networking.k8s.io/gateway-name"

// kubernetesGateways: proxies of Gateway API gateways take policies by targetRefs only.
func (l *linter) kubernetesGateways() {
	for _, o := range l.objects {
		var sel map[string]string
		switch s := o.Spec.(type) {
		case *security.AuthorizationPolicy:
			sel = s.GetSelector().GetMatchLabels()
		case *security.RequestAuthentication:
			sel = s.GetSelector().GetMatchLabels()
		case *telemetry.Telemetry:
			sel = s.GetSelector().GetMatchLabels()
		case *extensions.WasmPlugin:
			sel = s.GetSelector().GetMatchLabels()
		}
		if t, ok := o.Spec.(targeted); len(sel) == 0 || ok && (t.GetTargetRef() != nil || len(t.GetTargetRefs()) > 0) {
			continue
		}
		for _, w := range l.declared(o.Namespace) {
			if name := w.Labels[labelGatewayName]; name != "" && selects(sel, w.Labels) {
				l.add(o, diag.Warning, "IST0166", "the selector picks the proxy of the Gateway API gateway "+name+", which takes no policies by selector", "Use targetRefs with the controller that serves the gateway.", "spec", "selector")
				break
			}
		}
	}
}

// envoyFilters: patches that depend on what others left, and ones that are ignored.
func (l *linter) envoyFilters() {
	for _, o := range l.objects {
		f, ok := o.Spec.(*networking.EnvoyFilter)
		if !ok {
			continue
		}
		for i, c := range f.GetConfigPatches() {
			op, at := c.GetPatch().GetOperation(), c.GetApplyTo()
			path := []any{"spec", "configPatches", i, "patch", "operation"}
			route := at == networking.EnvoyFilter_ROUTE_CONFIGURATION || at == networking.EnvoyFilter_HTTP_ROUTE
			relative := op == networking.EnvoyFilter_Patch_INSERT_BEFORE || op == networking.EnvoyFilter_Patch_INSERT_AFTER
			switch {
			case op == networking.EnvoyFilter_Patch_REPLACE && !replaceable(at):
				l.add(o, diag.Error, "IST0152", "REPLACE does nothing to "+at.String()+": it is for filters and virtual hosts", "Use MERGE, or REMOVE and ADD.", path...)
			case op == networking.EnvoyFilter_Patch_REPLACE:
				relative = true
			case op == networking.EnvoyFilter_Patch_ADD && at == networking.EnvoyFilter_ROUTE_CONFIGURATION:
				l.add(o, diag.Error, "IST0153", "ADD does nothing to "+at.String(), "Use MERGE.", path...)
			case op == networking.EnvoyFilter_Patch_REMOVE && route:
				l.add(o, diag.Error, "IST0154", "REMOVE does nothing to "+at.String(), "Remove the virtual host, or change the VirtualService.", path...)
			}
			if !relative || f.GetPriority() != 0 {
				continue
			}
			l.add(o, diag.Warning, "IST0151", op.String()+" without a priority depends on the order in which EnvoyFilters come", "Set priority, or use INSERT_FIRST or ADD.", path...)
			if c.GetMatch().GetProxy().GetProxyVersion() != "" {
				l.add(o, diag.Warning, "IST0155", op.String()+" without a priority and for one proxyVersion stops being applied at an upgrade", "Set priority, or leave proxyVersion out.", path...)
			}
		}
	}
}

func replaceable(at networking.EnvoyFilter_ApplyTo) bool {
	switch at {
	case networking.EnvoyFilter_HTTP_FILTER, networking.EnvoyFilter_NETWORK_FILTER, networking.EnvoyFilter_LISTENER_FILTER, networking.EnvoyFilter_VIRTUAL_HOST:
		return true
	}
	return false
}
