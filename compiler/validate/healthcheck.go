package validate

import (
	"encoding/hex"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
)

// healthCheckRule is about what a health check sends and wants (source/extensions/health_checkers).
func healthCheckRule(v *visit, m proto.Message) {
	h := m.(*corev3.HealthCheck)
	tcp := h.GetTcpHealthCheck()
	for _, p := range append(tcp.GetReceive(), tcp.GetSend()) {
		if _, err := hex.DecodeString(p.GetText()); err != nil {
			v.bad("tcp_health_check", "Write bytes as hexadecimal digits.", "%q is no text of hexadecimal digits", p.GetText())
		}
	}
	if c := h.GetHttpHealthCheck(); c.GetSend() != nil && !slices.Contains([]corev3.RequestMethod{corev3.RequestMethod_POST, corev3.RequestMethod_PUT, corev3.RequestMethod_PATCH, corev3.RequestMethod_OPTIONS}, c.GetMethod()) {
		v.bad("http_health_check.send", "Use POST, PUT, PATCH or OPTIONS.", "a request with the method %s has no body", c.GetMethod())
	}
	for _, r := range h.GetHttpHealthCheck().GetExpectedStatuses() {
		if r.GetStart() >= r.GetEnd() || r.GetStart() < 100 || r.GetEnd() > 600 {
			v.bad("http_health_check.expected_statuses", "Write start, from 100, and the end behind it, up to 600.", "no status is from %d to below %d", r.GetStart(), r.GetEnd())
		}
	}
}
