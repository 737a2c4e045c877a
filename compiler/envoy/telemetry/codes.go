package telemetry

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of the lowering of access logs and traces.
var Codes = []diag.Code{
	{
		ID: "IST0157", Severity: diag.Warning,
		Means:   "a Telemetry turns access logs on or off without a provider",
		Example: "`accessLogging: [{}]` and no default provider",
		Remedy:  "name a provider",
	},
	{
		ID: "MESHC1560", Severity: diag.Error,
		Means:   "an access log provider that is not defined",
		Example: "`providers: [{name: file}]`",
		Remedy:  "define it, or name `envoy`",
	},
	{
		ID: "MESHC1561", Severity: diag.Error,
		Means:   "an access log provider that cannot be used",
		Example: "a service without such a port",
		Remedy:  "correct the provider",
	},
	{
		ID: "MESHC1562", Severity: diag.Error,
		Means:   "a filter expression that is not complete CEL",
		Example: "`response.code >=`",
		Remedy:  "close it",
	},
	{
		ID: "MESHC1563", Severity: diag.Error,
		Means:   "`accessLogFormat` is not what `accessLogEncoding` says",
		Example: "text with JSON",
		Remedy:  "a JSON object of strings, or TEXT",
	},
	{
		ID: "MESHC1564", Severity: diag.Warning,
		Means:   "a filter of access logs without a provider beside it",
		Example: "`filter` without `providers`",
		Remedy:  "name the provider",
	},
	{
		ID: "MESHC1565", Severity: diag.Error,
		Means:   "a tracing provider that cannot be used",
		Example: "a provider that MeshConfig lacks",
		Remedy:  "zipkin, opentelemetry, datadog or skywalking",
	},
}
