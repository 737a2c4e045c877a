package mesh

import (
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networkingv1beta1 "istio.io/api/networking/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/meshc/meshc/compiler/settings"
	"github.com/meshc/meshc/schema"
)

func proxyObject(namespace, value string, labels map[string]string) *ProxyConfig {
	p := &ProxyConfig{Object: &schema.Object{Namespace: namespace}, Spec: &networkingv1beta1.ProxyConfig{EnvironmentVariables: map[string]string{"WHO": value, value: "set"}}}
	if labels != nil {
		p.Spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: labels}
	}
	p.Object.Spec = p.Spec
	return p
}

func TestProxyConfigLayers(t *testing.T) {
	m := &Mesh{RootNamespace: "istio-system", Config: settings.Default()}
	m.index = newIndex(m)
	m.Config.DefaultConfig.ProxyMetadata = map[string]string{"WHO": "mesh", "mesh": "set"}
	m.ProxyConfigs = []*ProxyConfig{
		proxyObject("istio-system", "root", nil), proxyObject("istio-system", "late", nil),
		proxyObject("app", "namespace", nil), proxyObject("app", "workload", map[string]string{"app": "web"}), proxyObject("other", "elsewhere", nil),
	}
	annotated := map[string]string{AnnotationProxyConfig: "proxyMetadata: {WHO: pod, pod: set}"}
	for _, c := range []struct {
		w    Workload
		who  string
		have []string
	}{
		{Workload{Namespace: "third"}, "root", []string{"mesh", "root"}},
		{Workload{Namespace: "app"}, "namespace", []string{"mesh", "root", "namespace"}},
		{Workload{Namespace: "app", Annotations: annotated}, "pod", []string{"mesh", "root", "namespace", "pod"}},
		{Workload{Namespace: "app", Annotations: annotated, Labels: map[string]string{"app": "web"}}, "workload", []string{"mesh", "root", "namespace", "pod", "workload"}},
	} {
		if err := m.setProxyConfig(&c.w); err != nil {
			t.Fatal(err)
		}
		got := c.w.ProxyConfig.ProxyMetadata
		if got["WHO"] != c.who || len(got) != len(c.have)+1 {
			t.Errorf("%s %v: %v", c.w.Namespace, c.w.Labels, got)
		}
		for _, k := range c.have {
			if got[k] != "set" {
				t.Errorf("%s: %s is missing", c.w.Namespace, k)
			}
		}
		again := c.w
		if _ = m.setProxyConfig(&again); again.ProxyConfig != c.w.ProxyConfig {
			t.Error("equal layers do not share the outcome")
		}
	}
	if m.Config.DefaultConfig.ProxyMetadata["WHO"] != "mesh" {
		t.Error("the mesh's own settings were changed")
	}
}

func TestMergeProxyHeaders(t *testing.T) {
	base := &meshconfig.ProxyConfig{ProxyHeaders: &meshconfig.ProxyConfig_ProxyHeaders{
		ForwardedClientCert: meshconfig.ForwardClientCertDetails_SANITIZE,
		Server:              &meshconfig.ProxyConfig_ProxyHeaders_Server{Value: "mine"},
	}}
	over := &meshconfig.ProxyConfig{ProxyHeaders: &meshconfig.ProxyConfig_ProxyHeaders{
		AttemptCount: &meshconfig.ProxyConfig_ProxyHeaders_AttemptCount{Disabled: wrapperspb.Bool(true)},
	}}
	got := settings.MergeProxyConfig(base, over).ProxyHeaders
	if got.Server.GetValue() != "mine" || got.ForwardedClientCert != meshconfig.ForwardClientCertDetails_SANITIZE || !got.AttemptCount.GetDisabled().GetValue() {
		t.Errorf("%v", got)
	}
}
