// Package cluster lowers services and DestinationRules to clusters, with the endpoints that are known when compiling.
//
// For each port of a service there is one cluster, and one more for each subset of the rule in effect; the traffic policy is
// that of the subset, else of the port, else of the rule, field by field (package mesh merges them). A cluster is built in an
// order that matters, because later steps look at what earlier ones decided: how its endpoints are discovered, the protocol
// towards them, connection pool, load balancing, outlier detection, TLS, the names that it looks up itself.
//
// Endpoints are a join of the service with how the client sees it (package compiler/endpoint): labels of the subset, locality,
// network. What about a client matters differs from service to service, so the inputs of a cluster are narrowed to that
// before it is looked for among those that are made (Inputs, Env.Client). Beside these stand the clusters towards the
// application, those that ProxyConfig names by address, and the two that every proxy has, to let pass and to swallow.
package cluster
