package envoy

import (
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/meshc/meshc/compiler/mesh"
)

func outboundLogs(*mesh.Scope) *Logs { return nil }

func outboundTracing(*mesh.Scope) *hcmv3.HttpConnectionManager_Tracing { return nil }

func inboundLogs(*mesh.Inbound) *Logs { return nil }

func inboundTracing(*mesh.Inbound) *hcmv3.HttpConnectionManager_Tracing { return nil }
