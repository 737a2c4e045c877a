package ads

import (
	"slices"

	"github.com/meshc/meshc/internal/limit"
)

// unservedNames are the types that proxies and agents are known to ask for and that no bundle holds, as metrics call them.
var unservedNames = map[string]string{
	"type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig":      "ecds",
	"type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration": "srds",
	"type.googleapis.com/envoy.config.route.v3.VirtualHost":              "vhds",
	"type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig":                "pcds",
	"type.googleapis.com/istio.v1.HealthInformation":                     "health",
	"type.googleapis.com/istio.workload.Address":                         "wds",
	"type.googleapis.com/istio.workload.Workload":                        "wds",
	"type.googleapis.com/istio.security.Authorization":                   "wads",
}

// ofAgents are the types that Istio's agent asks for on its own account, and does as well without.
var ofAgents = []string{"type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig", "type.googleapis.com/istio.v1.HealthInformation", "type.googleapis.com/istio.workload.Workload"}

// ignore takes note of a subscription to a type that is not served. It gets no answer, which is what xDS has for a
// resource that does not exist: Envoy goes on without after its initial_fetch_timeout. The stream serves all else.
func (s *Stream) ignore(url string) {
	if slices.Contains(s.unserved, url) || len(s.unserved) >= limit.StreamUnserved {
		return
	}
	s.unserved = append(s.unserved, url)
	name, ok := unservedNames[url]
	if !ok {
		name = "other"
	}
	s.note(Unserved{url, name, slices.Contains(ofAgents, url)})
}
