package inject

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of injection.
var Codes = []diag.Code{
	{
		ID: "MESHC1901", Severity: diag.Error, FailsClosed: true,
		Means:   "a pod that already has the proxy of Istio",
		Example: "the annotation `sidecar.istio.io/status` as Istio's injector writes it",
		Remedy:  "inject the manifest as it was before Istio's injector",
	},
	{
		ID: "MESHC1902", Severity: diag.Error, FailsClosed: true,
		Means:   "an annotation that injection reads has a value that it cannot have",
		Example: "`traffic.sidecar.istio.io/excludeInboundPorts: http`",
		Remedy:  "correct the value",
	},
	{
		ID: "MESHC1903", Severity: diag.Error, FailsClosed: true,
		Means:   "a pod asks injection for what a stock Envoy cannot do, or for a template that there is not",
		Example: "`inject.istio.io/templates: grpc-agent`",
		Remedy:  "take it out; `docs/guides/inject.md` says what there is instead",
	},
	{
		ID: "MESHC1904", Severity: diag.Error, FailsClosed: true,
		Means:   "what injection adds does not fit what the pod has: a volume of the same name, a probe at no port, fields that cannot be merged, a container of the proxy that an API server would refuse",
		Example: "a volume `istio-envoy` of the user's own",
		Remedy:  "rename or correct it",
	},
	{
		ID: "MESHC1905", Severity: diag.Info,
		Means:   "an annotation for a proxy that a stock Envoy has no use for",
		Example: "`sidecar.istio.io/agentLogLevel: default:debug`",
		Remedy:  "leave it to the part that reads it, or remove it",
	},
}
