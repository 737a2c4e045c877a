package listener

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of the lowering of listeners.
var Codes = []diag.Code{
	{
		ID: "MESHC1449", Severity: diag.Error,
		Means:   "an outbound traffic policy that is not supported",
		Example: "`mode: ALLOW_ANY_DYNAMIC_DNS`",
		Remedy:  "`ALLOW_ANY`, or a ServiceEntry with resolution DYNAMIC_DNS",
	},
	{
		ID: "MESHC1500", Severity: diag.Error,
		Means:   "two services or routes want the same connections of one listener; the later gets none",
		Example: "two TCP services on one address and port",
		Remedy:  "another address, port or `sniHosts`",
	},
	{
		ID: "MESHC1501", Severity: diag.Error,
		Means:   "`tls` of a Sidecar ingress listener while the mesh's mutual TLS is on for the port",
		Example: "`tls: {mode: SIMPLE}` under STRICT",
		Remedy:  "`portLevelMtls: {PORT: {mode: DISABLE}}`",
	},
}
