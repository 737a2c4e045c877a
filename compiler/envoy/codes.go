package envoy

import "github.com/meshc/meshc/internal/diag"

// CodeRefused is for what Envoy would refuse because of an object that is no EnvoyFilter.
const CodeRefused = "MESHC1491"

// Codes declares the findings of lowering to Envoy.
var Codes = []diag.Code{
	{
		ID: "MESHC1455", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "a key of proxyMetadata that Istio follows and a bundle does not",
		Example: "`ISTIO_META_TLS_SERVER_CERT_CHAIN`",
		Remedy:  "secrets come from the server",
	},
	{
		ID: "MESHC1491", Severity: diag.Error, FailsClosed: true,
		Means:   "Envoy would refuse a resource: a value that the rules for its field let pass breaks a limit of Envoy's",
		Example: "a header value of 20 kB",
		Remedy:  "what the help says; the message has the field of the resource",
	},
	{
		ID: "MESHC1492", Severity: diag.Error,
		Means:   "the configuration of a proxy names what the proxy does not get: a cluster, route configuration, secret or another resource",
		Detail:  "Each name in all that the proxies of a class get, filters and packed messages included, is looked up in it, after the patches of EnvoyFilters. A link that is broken in the source has a finding of its own.",
		Example: "an EnvoyFilter that adds a filter with a misspelled cluster, or removes a cluster that routes name",
		Remedy:  "name what `meshc bundle xds` shows, or add it",
	},
}
