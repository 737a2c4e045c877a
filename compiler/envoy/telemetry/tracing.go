package telemetry

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/resource_detectors/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// defaultSampling is the share of requests traced where nobody says otherwise, in percent.
const defaultSampling = 1.0

// TracingSpec is what the layers of Telemetry.tracing say for one side of a call, over MeshConfig and ProxyConfig.
type TracingSpec struct {
	mesh     *mesh.Mesh
	proxy    *meshconfig.ProxyConfig
	decided  bool // Telemetry or the default providers speak about tracing
	provider string
	sampling *float64
	tags     map[string]*telemetry.Tracing_CustomTag
	disabled bool
	istio    bool            // the istio.* tags
	own      bool            // sampling does not look at the request ID
	closed   bool            // the trace context is not passed on
	owner    *mesh.Telemetry // that named the provider
	index    int
}

// off tells that nothing is traced.
func (s *TracingSpec) off() bool {
	if s.decided {
		return s.disabled || s.provider == ""
	}
	return !s.mesh.Config.GetEnableTracing()
}

// Tagged tells whether spans have the istio.* tags. Where nobody says a word about tracing no span is sent, and tags would
// only make every listener larger.
func (s *TracingSpec) Tagged() bool {
	return s.istio && !s.off() && (s.decided || s.proxy.GetTracing() != nil)
}

// Tracing is what tracing sets at a connection manager. nil: no tracing.
type Tracing struct {
	hcm       *hcmv3.HttpConnectionManager_Tracing
	requestID *hcmv3.RequestIDExtension
}

// Apply sets the tracing of a connection manager.
func (t *Tracing) Apply(h *hcmv3.HttpConnectionManager) {
	if t != nil {
		h.Tracing, h.RequestIdExtension = t.hcm, t.requestID
	}
}

// TracingOf lowers Telemetry.tracing of all layers, or without any MeshConfig.enableTracing and ProxyConfig.tracing, to the
// tracing of a connection manager.
func TracingOf(spec TracingSpec, who Spans) (*Tracing, diag.List) {
	if spec.off() {
		return nil, nil
	}
	proxy := spec.proxy.GetTracing()
	out := &hcmv3.HttpConnectionManager_Tracing{
		ClientSampling: percent(100), OverallSampling: percent(100), RandomSampling: percent(proxySampling(spec.proxy)),
		NoContextPropagation: spec.closed,
	}
	if spec.Tagged() {
		out.CustomTags = who.istioTags(cmp.Or(spec.proxy.GetMeshId(), spec.mesh.TrustDomain))
	}
	if n := proxy.GetMaxPathTagLength(); n > 0 {
		out.MaxPathTagLength = xds.UInt32(n)
	}
	var length uint32
	if !spec.decided {
		out.Provider = proxyTracer(spec.proxy)
	} else if p, n, err := spec.tracer(); err != nil {
		return nil, diag.List{spec.unusable(err)}
	} else {
		out.Provider, length = p, n
	}
	if length > 0 {
		out.MaxPathTagLength = xds.UInt32(length)
	}
	if spec.sampling != nil {
		out.RandomSampling = percent(*spec.sampling)
	}
	if spec.tags != nil {
		out.CustomTags = append(out.CustomTags, telemetryTags(spec.tags)...)
	} else {
		out.CustomTags = append(out.CustomTags, proxyTags(spec.proxy)...)
	}
	all := &Tracing{hcm: out}
	if spec.own {
		all.requestID = ownSampling()
	}
	return all, nil
}

// tracer is that of the provider, with its limit for the path tag.
func (s *TracingSpec) tracer() (*tracev3.Tracing_Http, uint32, error) {
	p := xds.ExtensionProvider(s.mesh.Config, s.provider)
	if p == nil {
		return nil, 0, errors.New("it is not defined")
	}
	return traceProvider(s.mesh, p)
}

