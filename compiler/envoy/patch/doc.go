// Package patch applies EnvoyFilters to resources that are otherwise done.
//
// Patches are decoded once, strictly, into messages of Envoy; what Envoy would refuse as it stands is refused here. A target
// (context, filters, and the metadata of the proxies as far as a filter looks at it) chooses those that hold for some proxies,
// in the order of the mesh: priority, then age. They are applied kind by kind from the outside in, clusters, listeners, filter
// chains, filters, route configurations, virtual hosts, routes; within a kind an object is matched by each patch in turn.
// Adding and inserting make objects, MERGE merges a message into what is there by the rules of protobuf and into packed
// messages of the same type, REPLACE and REMOVE do what they say.
//
// Resources are shared between scopes, so what a patch changes is copied first; the copy remembers what it was before. A
// patch that changes nothing in any proxy is reported.
package patch
