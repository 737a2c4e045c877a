// Package assert decides statements about all calls of a mesh, as files of calls have them: "only payments/* may POST /refund* at
// billing", "nobody outside reaches shop/admin", "every call between namespaces is mutual TLS", "no retry on POST", "nothing leaves
// the mesh but to api.example.com".
//
// A statement quantifies over callers, servers and requests. Callers and servers are finite: the workloads of the bundle, by class and
// identity, gateways, and clients outside without a proxy. Requests are not, so their values are parted into classes: all
// conditions on paths, methods, hosts, headers, query parameters, addresses and claims are gathered from the listeners and routes that a call
// from the caller to the server can meet, and package sets finds one value for each class of values that these conditions cannot tell
// apart. One request for each combination is followed by package trace. None that contradicts the statement, and nothing on the way that
// the walk cannot judge, is a proof; one that does is a counterexample, which anybody can follow. What is too much for the budget, or depends on
// what no configuration says, as the answer of an authorizer or a script, is undecided.
package assert
