package mesh

import (
	"slices"
	"testing"
)

func namespace(name, labels string) string {
	return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {" + labels + "}}\n"
}

func hostsOf(m *Mesh) (out []string) {
	for _, s := range m.Services {
		out = append(out, s.Namespace)
	}
	slices.Sort(out)
	return out
}

// TestDiscoverySelectors: namespaces that no selector takes are left out with all in them, the mesh configuration never.
func TestDiscoverySelectors(t *testing.T) {
	objects := []string{namespace("a", "team: x"), namespace("b", "team: z"), service("a", "web"), service("b", "web"), service("c", "web")}
	for _, c := range []struct {
		selectors string
		want      []string
		codes     []string
	}{
		{"[]", []string{"a", "b", "c"}, nil},
		{"[{matchLabels: {team: x}}]", []string{"a"}, []string{"MESHC1203 Service/web metadata.namespace", "MESHC1203 Service/web metadata.namespace"}},
		{"[{matchLabels: {team: x}}, {matchLabels: {kubernetes.io/metadata.name: c}}]", []string{"a", "c"}, []string{"MESHC1203 Service/web metadata.namespace"}},
		{"[{matchExpressions: [{key: team, operator: NotIn, values: [x]}]}]", []string{"b", "c"}, []string{"MESHC1203 Service/web metadata.namespace"}},
		{"[{matchExpressions: [{key: team, operator: Is, values: [x]}]}]", nil, []string{"MESHC1202 ConfigMap/istio data.mesh", "MESHC1203 Service/web metadata.namespace", "MESHC1203 Service/web metadata.namespace", "MESHC1203 Service/web metadata.namespace"}},
	} {
		m, findings := link(t, append(slices.Clone(objects), meshConfig("istio", "discoverySelectors: "+c.selectors))...)
		if got := hostsOf(m); !slices.Equal(got, c.want) {
			t.Errorf("%s takes %v, want %v", c.selectors, got, c.want)
		}
		wantCodes(t, findings, c.codes...)
	}
}

// TestServiceEntryVisibility: the first policy that takes the namespace narrows who sees the entry, and none widens it.
func TestServiceEntryVisibility(t *testing.T) {
	for _, c := range []struct {
		config, exportTo  string
		own, other, third bool
	}{
		{"{defaultVisibility: NONE}", "['*']", true, true, true},
		{"{applyToSidecars: true}", "['*']", true, true, true},
		{"{applyToSidecars: true, defaultVisibility: NONE}", "['*']", false, false, false},
		{"{applyToSidecars: true, defaultVisibility: NAMESPACE}", "['*']", true, false, false},
		{"{applyToSidecars: true, defaultVisibility: NAMESPACE}", "[other]", false, false, false},
		{"{applyToSidecars: true, defaultVisibility: PUBLIC}", "[other]", false, true, false},
		{"{applyToSidecars: true, defaultVisibility: NONE, policies: [{visibility: NAMESPACE, matchingRules: [{namespaceSelector: {matchLabels: {team: x}}}]}]}", "['*']", true, false, false},
		{"{applyToSidecars: true, defaultVisibility: NONE, policies: [{visibility: PUBLIC, matchingRules: [{}]}, {visibility: NAMESPACE}]}", "['*']", true, false, false},
	} {
		m, _ := link(t, namespace("a", "team: x"), meshConfig("istio", "serviceEntryVisibility: "+c.config),
			istio("ServiceEntry", "a", "ext", "{hosts: [ext.example.com], exportTo: "+c.exportTo+", ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}"))
		v := m.Services[0].Visibility
		if v.In("a") != c.own || v.In("other") != c.other || v.In("third") != c.third {
			t.Errorf("%s with exportTo %s: own %v, other %v, third %v", c.config, c.exportTo, v.In("a"), v.In("other"), v.In("third"))
		}
	}
}

// TestWrittenFalse: what the mesh configuration writes out counts, also where it is the value of an absent field.
func TestWrittenFalse(t *testing.T) {
	for config, want := range map[string]bool{"connectTimeout: 1s": true, "enableTracing: false": false, "enable_tracing: false": false, "enableTracing: true": true} {
		if m, _ := link(t, meshConfig("istio", config)); m.Config.EnableTracing != want {
			t.Errorf("%s: enableTracing is %v", config, m.Config.EnableTracing)
		}
	}
}
