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

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/suggest"
	"github.com/meshc/meshc/schema"
)

// claims reports several objects of one kind that claim one workload, or a whole namespace; one of them counts.
func (l *linter) claims(list []attach.Attachment, kind, several, whole string) {
	byNamespace := map[string][]attach.Attachment{}
	for _, s := range list {
		byNamespace[s.Object.Namespace] = append(byNamespace[s.Object.Namespace], s)
	}
	for _, ns := range sorted(byNamespace) {
		var all []*schema.Object
		for _, s := range byNamespace[ns] {
			if !s.Selects {
				all = append(all, s.Object)
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
				if s.Selects && l.reaches(s, w) {
					by = append(by, s.Object)
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
func (l *linter) nobody(list []attach.Attachment) {
	for _, s := range list {
		ns := s.Object.Namespace
		switch {
		case len(l.m.Workloads) == 0, s.Idle(l.m.RootNamespace), len(l.reached(s)) > 0, l.ofGateway(s.Labels), defaultGateway(s.Labels):
		case s.Selects:
			where := "of namespace " + ns + " "
			if s.Namespace(l.m.RootNamespace) == "" {
				where = ""
			}
			l.add(s.Object, diag.Warning, "IST0101", "no workload "+where+"in the source has the labels of the selector ("+text(s.Labels)+")",
				"Correct the labels, or add the workload.", s.Path()...)
		case protects(s.Object) && ns != l.m.RootNamespace && l.namespaces[ns] == nil && !l.offers(ns):
			l.add(s.Object, diag.Warning, "IST0101", "nothing of the source is in namespace "+ns+": this object reaches no workload", "Correct the namespace, or add the workloads.", "metadata", "namespace")
		}
	}
}

// protects tells whether an object without effect leaves something open that was meant to be shut.
func protects(o *schema.Object) bool {
	return o.Kind == "PeerAuthentication" || o.Kind == "RequestAuthentication"
}

// ofGateway tells whether a selector picks the proxies of a Gateway, which are often installed by somebody else.
func (l *linter) ofGateway(selector map[string]string) bool {
	return len(selector) > 0 && slices.ContainsFunc(l.m.Gateways, func(g *mesh.Gateway) bool { return endpoint.Subset(selector, g.Spec.GetSelector()) })
}

// offers tells whether a namespace has a Service or a ServiceEntry.
func (l *linter) offers(namespace string) bool {
	return slices.ContainsFunc(l.m.Services, func(s *mesh.Service) bool { return s.Namespace == namespace })
}

// attached: whatever else is for workloads reaches some.
func (l *linter) attached() {
	var list []attach.Attachment
	for _, o := range l.objects {
		a, ok := attach.Of(o)
		if !ok {
			continue
		}
		switch o.Spec.(type) {
		case *security.PeerAuthentication, *security.RequestAuthentication, *networking.EnvoyFilter, *extensions.WasmPlugin, *networkingbeta.ProxyConfig:
			list = append(list, a)
		case *networking.ServiceEntry:
			if len(a.Labels) > 0 {
				list = append(list, a)
			}
		}
	}
	l.nobody(list)
}

func (l *linter) sidecars() {
	var list []attach.Attachment
	for _, s := range l.m.Sidecars {
		a := attachmentOf(s.Object)
		list = append(list, a)
		ambient := false
		if n := l.namespaces[s.Object.Namespace]; n != nil { // a label for injection beside it wins
			ambient = n.Labels[labelDataplane] == "ambient" && n.Labels[mesh.LabelInjection] == "" && n.Labels[mesh.LabelRevision] == ""
		}
		for _, w := range l.declared(s.Object.Namespace) {
			ambient = ambient || a.Selects && l.reaches(a, w) && w.Labels[labelDataplane] == "ambient"
		}
		if ambient {
			l.add(s.Object, diag.Warning, "IST0167", "a Sidecar has no effect on workloads in ambient mode", "Remove it, or the label "+labelDataplane+".", "spec")
		}
	}
	l.claims(list, "Sidecar", "IST0110", "IST0111")
	l.nobody(list)
}

func (l *linter) telemetries() {
	var list []attach.Attachment
	for _, t := range l.m.Telemetries {
		if a := attachmentOf(t.Object); a.Targets == "" {
			list = append(list, a)
		}
	}
	l.claims(list, "Telemetry", "IST0159", "IST0160")
	l.nobody(list)
}

// authorizationPolicies: a policy protects somebody, and names namespaces that are there.
func (l *linter) authorizationPolicies() {
	for _, p := range l.m.AuthorizationPolicies {
		a := attachmentOf(p.Object)
		if a.Targets != "" {
			continue
		}
		if len(l.m.Workloads) > 0 && len(l.reached(a)) == 0 {
			l.add(p.Object, diag.Warning, "IST0127", "this policy protects no workload of the source: none is in namespace "+p.Object.Namespace+withLabels(a.Labels),
				"Correct selector or namespace, or add the workload.", "spec")
		}
		if len(l.namespaces) == 0 {
			continue
		}
		for i, r := range p.Spec.GetRules() {
			for j, w := range r.GetWhen() {
				if w.GetKey() == "source.namespace" {
					l.sourceNamespaces(p.Object, w.GetValues(), "spec", "rules", i, "when", j, "values")
					l.sourceNamespaces(p.Object, w.GetNotValues(), "spec", "rules", i, "when", j, "notValues")
				}
			}
			for j, f := range r.GetFrom() {
				l.sourceNamespaces(p.Object, f.GetSource().GetNamespaces(), "spec", "rules", i, "from", j, "source", "namespaces")
				l.sourceNamespaces(p.Object, f.GetSource().GetNotNamespaces(), "spec", "rules", i, "from", j, "source", "notNamespaces")
			}
		}
	}
}

func withLabels(selector map[string]string) string {
	if len(selector) == 0 {
		return ""
	}
	return " with the labels " + text(selector)
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
			l.add(o, diag.Warning, "IST0101", "no namespace of the source is called "+pattern+": the condition is about nobody", cmp.Or(suggest.Ask(suggest.Parts(pattern, "/", slices.Collect(maps.Keys(l.m.Namespaces)))), "Correct the name, or add the Namespace."), append(slices.Clone(path), k)...)
		}
	}
}

const labelGatewayName = "gateway.networking.k8s.io/gateway-name"

// kubernetesGateways: proxies of Gateway API gateways take policies by targetRefs only.
func (l *linter) kubernetesGateways() {
	for _, o := range l.objects {
		switch o.Spec.(type) {
		case *security.AuthorizationPolicy, *security.RequestAuthentication, *telemetry.Telemetry, *extensions.WasmPlugin:
		default:
			continue
		}
		a := attachmentOf(o)
		if !a.Selects {
			continue
		}
		for _, w := range l.declared(o.Namespace) {
			if name := w.Labels[labelGatewayName]; name != "" && l.reaches(a, w) {
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
