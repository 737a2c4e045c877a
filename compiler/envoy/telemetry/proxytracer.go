package telemetry

import (
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// Names of the clusters that ProxyConfig declares by address. Istio's agent writes them into the bootstrap; here they
// come with the other clusters.
const (
	ZipkinCluster  = "zipkin"
	DatadogCluster = "datadog_agent"
)

// proxyTracer is the tracer of ProxyConfig.tracing, nil where it names none that Envoy has.
func proxyTracer(p *meshconfig.ProxyConfig) *tracev3.Tracing_Http {
	switch t := p.GetTracing(); {
	case t.GetZipkin() != nil:
		return tracer("envoy.tracers.zipkin", &tracev3.ZipkinConfig{
			CollectorEndpointVersion: tracev3.ZipkinConfig_HTTP_JSON, TraceId_128Bit: true, SharedSpanContext: xds.Bool(false),
			CollectorService: httpService(t.GetZipkin().GetAddress(), "/api/v2/spans", ZipkinCluster, nil, nil),
		})
	case t.GetDatadog() != nil:
		return tracer("envoy.tracers.datadog", &tracev3.DatadogConfig{CollectorCluster: DatadogCluster, ServiceName: "envoy"})
	}
	return nil
}
