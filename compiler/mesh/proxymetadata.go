package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/settings"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Entries of proxyMetadata whose values say how listeners and clusters are made. They are texts, in which Istio reads switches
// (pilot/pkg/model, StringBool) and a duration of Go.
const (
	MetadataDNSCapture     = "ISTIO_META_DNS_CAPTURE"
	metadataInboundBalance = "ISTIO_META_INBOUND_LISTENER_EXACT_BALANCE"
	metadataAllBalance     = "ISTIO_META_OUTBOUND_LISTENER_EXACT_BALANCE"
	metadataHTTP10         = "ISTIO_META_HTTP10"
	metadataIdleTimeout    = "ISTIO_META_IDLE_TIMEOUT"
)

// on tells whether a switch of proxyMetadata is on.
func on(p *meshconfig.ProxyConfig, key string) bool {
	is, err := strconv.ParseBool(p.GetProxyMetadata()[key])
	return err == nil && is
}

// CapturesDNS tells whether proxies under a ProxyConfig answer the name look-ups of their application. Only then can a client
// come to call an allocated address.
func CapturesDNS(p *meshconfig.ProxyConfig) bool { return on(p, MetadataDNSCapture) }

// BalancesInbound and BalancesOutbound tell whether connections are spread evenly over the worker threads of Envoy.
func BalancesInbound(p *meshconfig.ProxyConfig) bool { return on(p, metadataInboundBalance) }

// BalancesOutbound is for the listener that applications call through.
func BalancesOutbound(p *meshconfig.ProxyConfig) bool { return on(p, metadataAllBalance) }

// TakesHTTP10 tells whether requests of HTTP/1.0 are answered.
func TakesHTTP10(p *meshconfig.ProxyConfig) bool { return p.GetProxyMetadata()[metadataHTTP10] == "1" }

// IdleTimeout is how long a connection may be idle, where proxyMetadata says so.
func IdleTimeout(p *meshconfig.ProxyConfig) (time.Duration, bool) {
	d, err := time.ParseDuration(p.GetProxyMetadata()[metadataIdleTimeout])
	return d, err == nil && d >= 0
}

// badMetadata says what an entry of proxyMetadata cannot be read as, and what to write; "" where it can, or is not read. Istio
// refuses a proxy with a switch that is neither on nor off, and goes on without the rest.
func badMetadata(key, value string) (wants, help string, severity diag.Severity) {
	if value == "" {
		return "", "", diag.Warning
	}
	switch key {
	case MetadataDNSCapture, metadataInboundBalance, metadataAllBalance:
		if _, err := strconv.ParseBool(value); err != nil {
			return "neither true nor false", `write "true" or "false"`, diag.Error
		}
	case metadataHTTP10:
		if value != "0" && value != "1" {
			return "neither 1 nor 0, so that requests of HTTP/1.0 are refused", `write "1" to answer them, or remove it`, diag.Warning
		}
	case metadataIdleTimeout:
		if d, err := time.ParseDuration(value); err != nil || d < 0 {
			return "no duration, so that it has no effect", "write one such as 90s or 1h30m; 0s is none", diag.Warning
		}
	}
	return "", "", diag.Warning
}

// checkMetadata reports entries of proxyMetadata that cannot be read; at is where one of them is written.
func checkMetadata(o *schema.Object, values map[string]string, at func(key string) []any) (out diag.List) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if wants, help, severity := badMetadata(key, values[key]); wants != "" {
			out.Add(o.Finding(severity, "MESHC1252", fmt.Sprintf("%s is %q: %s", key, values[key], wants), help, at(key)...))
		}
	}
	return out
}

// checkMeshMetadata looks at defaultConfig of the mesh.
func checkMeshMetadata(o *schema.Object, c *meshconfig.MeshConfig) diag.List {
	return checkMetadata(o, c.GetDefaultConfig().GetProxyMetadata(), func(string) []any { return []any{"data", schema.MeshKey} })
}

// checkProxyMetadata looks at the ProxyConfig objects, and at the annotations of workloads that were declared.
func (m *Mesh) checkProxyMetadata() (out diag.List) {
	for _, p := range m.ProxyConfigs {
		out.Add(checkMetadata(p.Object, p.Spec.GetEnvironmentVariables(), func(key string) []any { return []any{"spec", "environmentVariables", key} })...)
	}
	for _, w := range m.Workloads {
		text := w.Annotations[AnnotationProxyConfig]
		if own := (&meshconfig.ProxyConfig{}); w.Object != nil && strings.Contains(text, "ISTIO_META_") && settings.Decode(text, own) == nil {
			out.Add(checkMetadata(w.Object, own.GetProxyMetadata(), func(string) []any { return w.AnnotationPath(AnnotationProxyConfig) })...)
		}
	}
	return out
}
