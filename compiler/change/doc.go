// Package change compares what two bundles do with requests.
//
// Two bundles that differ in bytes may treat all requests alike, and one changed line may open a mesh. So requests are compared, not
// resources, and all of them, not samples:
//
//  1. Each bundle becomes a side: its workloads, their proxies, who is behind which address (side.go).
//  2. Workloads of one name are paired. At each pair there are kinds of connections (finder.go): what the workload opens, to every name
//     and address that a side knows (target.go); what comes to its ports, over each way that its listener can tell apart; what comes to
//     the servers of a gateway. A connection whose configuration is the same on both sides is not looked at (touched.go).
//  3. What one proxy does with the requests of one connection is a hop: an ordered list of rules of which the first decides, each a
//     condition and an outcome (hop.go, manager.go, route.go; package condition). The condition is a set of requests; the outcome says
//     whether requests pass, where they go, and what is set for them on the way (outcome.go, destination.go, tls.go, field.go).
//  4. Package sets divides the requests of both hops into cells that each side treats in one way. Two outcomes of a cell are compared
//     (kind.go): opened, closed, moved, changed or tuned, and in which category.
//  5. Each cell that differs becomes a request, its witness (witness.go), and is walked through both bundles by package trace
//     (verify.go, follow.go, behind.go), which knows nothing of the steps before. What walks show is a difference; what they do not show
//     is undecided, and said so.
//  6. Every resource that differs is accounted for (account.go, ledger.go): by a difference, by a reason why no request shows it
//     (package neutral), or as undecided. So a field that nobody compares cannot be passed over in silence.
//  7. Causes are the origins that only one side has, of the rules that decided (cause.go).
//
// Text is made of all this by package report alone.
package change
