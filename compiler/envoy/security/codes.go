package security

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of the lowering of authorization, tokens and TLS servers.
var Codes = []diag.Code{
	{
		ID: "MESHC1502", Severity: diag.Error,
		Means:   "Envoy knows no such cipher suite",
		Example: "`cipherSuites: [RC4]`",
		Remedy:  "one of the listed",
	},
	{
		ID: "MESHC1503", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "a field of `tls` of a Gateway server or Sidecar ingress listener that nothing reads beside the others",
		Example: "`verifyCertificateHash` beside `serverCertificate`",
		Remedy:  "what the help says",
	},
	{
		ID: "MESHC1540", Severity: diag.Error, FailsClosed: true,
		Means:   "an AuthorizationPolicy could only be enforced in part",
		Example: "an address that is none in `ipBlocks`",
		Remedy:  "correct the value",
	},
	{
		ID: "MESHC1541", Severity: diag.Warning,
		Means:   "a rule about HTTP meets TCP ports",
		Example: "`paths` on a database",
		Remedy:  "`ports` in the rule, or a policy of its own",
	},
	{
		ID: "MESHC1542", Severity: diag.Error,
		Means:   "the provider of a CUSTOM policy cannot be used; what matches is denied",
		Example: "a provider that MeshConfig lacks",
		Remedy:  "define it under `extensionProviders`",
	},
	{
		ID: "MESHC1543", Severity: diag.Error,
		Means:   "two providers for one workload; what matches is denied",
		Example: "two policies with `action: CUSTOM` and two providers",
		Remedy:  "one provider",
	},
	{
		ID: "MESHC1545", Severity: diag.Warning,
		Means:   "a star in the middle matches itself",
		Example: "`/a/*/b`",
		Remedy:  "`/a/{*}/b`, a prefix or a suffix",
	},
	{
		ID: "MESHC1546", Severity: diag.Warning,
		Means:   "an HTTP provider on TCP ports, or on ports without a declared protocol: the policy does nothing for connections that are not HTTP",
		Example: "`envoyExtAuthzHttp` on a database",
		Remedy:  "a gRPC provider, or a protocol in the name of the port",
	},
	{
		ID: "MESHC1547", Severity: diag.Warning,
		Means:   "a CUSTOM policy in a dry run asks nobody",
		Example: "`istio.io/dry-run: \"true\"`",
		Remedy:  "read the shadow statistics",
	},
	{
		ID: "MESHC1548", Severity: diag.Error,
		Means:   "a policy decides by path while `pathNormalization` is NONE",
		Example: "`paths: [/admin]`",
		Remedy:  "BASE, MERGE_SLASHES or DECODE_AND_MERGE_SLASHES",
	},
	{
		ID: "MESHC1550", Severity: diag.Error,
		Means:   "`jwks` cannot be used: every token would be refused",
		Example: "not JSON",
		Remedy:  "a JSON Web Key Set of public keys",
	},
	{
		ID: "MESHC1551", Severity: diag.Error,
		Means:   "`jwksUri` is no http or https URL",
		Example: "`jwksUri: file:///keys`",
		Remedy:  "correct it",
	},
	{
		ID: "MESHC1552", Severity: diag.Error,
		Means:   "neither `jwks` nor `jwksUri`: nothing is looked up on the network when compiling",
		Example: "an issuer alone",
		Remedy:  "add one",
	},
	{
		ID: "MESHC1554", Severity: diag.Warning,
		Means:   "the keys of an issuer come in plain text from outside the mesh",
		Example: "`jwksUri: http://keys.example.com`",
		Remedy:  "https",
	},
	{
		ID: "MESHC1555", Severity: diag.Warning,
		Means:   "a rule takes something from callers by their identity, on a workload that takes plain text, too",
		Example: "DENY by `namespaces` under PERMISSIVE",
		Remedy:  "STRICT, or ALLOW by identity",
	},
	{
		ID: "MESHC1556", Severity: diag.Warning,
		Means:   "a sidecar judges by the address in X-Forwarded-For, which whoever calls it directly can write",
		Example: "`remoteIpBlocks` without `principals` on an application",
		Remedy:  "name the gateways in the same source, or enforce it at the gateway",
	},
}