// unusable reports the provider.
func (s *TracingSpec) unusable(err error) diag.Diagnostic {
	message := fmt.Sprintf("tracing provider %q cannot be used: %v", s.provider, err)
	help := cmp.Or(xds.ProviderHint(s.mesh.Config, s.provider), "define it under MeshConfig.extensionProviders as zipkin, opentelemetry, datadog or skywalking")
	if s.owner == nil {
		return diag.Diagnostic{Code: "MESHC1565", Severity: diag.Error, Field: "defaultProviders.tracing", Message: message, Help: help}
	}
	return s.owner.Object.Finding(diag.Error, "MESHC1565", message, help, "spec", "tracing", s.index, "providers", 0, "name")
}

// MergeTracing merges the layers: the last one that says something about a field wins; customTags replace each other
// as a whole.
func MergeTracing(m *mesh.Mesh, proxy *meshconfig.ProxyConfig, layers []*mesh.Telemetry, of Side) TracingSpec {
	s := TracingSpec{mesh: m, proxy: proxy, istio: true}
	if e := proxy.GetTracing().GetEnableIstioTags(); e != nil {
		s.istio = e.GetValue()
	}
	if d := m.Config.GetDefaultProviders().GetTracing(); len(d) > 0 {
		s.provider, s.decided = d[0], true
	}
	for _, t := range layers {
		for i, e := range t.Spec.GetTracing() {
			s.decided = true
			if matchesSide(e.GetMatch().GetMode(), of) {
				s.lay(t, i, e)
			}
		}
	}
	return s
}

// lay puts one entry over those before it.
func (s *TracingSpec) lay(t *mesh.Telemetry, index int, e *telemetry.Tracing) {
	if len(e.GetProviders()) > 0 {
		s.provider, s.owner, s.index = e.GetProviders()[0].GetName(), t, index
	}
	if e.GetDisableSpanReporting() != nil {
		s.disabled = e.GetDisableSpanReporting().GetValue()
	}
	if e.GetRandomSamplingPercentage() != nil {
		v := e.GetRandomSamplingPercentage().GetValue()
		s.sampling = &v
	}
	if e.GetEnableIstioTags() != nil {
		s.istio = e.GetEnableIstioTags().GetValue()
	}
	if e.GetUseRequestIdForTraceSampling() != nil {
		s.own = !e.GetUseRequestIdForTraceSampling().GetValue()
	}
	if e.GetDisableContextPropagation() != nil {
		s.closed = e.GetDisableContextPropagation().GetValue()
	}
	if len(e.GetCustomTags()) > 0 {
		s.tags = e.GetCustomTags()
	}
}

func percent(v float64) *typev3.Percent { return &typev3.Percent{Value: v} }

// proxySampling is ProxyConfig.tracing.sampling; 0 and what is no percentage count as unset.
func proxySampling(p *meshconfig.ProxyConfig) float64 {
	if s := p.GetTracing().GetSampling(); s > 0 && s <= 100 {
		return s
	}
	return defaultSampling
}

// proxyTags lowers ProxyConfig.tracing.customTags.
func proxyTags(p *meshconfig.ProxyConfig) []*tracingv3.CustomTag {
	tags := p.GetTracing().GetCustomTags()
	var out []*tracingv3.CustomTag
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		switch t := tags[name].GetType().(type) {
		case *meshconfig.Tracing_CustomTag_Literal:
			out = append(out, literalTag(name, t.Literal.GetValue()))
		case *meshconfig.Tracing_CustomTag_Environment:
			out = append(out, environmentTag(name, t.Environment.GetName(), t.Environment.GetDefaultValue()))
		case *meshconfig.Tracing_CustomTag_Header:
			out = append(out, headerTag(name, t.Header.GetName(), t.Header.GetDefaultValue()))
		}
	}
	return out
}

