package ingress

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings about Ingresses.
var Codes = []diag.Code{
	{
		ID: "MESHC1260", Severity: diag.Warning,
		Means:   "an Ingress rule without paths",
		Example: "`rules: [{host: a}]`",
		Remedy:  "add `http.paths`",
	},
	{
		ID: "MESHC1261", Severity: diag.Error,
		Means:   "`spec.defaultBackend` of an Ingress is not served, as in Istio",
		Example: "`defaultBackend: {service: …}`",
		Remedy:  "a rule without host and with path `/`",
	},
	{
		ID: "MESHC1262", Severity: diag.Error,
		Means:   "an Ingress backend that is no Service",
		Example: "`backend: {resource: …}`",
		Remedy:  "name a Service",
	},
	{
		ID: "MESHC1263", Severity: diag.Warning,
		Means:   "a `tls` entry of an Ingress without a secret is not served",
		Example: "`tls: [{hosts: [a]}]`",
		Remedy:  "set `secretName`",
	},
	{
		ID: "MESHC1264", Severity: diag.Error,
		Means:   "the IngressClass of an Ingress is not in the source",
		Example: "`ingressClassName: istio`",
		Remedy:  "an IngressClass with controller `istio.io/ingress-controller`",
	},
}
