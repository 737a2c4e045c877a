// Package settings reads the settings of a mesh, Istio's MeshConfig and MeshNetworks, from the one ConfigMap that is in force,
// and lays one ProxyConfig over another.
//
// The input may have several such ConfigMaps, of revisions or by mistake: schema.MeshConfigMaps says which go before which,
// and the first counts. What it sets replaces the default field by field; only defaultConfig is merged.
package settings

import (
	"strings"

	"github.com/golang/protobuf/jsonpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Default returns MeshConfig as Istio starts from: see istio.io/docs/reference/config/istio.mesh.v1alpha1.
func Default() *meshconfig.MeshConfig {
	return &meshconfig.MeshConfig{
		RootNamespace:                  "istio-system",
		TrustDomain:                    "cluster.local",
		EnableAutoMtls:                 wrapperspb.Bool(true),
		ConnectTimeout:                 durationpb.New(10e9),
		DnsRefreshRate:                 durationpb.New(60e9),
		ProtocolDetectionTimeout:       durationpb.New(0),
		AccessLogEncoding:              meshconfig.MeshConfig_TEXT,
		EnableTracing:                  true,
		OutboundTrafficPolicy:          &meshconfig.MeshConfig_OutboundTrafficPolicy{Mode: meshconfig.MeshConfig_OutboundTrafficPolicy_ALLOW_ANY},
		LocalityLbSetting:              &networking.LocalityLoadBalancerSetting{Enabled: wrapperspb.Bool(true)},
		IngressService:                 "istio-ingressgateway",
		IngressClass:                   "istio",
		IngressControllerMode:          meshconfig.MeshConfig_STRICT,
		DefaultServiceExportTo:         []string{"*"},
		DefaultVirtualServiceExportTo:  []string{"*"},
		DefaultDestinationRuleExportTo: []string{"*"},
		DefaultConfig: &meshconfig.ProxyConfig{
			ConfigPath:             "./etc/istio/proxy",
			ProxyAdminPort:         15000,
			StatusPort:             15020,
			ControlPlaneAuthPolicy: meshconfig.AuthenticationPolicy_MUTUAL_TLS,
			DrainDuration:          durationpb.New(45e9),
		},
	}
}

// Decode reads YAML into a message, refusing unknown fields and accepting the durations that Istio documents.
func Decode(text string, into proto.Message) error {
	j, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return err
	}
	return (&jsonpb.Unmarshaler{}).Unmarshal(strings.NewReader(string(j)), into.(interface {
		Reset()
		String() string
		ProtoMessage()
	}))
}

// Read reads the ConfigMap with the settings of the mesh: key mesh over the defaults, key meshNetworks. A field that the
// map sets replaces the default's whole sub-message, except defaultConfig, which is laid over field by field. The object is
// the ConfigMap, nil where there is none.
func Read(objects []*schema.Object) (*meshconfig.MeshConfig, *meshconfig.MeshNetworks, *schema.Object, diag.List) {
	cfg, networks := Default(), &meshconfig.MeshNetworks{}
	from, findings := inForce(objects)
	if from == nil {
		return cfg, networks, nil, findings
	}
	cm := from.Spec.(*corev1.ConfigMap)
	read := &meshconfig.MeshConfig{}
	if text := cm.Data[schema.MeshKey]; text != "" {
		if err := Decode(text, read); err != nil {
			findings.Add(from.Finding(diag.Error, codeUnreadable, "the mesh configuration cannot be read: "+err.Error(), "compare the field with the MeshConfig reference", "data", schema.MeshKey))
		} else {
			overlayConfig(cfg, read, topLevelKeys(text))
		}
	}
	if text := cm.Data[schema.NetworksKey]; text != "" {
		if err := Decode(text, networks); err != nil {
			findings.Add(from.Finding(diag.Error, codeUnreadable, "meshNetworks cannot be read: "+err.Error(), "compare the field with the MeshNetworks reference", "data", schema.NetworksKey))
		}
	}
	if from.Namespace != schema.SystemNamespace {
		findings.Add(from.Finding(diag.Error, codeOutside, "the mesh configuration lies in namespace "+from.Namespace+": whoever writes there decides for the whole mesh",
			"move it to "+schema.SystemNamespace+", or rename the ConfigMap if it is not meant; where the control plane was installed in "+from.Namespace+", lower the severity of this finding", "metadata", "namespace"))
	}
	return cfg, networks, from, findings
}

// overlayConfig replaces each top-level field that over sets; defaultConfig goes by MergeProxyConfig.
// A field of a plain type that is written out counts even where its value is the one it has when absent.
func overlayConfig(base, over *meshconfig.MeshConfig, written map[string]bool) {
	def := MergeProxyConfig(base.DefaultConfig, over.DefaultConfig)
	b, o := base.ProtoReflect(), over.ProtoReflect()
	fields := o.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		plain := !f.HasPresence() && !f.IsList() && !f.IsMap()
		if o.Has(f) || plain && (written[f.JSONName()] || written[string(f.Name())]) {
			b.Set(f, o.Get(f))
		}
	}
	base.DefaultConfig = def
}

// topLevelKeys are the fields that the YAML of a message names.
func topLevelKeys(text string) map[string]bool {
	var fields map[string]any
	out := map[string]bool{}
	if yaml.Unmarshal([]byte(text), &fields) == nil {
		for k, v := range fields {
			out[k] = v != nil
		}
	}
	return out
}

// MergeProxyConfig lays one ProxyConfig over another as Istio does: a field that is set replaces the whole field below,
// except proxyMetadata, whose keys add up, and the older fields of proxyHeaders, which are kept one by one.
func MergeProxyConfig(base, over *meshconfig.ProxyConfig) *meshconfig.ProxyConfig {
	if over == nil {
		return base
	}
	out := proto.Clone(base).(*meshconfig.ProxyConfig)
	metadata := map[string]string{}
	for k, v := range base.GetProxyMetadata() {
		metadata[k] = v
	}
	for k, v := range over.GetProxyMetadata() {
		metadata[k] = v
	}
	b, o := out.ProtoReflect(), over.ProtoReflect()
	fields := o.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); o.Has(f) {
			b.Set(f, o.Get(f))
		}
	}
	if len(metadata) > 0 {
		out.ProxyMetadata = metadata
	}
	if over.ProxyHeaders != nil {
		out.ProxyHeaders = mergeProxyHeaders(base.GetProxyHeaders(), over.ProxyHeaders)
	}
	return out
}

func mergeProxyHeaders(base, over *meshconfig.ProxyConfig_ProxyHeaders) *meshconfig.ProxyConfig_ProxyHeaders {
	out := proto.Clone(over).(*meshconfig.ProxyConfig_ProxyHeaders)
	if out.ForwardedClientCert == meshconfig.ForwardClientCertDetails_UNDEFINED {
		out.ForwardedClientCert = base.GetForwardedClientCert()
	}
	if out.RequestId == nil {
		out.RequestId = base.GetRequestId()
	}
	if out.AttemptCount == nil {
		out.AttemptCount = base.GetAttemptCount()
	}
	if out.Server == nil {
		out.Server = base.GetServer()
	}
	if out.EnvoyDebugHeaders == nil {
		out.EnvoyDebugHeaders = base.GetEnvoyDebugHeaders()
	}
	return out
}
