package mesh

import "testing"

func meshConfig(name, text string) string {
	return object("v1", "ConfigMap", "istio-system", name, "data: {mesh: \""+text+"\"}")
}

func TestMeshConfig(t *testing.T) {
	for _, c := range []struct {
		name, text string
		check      func(m *Mesh) bool
	}{
		{"nothing said", "", func(m *Mesh) bool {
			return m.RootNamespace == "istio-system" && m.TrustDomain == "cluster.local" && m.Config.ConnectTimeout.Seconds == 10 && m.Config.EnableAutoMtls.Value
		}},
		{"the root namespace", "rootNamespace: admin", func(m *Mesh) bool { return m.RootNamespace == "admin" }},
		{"an empty one is the default", "rootNamespace: ''", func(m *Mesh) bool { return m.RootNamespace == "istio-system" }},
		{"a message replaces the default's", "localityLbSetting: {failover: [{from: a, to: b}]}", func(m *Mesh) bool {
			return m.Config.LocalityLbSetting.Enabled == nil && len(m.Config.LocalityLbSetting.Failover) == 1
		}},
		{"but defaultConfig goes field by field", "defaultConfig: {statusPort: 7}", func(m *Mesh) bool {
			return m.Config.DefaultConfig.StatusPort == 7 && m.Config.DefaultConfig.ProxyAdminPort == 15000
		}},
		{"false is said", "enableAutoMtls: false", func(m *Mesh) bool { return !m.Config.EnableAutoMtls.Value }},
	} {
		t.Run(c.name, func(t *testing.T) {
			texts := []string{service("shop", "a")}
			if c.text != "" {
				texts = append(texts, meshConfig("istio", c.text))
			}
			if m, findings := link(t, texts...); !c.check(m) || len(findings) > 0 {
				t.Errorf("%v, %v", findings, m.Config)
			}
		})
	}
	if m, _ := link(t, service("shop", "a"), meshConfig("other", "rootNamespace: admin")); m.RootNamespace != "istio-system" {
		t.Error("a ConfigMap of another name counts")
	}
}

func TestSecondMeshConfig(t *testing.T) {
	m, findings := link(t, object("v1", "ConfigMap", "a", "istio", "data: {mesh: 'rootNamespace: a'}"), meshConfig("istio", "rootNamespace: one"))
	wantCodes(t, findings, "MESHC1201 ConfigMap/istio metadata.name")
	if m.RootNamespace != "one" {
		t.Error("whoever is first in the alphabet decides:", m.RootNamespace)
	}
	m, findings = link(t, object("v1", "ConfigMap", "a", "istio", "data: {mesh: 'rootNamespace: a'}"), object("v1", "ConfigMap", "b", "istio", "data: {mesh: 'rootNamespace: two'}"))
	wantCodes(t, findings, "MESHC1201 ConfigMap/istio metadata.name", "MESHC1205 ConfigMap/istio metadata.namespace")
	if m.RootNamespace != "a" || len(findings[0].Related) != 1 {
		t.Error(m.RootNamespace, findings)
	}
}

// TestProxyConfigAnnotation: a pod's own ProxyConfig lies over the mesh's, and its proxyMetadata adds to it.
func TestProxyConfigAnnotation(t *testing.T) {
	m, _ := link(t, meshConfig("istio", "defaultConfig: {statusPort: 7, proxyMetadata: {A: mesh, B: mesh}}"),
		deployment("shop", "a", "app: a", ", annotations: {proxy.istio.io/config: 'drainDuration: 9s\n\n          proxyMetadata: {B: pod}'}"))
	p := classNamed(t, m, "sidecar/shop/a").Workload().ProxyConfig
	if p.StatusPort != 7 || p.DrainDuration.Seconds != 9 || p.ProxyMetadata["A"] != "mesh" || p.ProxyMetadata["B"] != "pod" {
		t.Error(p)
	}
	if m.Config.DefaultConfig.DrainDuration.Seconds != 45 {
		t.Error("the mesh's own configuration was changed")
	}
	m, _ = link(t, deployment("shop", "a", "app: a", ", annotations: {proxy.istio.io/config: 'drainDuratoin: 9s'}"))
	_, _, findings := Classes(m)
	wantCodes(t, findings, "MESHC1250 Deployment/a spec.template.metadata.annotations.proxy.istio.io/config")
}
