package attach

import (
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1beta1 "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/meshc/meshc/schema"
)

const root = "istio-system"

var web = map[string]string{"app": "web"}

func object(namespace, name string, spec any) *schema.Object {
	return &schema.Object{Namespace: namespace, Name: name, Spec: spec}
}

func selector(labels map[string]string) *typev1beta1.WorkloadSelector {
	if labels == nil {
		return nil
	}
	return &typev1beta1.WorkloadSelector{MatchLabels: labels}
}

func older(labels map[string]string) *networking.WorkloadSelector {
	if labels == nil {
		return nil
	}
	return &networking.WorkloadSelector{Labels: labels}
}

// TestReach: for each kind, which of the objects of the root namespace (r) and the namespace of the workload (n), without a
// selector (-) and with one that matches (w), hold for a workload elsewhere and in these namespaces.
func TestReach(t *testing.T) {
	for name, c := range map[string]struct {
		spec                  func(labels map[string]string) any
		far, nearby, rootsOwn string
	}{
		"AuthorizationPolicy":   {func(l map[string]string) any { return &security.AuthorizationPolicy{Selector: selector(l)} }, "r- rw", "r- rw n- nw", "r- rw"},
		"RequestAuthentication": {func(l map[string]string) any { return &security.RequestAuthentication{Selector: selector(l)} }, "r- rw", "r- rw n- nw", "r- rw"},
		"EnvoyFilter":           {func(l map[string]string) any { return &networking.EnvoyFilter{WorkloadSelector: older(l)} }, "r- rw", "r- rw n- nw", "r- rw"},
		"Telemetry":             {func(l map[string]string) any { return &telemetry.Telemetry{Selector: selector(l)} }, "r-", "r- n- nw", "r- rw"},
		"ProxyConfig":           {func(l map[string]string) any { return &networkingv1beta1.ProxyConfig{Selector: selector(l)} }, "r-", "r- n- nw", "r- rw"},
		"Sidecar":               {func(l map[string]string) any { return &networking.Sidecar{WorkloadSelector: older(l)} }, "r-", "r- n- nw", "r- rw"},
		"PeerAuthentication":    {func(l map[string]string) any { return &security.PeerAuthentication{Selector: selector(l)} }, "r-", "r- n- nw", "r-"},
		"DestinationRule":       {func(l map[string]string) any { return &networking.DestinationRule{WorkloadSelector: selector(l)} }, "", "nw", "rw"},
		"ServiceEntry":          {func(l map[string]string) any { return &networking.ServiceEntry{WorkloadSelector: older(l)} }, "", "nw", "rw"},
		"Gateway":               {func(l map[string]string) any { return &networking.Gateway{Selector: l} }, "r- rw n- nw", "r- rw n- nw", "r- rw n- nw"},
	} {
		list := []*schema.Object{object(root, "r-", c.spec(nil)), object(root, "rw", c.spec(web)), object(root, "ro", c.spec(map[string]string{"app": "other"})),
			object("shop", "n-", c.spec(nil)), object("shop", "nw", c.spec(web)), object("shop", "no", c.spec(map[string]string{"app": "other"}))}
		table := NewTable(root, list, func(o *schema.Object) Attachment {
			a, ok := Of(o)
			if !ok {
				t.Fatalf("%s does not attach", name)
			}
			return a
		})
		for namespace, want := range map[string]string{"far": c.far, "shop": c.nearby, root: c.rootsOwn} {
			var got []string
			for _, o := range table.For(namespace, web) {
				got = append(got, o.Name)
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("%s in %s: %q, want %q", name, namespace, s, want)
			}
		}
	}
}

// TestTargets: an object that names targets is for no workload.
func TestTargets(t *testing.T) {
	one, many := &typev1beta1.PolicyTargetReference{Kind: "Service", Name: "web"}, []*typev1beta1.PolicyTargetReference{{Kind: "Service", Name: "web"}}
	for want, spec := range map[string][]any{
		"targetRef":  {&security.AuthorizationPolicy{TargetRef: one}, &telemetry.Telemetry{TargetRef: one}},
		"targetRefs": {&security.RequestAuthentication{TargetRefs: many}, &networking.EnvoyFilter{TargetRefs: many}},
	} {
		for _, s := range spec {
			if a, _ := Of(object("shop", "x", s)); a.Targets != want || a.Reaches(root, "shop", web) {
				t.Errorf("%T: targets %q", s, a.Targets)
			}
		}
	}
}

// TestLayers: the oldest of each layer, which is the first of the list, and all that select.
func TestLayers(t *testing.T) {
	of := func(ns, name string, labels map[string]string) *schema.Object {
		return object(ns, name, &telemetry.Telemetry{Selector: selector(labels)})
	}
	list := []*schema.Object{of(root, "mesh", nil), of(root, "mesh2", nil), of("shop", "ns", nil), of("shop", "ns2", nil), of("shop", "w", web), of("shop", "w2", web), of(root, "rw", web)}
	table := NewTable(root, list, func(o *schema.Object) Attachment { a, _ := Of(o); return a })
	name := func(o *schema.Object) string {
		if o == nil {
			return "none"
		}
		return o.Name
	}
	for namespace, want := range map[string]string{"shop": "mesh ns w w w2", "far": "mesh none none", root: "mesh none rw rw"} {
		l := table.Layers(namespace, web)
		got := []string{name(l.Mesh), name(l.Namespace), name(l.First())}
		for _, o := range l.Workload {
			got = append(got, o.Name)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %q, want %q", namespace, s, want)
		}
	}
	rootOnly, own := table.Parted("shop", web)
	if len(rootOnly) != 2 || len(own) != 4 || !slices.Contains(own, list[4]) {
		t.Error(rootOnly, own)
	}
}
