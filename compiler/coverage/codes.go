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
	{
		ID: codeTaken, Severity: diag.Warning,
		Means:   "a VirtualService takes requests that another one of the same host and gateway is written for",
		Detail:  "Their routes are joined in an order that no object states: by age in a cluster, by name in Git.",
		Example: "`prefix: /u/root` in one and `prefix: /u/root1` in another",
		Remedy:  "one VirtualService, or delegates of one",
	},
	{
		ID: codeRedirected, Severity: diag.Warning,
		Means:   "the redirect to HTTPS of one Gateway answers for the routes of another on the same listener",
		Example: "`httpsRedirect: true` in one of two Gateways for a host and port",
		Remedy:  "another port or host, or redirect at neither",
	},
	{
		ID: codePlain, Severity: diag.Warning,
		Means:   "an http route sends plain HTTP to a port whose service says that it speaks TLS",
		Example: "a route of a gateway to `port: {number: 443}`, named https, without `tls` in a DestinationRule",
		Remedy:  "open TLS by a DestinationRule, or route to the HTTP port",
	},
	{
		ID: codeTLSTwice, Severity: diag.Warning,
		Means:   "a DestinationRule opens TLS for connections that are TLS already",
		Example: "`tls: {mode: SIMPLE}` for a port of protocol HTTPS",
		Remedy:  "leave `tls` out, or route HTTP to the port",
	},
	{
		ID: codeHandshake, Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "every call to a port, or a probe of it, fails: what the client is told to open and what the server takes exclude each other",
		Example: "`tls: {mode: DISABLE}` and a PeerAuthentication with STRICT",
		Remedy:  "change one of the two",
	},
}
