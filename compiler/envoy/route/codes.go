package route

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of the lowering of routes.
var Codes = []diag.Code{
	{
		ID: "MESHC1420", Severity: diag.Warning, Also: []diag.Severity{diag.Info},
		Means:   "a routing field has no effect beside another",
		Example: "`rewrite.uri` and `uriRegexRewrite`; a fault without percentage",
		Remedy:  "remove one of the two, as the help says",
	},
	{
		ID: "MESHC1421", Severity: diag.Error,
		Means:   "Envoy has no such thing",
		Example: "`redirectCode: 305`, `abort.http2Error`",
		Remedy:  "the help names what there is",
	},
	{
		ID: "MESHC1422", Severity: diag.Error,
		Means:   "a route forwards to nothing",
		Example: "every weight is 0",
		Remedy:  "give a destination a weight",
	},
	{
		ID: "MESHC1423", Severity: diag.Warning,
		Means:   "a token claim is matched in a sidecar, where no token is checked",
		Example: "`headers: {\"@request.auth.claims.group\": …}` on `mesh`",
		Remedy:  "bind to a gateway only",
	},
	{
		ID: "MESHC1424", Severity: diag.Warning,
		Means:   "a value is rounded",
		Example: "`maxAge: 1500ms` in CORS",
		Remedy:  "write whole seconds",
	},
	{
		ID: "MESHC1425", Severity: diag.Warning,
		Means:   "every name of this host is taken by others on the port",
		Example: "two hosts that differ by case only",
		Remedy:  "rename one, or narrow `exportTo` or a Sidecar",
	},
	{
		ID: "MESHC1426", Severity: diag.Warning,
		Means:   "a destination names no port, and its service lacks the port of the call: 503",
		Example: "a route on port 80 to a Service that has 8080 only",
		Remedy:  "set `destination.port.number`",
	},
}
