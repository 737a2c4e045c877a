package listener

import (
	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// Telemetry is resolved once per side of a call: all outbound listeners and gateways are clients, the inbound listener is the
// server. Findings come from TelemetryFindings, so that they are reported once for a proxy and not once per listener.

func outboundLogs(in *Inputs) *telemetry.Logs {
	logs, _ := telemetry.AccessLogs(in.Mesh, in.Telemetries.All(), telemetry.ClientSide)
	return logs
}

func outboundTracing(in *Inputs) *telemetry.Tracing {
	t, _ := telemetry.TracingOf(telemetry.MergeTracing(in.Mesh, in.Proxy, in.Telemetries.All(), telemetry.ClientSide), in.Spans)
	return t
}

func inboundLogs(in *mesh.Inbound) *telemetry.Logs {
	logs, _ := telemetry.AccessLogs(in.Mesh, in.Telemetries, inboundSide(in))
	return logs
}

func inboundTracing(in *mesh.Inbound) *telemetry.Tracing {
	t, _ := telemetry.TracingOf(telemetry.MergeTracing(in.Mesh, in.Proxy, in.Telemetries, inboundSide(in)), inboundTraced(in))
	return t
}

func inboundTraced(in *mesh.Inbound) telemetry.Spans {
	return telemetry.Spans{Namespace: in.Namespace, Cluster: in.Cluster}
}

// inboundSide: a gateway acts for its clients, also where requests enter it.
func inboundSide(in *mesh.Inbound) telemetry.Side {
	if in.Gateway {
		return telemetry.ClientSide
	}
	return telemetry.ServerSide
}

// TelemetryFindings reports what is wrong with access logging and tracing of a proxy, on both sides.
func TelemetryFindings(in *mesh.Inbound) diag.List {
	var out diag.List
	for _, of := range []telemetry.Side{telemetry.ClientSide, telemetry.ServerSide} {
		_, logs := telemetry.AccessLogs(in.Mesh, in.Telemetries, of)
		_, traces := telemetry.TracingOf(telemetry.MergeTracing(in.Mesh, in.Proxy, in.Telemetries, of), inboundTraced(in))
		out.Add(logs...)
		out.Add(traces...)
	}
	return out
}