// telemetryTags lowers Telemetry.tracing[].customTags.
func telemetryTags(tags map[string]*telemetry.Tracing_CustomTag) []*tracingv3.CustomTag {
	var out []*tracingv3.CustomTag
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		switch t := tags[name].GetType().(type) {
		case *telemetry.Tracing_CustomTag_Literal:
			out = append(out, literalTag(name, t.Literal.GetValue()))
		case *telemetry.Tracing_CustomTag_Environment:
			out = append(out, environmentTag(name, t.Environment.GetName(), t.Environment.GetDefaultValue()))
		case *telemetry.Tracing_CustomTag_Header:
			out = append(out, headerTag(name, t.Header.GetName(), t.Header.GetDefaultValue()))
		case *telemetry.Tracing_CustomTag_Formatter:
			out = append(out, &tracingv3.CustomTag{Tag: name, Type: &tracingv3.CustomTag_Value{Value: t.Formatter.GetValue()}})
		}
	}
	return out
}

func literalTag(name, v string) *tracingv3.CustomTag {
	return &tracingv3.CustomTag{Tag: name, Type: &tracingv3.CustomTag_Literal_{Literal: &tracingv3.CustomTag_Literal{Value: v}}}
}

func environmentTag(name, variable, otherwise string) *tracingv3.CustomTag {
	return &tracingv3.CustomTag{Tag: name, Type: &tracingv3.CustomTag_Environment_{Environment: &tracingv3.CustomTag_Environment{Name: variable, DefaultValue: otherwise}}}
}

func headerTag(name, header, otherwise string) *tracingv3.CustomTag {
	return &tracingv3.CustomTag{Tag: name, Type: &tracingv3.CustomTag_RequestHeader{RequestHeader: &tracingv3.CustomTag_Header{Name: header, DefaultValue: otherwise}}}
}

// traceProvider lowers a tracing provider of MeshConfig.extensionProviders, with its limit for the path tag.
func traceProvider(m *mesh.Mesh, p *meshconfig.MeshConfig_ExtensionProvider) (*tracev3.Tracing_Http, uint32, error) {
	switch {
	case p.GetZipkin() != nil:
		z := p.GetZipkin()
		c, err := zipkinConfig(m, z)
		return tracer("envoy.tracers.zipkin", c), z.GetMaxTagLength(), err
	case p.GetDatadog() != nil:
		d := p.GetDatadog()
		host, cluster, err := xds.ProviderCluster(m, d.GetService(), d.GetPort())
		return tracer("envoy.tracers.datadog", &tracev3.DatadogConfig{CollectorCluster: cluster, CollectorHostname: host, ServiceName: "envoy"}), d.GetMaxTagLength(), err
	case p.GetSkywalking() != nil:
		s := p.GetSkywalking()
		_, cluster, err := xds.ProviderCluster(m, s.GetService(), s.GetPort())
		if s.GetAccessToken() != "" {
			err = errors.New("accessToken is a secret, and secrets never go into a bundle")
		}
		return tracer("envoy.tracers.skywalking", &tracev3.SkyWalkingConfig{GrpcService: grpcService(cluster)}), 0, err
	case p.GetOpentelemetry() != nil:
		c, err := otelTracer(m, p.GetOpentelemetry())
		return tracer("envoy.tracers.opentelemetry", c), p.GetOpentelemetry().GetMaxTagLength(), err
	}
	return nil, 0, errors.New("stock Envoy has no tracer of this kind")
}

func tracer(name string, config proto.Message) *tracev3.Tracing_Http {
	return &tracev3.Tracing_Http{Name: name, ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: xds.Any(config)}}
}

