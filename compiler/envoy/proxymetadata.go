package envoy

import (
	"slices"
	"strings"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// codeProxyMetadata is reported for a key of proxyMetadata that Istio's listeners and clusters follow and these do not.
const codeProxyMetadata = "MESHC1455"

// unreadMetadata says why a key of ProxyConfig.proxyMetadata has no effect; "" for a key that has, or is no business of
// the data plane. severe tells whether something is left open that was meant to be shut.
func unreadMetadata(key string) (why string, severe bool) {
	name, ok := strings.CutPrefix(key, "ISTIO_META_")
	switch {
	case !ok:
		return "", false
	case strings.HasPrefix(name, "TLS_CLIENT_"), strings.HasPrefix(name, "TLS_SERVER_"):
		return "proxies show the identity, and trust the roots, that the server hands out as the secrets default and ROOTCA, not files of their own", true
	case name == "ENABLE_SELF_DISCOVERY":
		return "the bootstrap of a proxy names the cluster of its peers", false
	case name == "GLOBAL_DOWNSTREAM_MAX_CONNECTIONS":
		return "the bootstrap of a proxy limits its connections", false
	}
	return "", false
}

// metadataFindings reports keys of proxyMetadata without effect, once for the mesh and once for each workload whose own
// ProxyConfig adds them.
func metadataFindings(m *mesh.Mesh) diag.List {
	var out diag.List
	base := m.Config.GetDefaultConfig()
	finding := func(key string) (diag.Diagnostic, bool) {
		why, severe := unreadMetadata(key)
		d := diag.Diagnostic{Code: codeProxyMetadata, Severity: diag.Warning, Field: "mesh: defaultConfig.proxyMetadata." + key,
			Message: "proxyMetadata " + key + " has no effect: " + why, Help: "remove it"}
		if severe {
			d.Severity, d.Help = diag.Error, "give the files to the server, which serves them as secrets, and remove it"
		}
		return d, why != ""
	}
	for key := range base.GetProxyMetadata() {
		if d, ok := finding(key); ok {
			out.Add(d)
		}
	}
	var seen []*meshconfig.ProxyConfig
	for _, w := range m.Workloads {
		if w.ProxyConfig == base || w.Object == nil || slices.Contains(seen, w.ProxyConfig) {
			continue
		}
		seen = append(seen, w.ProxyConfig)
		for key, v := range w.ProxyConfig.GetProxyMetadata() {
			if base.GetProxyMetadata()[key] == v {
				continue
			}
			if d, ok := finding(key); ok {
				out.Add(w.Object.Finding(d.Severity, d.Code, d.Message, d.Help, w.AnnotationPath(mesh.AnnotationProxyConfig)...))
			}
		}
	}
	out.Sort()
	return out
}
