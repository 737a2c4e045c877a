// Package replay takes the requests of yesterday's access logs and says which of them two states of a mesh treat differently.
//
// A line of a log, in Istio's default text format or as JSON with Istio's default fields, gives a request: who sent it (by the
// address of the workload, or the gateway that it entered), method, host, path, server name. The request is followed through both
// bundles by package trace, and the two walks are compared as values: where they end and what is done on the way. A line is used
// only if the walk through base agrees with what the log says of the request (the cluster that was chosen, a refusal by a policy); else it
// had something that logs do not show, as a header that a route asks for, or base is not what ran. Lines that are not used are
// counted by reason.
//
// Logs are read line by line and never held. Requests are followed once for each shape: what the matches of both bundles can tell apart of a
// path, and of addresses and headers what they ask for at all. What is known of shapes is kept in a table of bounded size, and forgotten when
// others take its place; a shape that comes again is followed again.
package replay
