// Package envoy lowers a linked mesh to the resources of Envoy: Istio's message in, Envoy's out.
//
// The unit of work is not the proxy. All proxies of a scope (one namespace, one Sidecar, equal answers to whatever rules ask
// about the caller) have one outbound side, and all proxies of a class have one inbound side, or are gateways with the same
// servers. Lowering.Scope makes the first, Lowering.Class the second; what a proxy receives is the two together.
//
// A scope is lowered in three steps, each of which gives one group of resources:
//
//  1. clusters, and the endpoints that are known, for each service of the scope's view (package cluster);
//  2. listeners, which also say which route configurations they will ask for (package listener);
//  3. these route configurations, with a virtual host for each service or host of a VirtualService (package route).
//
// A class of sidecars gets clusters towards its application and the listener virtualInbound, whose chains begin with the
// filters of package security; a class of gateways gets a listener for each port of its servers and their routes. Then come the
// clusters that filters call on their own account, such as those of authorizers. Last of all EnvoyFilters are applied to both
// (package patch), to copies.
//
// Most scopes see most of the mesh alike, so each step is a function from comparable inputs to resources, and a table keeps
// its outcomes (internal/memo). This package is the only one that knows scopes and classes: it makes those inputs, and the
// packages below are given nothing else. Equal inputs give the same pointers, by which the bundle stores them once.
//
// The packages below, each of which may use those before it: xds (messages that all make), security, telemetry, patch and
// route (which use xds alone), cluster, listener.
package envoy