func zipkinConfig(m *mesh.Mesh, z *meshconfig.MeshConfig_ExtensionProvider_ZipkinTracingProvider) (*tracev3.ZipkinConfig, error) {
	host, cluster, err := xds.ProviderCluster(m, z.GetService(), z.GetPort())
	if err != nil {
		return nil, err
	}
	path := or(z.GetPath(), "/api/v2/spans")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	headers, err := providerHeaders(z.GetHeaders())
	out := &tracev3.ZipkinConfig{
		CollectorEndpointVersion: tracev3.ZipkinConfig_HTTP_JSON, TraceId_128Bit: !z.GetEnable_64BitTraceId(), SharedSpanContext: xds.Bool(false),
		CollectorService: httpService(host, path, cluster, z.GetTimeout(), headers),
	}
	if z.GetTraceContextOption() == meshconfig.MeshConfig_ExtensionProvider_ZipkinTracingProvider_USE_B3_WITH_W3C_PROPAGATION {
		out.TraceContextOption = tracev3.ZipkinConfig_USE_B3_WITH_W3C_PROPAGATION
	}
	return out, err
}

func otelTracer(m *mesh.Mesh, o *meshconfig.MeshConfig_ExtensionProvider_OpenTelemetryTracingProvider) (*tracev3.OpenTelemetryConfig, error) {
	host, cluster, err := xds.ProviderCluster(m, o.GetService(), o.GetPort())
	if err != nil {
		return nil, err
	}
	if o.GetDynatraceSampler() != nil {
		return nil, errors.New("dynatraceSampler is not supported; sample with Telemetry randomSamplingPercentage")
	}
	// One configuration serves many workloads, so each proxy takes service.name from OTEL_RESOURCE_ATTRIBUTES.
	out := &tracev3.OpenTelemetryConfig{ResourceDetectors: []*corev3.TypedExtensionConfig{{
		Name: "envoy.tracers.opentelemetry.resource_detectors.environment", TypedConfig: xds.Any(&resourcev3.EnvironmentResourceDetectorConfig{})}}}
	if o.GetResourceDetectors().GetDynatrace() != nil {
		out.ResourceDetectors = append(out.ResourceDetectors, &corev3.TypedExtensionConfig{
			Name: "envoy.tracers.opentelemetry.resource_detectors.dynatrace", TypedConfig: xds.Any(&resourcev3.DynatraceResourceDetectorConfig{})})
	}
	if h := o.GetHttp(); h != nil {
		headers, err := providerHeaders(h.GetHeaders())
		path := "/" + strings.TrimPrefix(h.GetPath(), "/")
		out.HttpService = httpService(host, path, cluster, h.GetTimeout(), headers)
		return out, err
	}
	out.GrpcService = grpcService(cluster)
	out.GrpcService.Timeout = o.GetGrpc().GetTimeout()
	metadata, err := providerHeaders(o.GetGrpc().GetInitialMetadata())
	for _, h := range metadata {
		out.GrpcService.InitialMetadata = append(out.GrpcService.InitialMetadata, h.GetHeader())
	}
	return out, err
}

func httpService(host, path, cluster string, timeout *durationpb.Duration, headers []*corev3.HeaderValueOption) *corev3.HttpService {
	if timeout.AsDuration() <= 0 {
		timeout = xds.Seconds(5)
	}
	return &corev3.HttpService{RequestHeadersToAdd: headers, HttpUri: &corev3.HttpUri{
		Uri: "http://" + host + path, Timeout: timeout, HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: cluster}}}
}

// providerHeaders lowers headers of a provider. Values out of the environment of a control plane are refused: a compiler
// has none, and they are secrets as a rule.
func providerHeaders(hs []*meshconfig.MeshConfig_ExtensionProvider_HttpHeader) ([]*corev3.HeaderValueOption, error) {
	var out []*corev3.HeaderValueOption
	for _, h := range hs {
		if h.GetEnvName() != "" {
			return nil, fmt.Errorf("header %q takes its value from environment variable %s of a control plane, which a compiler has not; write value", h.GetName(), h.GetEnvName())
		}
		out = append(out, &corev3.HeaderValueOption{AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			Header: &corev3.HeaderValue{Key: h.GetName(), Value: h.GetValue()}})
	}
	return out, nil
}
