package mesh

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networkingv1beta1 "istio.io/api/networking/v1beta1"

	"github.com/meshc/meshc/compiler/settings"
	"github.com/meshc/meshc/schema"
)

// ProxyConfig is a ProxyConfig object.
type ProxyConfig struct {
	Object *schema.Object
	Spec   *networkingv1beta1.ProxyConfig
}

func (m *Mesh) linkProxyConfigs(objects []*schema.Object) {
	for _, o := range objects {
		if p, ok := o.Spec.(*networkingv1beta1.ProxyConfig); ok {
			m.ProxyConfigs = append(m.ProxyConfigs, &ProxyConfig{o, p})
		}
	}
	sortByAge(m.ProxyConfigs, func(p *ProxyConfig) *schema.Object { return p.Object })
}

// proxyLayers are the settings that a proxy takes its own from, each laid over the one before.
type proxyLayers struct {
	root, namespace, workload *ProxyConfig
	annotation                string
	interception              string // annotation sidecar.istio.io/interceptionMode
	networkView               string // of the proxy's own container, which charts of gateways set there and not by proxyMetadata
}

// proxyLayersOf picks the oldest ProxyConfig object of each layer.
func (m *Mesh) proxyLayersOf(w *Workload) proxyLayers {
	l := proxyLayers{annotation: w.Annotations[AnnotationProxyConfig], interception: w.Annotations[annotationInterception], networkView: w.networkView}
	of := m.index.proxyConfigs().Layers(w.Namespace, w.Labels)
	l.root, l.namespace, l.workload = of.Mesh, of.Namespace, of.First()
	return l
}

// proxyOutcome is what comes of layers.
type proxyOutcome struct {
	config *meshconfig.ProxyConfig
	err    error
}

// setProxyConfig gives a workload its ProxyConfig, that of the mesh with an error. Workloads with the same layers share it.
func (m *Mesh) setProxyConfig(w *Workload) error {
	var err error
	w.ProxyConfig, err = m.ProxyConfigOf(w)
	return err
}

// ProxyConfigOf is the ProxyConfig of a workload, that of the mesh with an error.
func (m *Mesh) ProxyConfigOf(w *Workload) (*meshconfig.ProxyConfig, error) {
	out := m.index.proxies.Get(m.proxyLayersOf(w))
	return out.config, out.err
}

// mergeLayers lays the ProxyConfig object of the root namespace and the one of the workload's namespace over
// MeshConfig.defaultConfig, over these the annotation proxy.istio.io/config of the pod, then the object that selects the
// workload, as Istio does, and last the variables that the pod gives its proxy's container.
func (m *Mesh) mergeLayers(l proxyLayers) proxyOutcome {
	base := m.Config.DefaultConfig
	if l == (proxyLayers{}) {
		return proxyOutcome{config: base}
	}
	c := settings.MergeProxyConfig(settings.MergeProxyConfig(base, l.root.values()), l.namespace.values())
	if l.annotation != "" {
		over := &meshconfig.ProxyConfig{}
		if err := settings.Decode(l.annotation, over); err != nil {
			return proxyOutcome{base, err}
		}
		c = settings.MergeProxyConfig(c, over)
	}
	c = settings.MergeProxyConfig(c, l.workload.values())
	if l.interception != "" {
		mode, ok := meshconfig.ProxyConfig_InboundInterceptionMode_value[l.interception]
		if !ok {
			return proxyOutcome{base, fmt.Errorf("%s is %q, which is none of REDIRECT, TPROXY and NONE", annotationInterception, l.interception)}
		}
		c = proto.Clone(c).(*meshconfig.ProxyConfig)
		c.InterceptionMode = meshconfig.ProxyConfig_InboundInterceptionMode(mode)
	}
	if l.networkView != "" {
		c = settings.MergeProxyConfig(c, &meshconfig.ProxyConfig{ProxyMetadata: map[string]string{MetadataNetworkView: l.networkView}})
	}
	return proxyOutcome{config: c}
}

// values is a ProxyConfig object as part of MeshConfig's message: its environment is proxyMetadata. The image matters
// to injection alone.
func (p *ProxyConfig) values() *meshconfig.ProxyConfig {
	if p == nil {
		return nil
	}
	return &meshconfig.ProxyConfig{Concurrency: p.Spec.Concurrency, ProxyMetadata: p.Spec.EnvironmentVariables}
}
