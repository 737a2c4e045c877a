package coverage

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of what leaves no trace in any proxy.
var Codes = []diag.Code{
	{
		ID: codeUnread, Severity: diag.Warning,
		Means:   "a route block or match of a VirtualService is in no proxy, or not at a Gateway that it is bound to: the message says why",
		Example: "`http` routes at a PASSTHROUGH server",
		Remedy:  "what the reason names",
	},
	{
		ID: codeNoReader, Severity: diag.Warning,
		Means:   "a DestinationRule is in effect for no caller: of another namespace, not exported, or another rule is chosen",
		Example: "a rule in a namespace that is neither the callers' nor the service's",
		Remedy:  "move, export or join it",
	},
	{
		ID: codeUnusedSubset, Severity: diag.Warning,
		Means:   "the policy of a subset that no route names is never used",
		Example: "limits in a subset, and no VirtualService",
		Remedy:  "route to the subset, or set the policy for the host",
	},
	{
		ID: codeNoImport, Severity: diag.Warning,
		Means:   "a host or port of a Sidecar's egress takes in no service",
		Example: "`hosts: [nowhere/*]`",
		Remedy:  "correct namespace or host",
	},
}
