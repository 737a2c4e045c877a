// Package trace says what the proxies of a bundle do with one request, from the resources of the bundle alone.
//
// A walk goes the way of the bytes. At the proxy of the client a listener takes the connection, its listener filters
// look at it, and the filter chain is chosen by Envoy's fixed order of criteria. The filters of the chain run in their
// order: RBAC, a TCP proxy, or a connection manager with virtual host, route and HTTP filters. The route gives clusters,
// the cluster its endpoints and the TLS towards them; the address of an endpoint gives the workload behind it, and the
// walk goes on at that workload's own proxy until the application is reached or a proxy stops the request.
//
// Where a static look cannot decide (weights, percentages, external authorizers, load balancing, filters of others, an
// address that is not known) the walk splits, and says what the choice depends on and how likely each branch is where
// that is known. Nothing is guessed. Every step carries the places in the input behind it.
//
// What matchers and security filters say of one request is in package match, which needs no walk.
package trace
