package envoy

import (
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// Telemetry settles once per side of a call: all outbound listeners and gateways are clients, the inbound listener is the
// server. Findings come from TelemetryFindings, so that they are reported once for a proxy and not once per listener.

func outboundLogs(in *ListenerInputs) *Logs {
	logs, _ := accessLogs(in.Mesh, in.Telemetries.All(), clientSide)
	return logs
}

func outboundTracing(in *ListenerInputs) *httpTracing {
	t, _ := tracing(settleTracing(in.Mesh, in.Proxy, in.Telemetries.All(), clientSide), in.Spans)
	return t
}

func inboundLogs(in *mesh.Inbound) *Logs {
	logs, _ := accessLogs(in.Mesh, in.Telemetries, inboundSide(in))
	return logs
}

func inboundTracing(in *mesh.Inbound) *httpTracing {
	t, _ := tracing(settleTracing(in.Mesh, in.Proxy, in.Telemetries, inboundSide(in)), inboundTraced(in))
	return t
}

func inboundTraced(in *mesh.Inbound) traced {
	return traced{in.Namespace, in.Cluster}
}

// inboundSide: a gateway acts for its clients, also where requests enter it.
func inboundSide(in *mesh.Inbound) side {
	if in.Gateway {
		return clientSide
	}
	return serverSide
}

// TelemetryFindings reports what is wrong with access logging and tracing of a proxy, on both sides.
func TelemetryFindings(in *mesh.Inbound) diag.List {
	var out diag.List
	for _, of := range []side{clientSide, serverSide} {
		_, logs := accessLogs(in.Mesh, in.Telemetries, of)
		_, traces := tracing(settleTracing(in.Mesh, in.Proxy, in.Telemetries, of), inboundTraced(in))
		out.Add(logs...)
		out.Add(traces...)
	}
	return out
}
