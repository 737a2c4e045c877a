// Package telemetry lowers access logs and traces: Telemetry and the providers of MeshConfig to access loggers and tracers.
//
// Telemetry comes in three layers, of the mesh, the namespace and the workload, and is resolved once for each side of a call:
// outbound listeners and gateways are clients, the inbound listener is the server. A later layer replaces the providers of an
// earlier one for the sides that its match names, and switches single providers off; what it leaves out stays. Only if no
// layer names a provider do the defaults of MeshConfig count, and after them those of ProxyConfig. Each provider that remains
// is one access logger, with the filter expression that holds for it; of tracers the first counts, since Envoy has one.
package telemetry
