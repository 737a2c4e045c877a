package schema

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of the shape of single objects.
var Codes = []diag.Code{
	{
		ID: "IST0106", Severity: diag.Error,
		Means:   "the API server or Istio's webhook would refuse the object, or Envoy would refuse what becomes of a value: unknown field, wrong type, value or relation",
		Example: "`timout: 1s`",
		Remedy:  "the message says what is allowed, and the nearest field name",
	},
	{
		ID: "IST0107", Severity: diag.Warning,
		Means:   "an annotation on a kind where it does nothing",
		Example: "`sidecar.istio.io/logLevel` on a Deployment instead of its pod template",
		Remedy:  "the kind that the help names",
	},
	{
		ID: "IST0108", Severity: diag.Warning,
		Means:   "an annotation of Istio's that does not exist",
		Example: "`networking.istio.io/exportThree`",
		Remedy:  "the one that is meant",
	},
	{
		ID: "IST0125", Severity: diag.Warning,
		Means:   "an annotation whose text is not of its type",
		Example: "`status.sidecar.istio.io/port: http`",
		Remedy:  "a number in quotes",
	},
	{
		ID: "IST0133", Severity: diag.Warning,
		Means:   "accepted, and without effect as written",
		Example: "a certificate on a PASSTHROUGH server",
		Remedy:  "remove it, or change the mode",
	},
	{
		ID: "IST0135", Severity: diag.Warning,
		Means:   "a deprecated annotation",
		Example: "`sidecar.istio.io/statsInclusionPrefixes`",
		Remedy:  "what replaces it",
	},
	{
		ID: "MESHC1105", Severity: diag.Error,
		Means:   "a kind that does not exist in an API group of Istio",
		Example: "`kind: VirtualServices`",
		Remedy:  "the help names the nearest kind",
	},
	{
		ID: "MESHC1106", Severity: diag.Error,
		Means:   "an annotation that only Istio's control plane writes",
		Example: "`internal.istio.io/gateway-service`",
		Remedy:  "remove it",
	},
	{
		ID: "MESHC1110", Severity: diag.Error,
		Means:   "a field that is not supported, with the reason",
		Example: "`fault.delay.exponentialDelay`",
		Remedy:  "remove it; docs/fields.md lists what is supported",
	},
	{
		ID: "MESHC1111", Severity: diag.Info, Also: []diag.Severity{diag.Warning},
		Means:   "a field that has no effect on a bundle, with the reason",
		Example: "`proxyAdminPort` in ProxyConfig",
		Remedy:  "nothing; another part may read it",
	},
	{
		ID: unknownFieldCode, Severity: diag.Warning,
		Means:   "a field that a kind of Kubernetes does not have: kubectl refuses the object, an API server drops the field",
		Example: "`selectr:` in a Service",
		Remedy:  "correct the name or the indentation",
	},
	{
		ID: oldVersionCode, Severity: diag.Warning,
		Means:   "an object in an API version that no API server has any more; it is read as one of the version that followed",
		Example: "an Ingress of `extensions/v1beta1`",
		Remedy:  "write it in the version that the help names",
	},
	{
		ID: "MESHC1852", Severity: diag.Error,
		Means:   "`meshc.dev/live-weights` names what is no http route with a name of its own and several destinations",
		Example: "`meshc.dev/live-weights: main` where no route has `name: main`",
		Remedy:  "name the route; give it all destinations, with weight 0 if they are to get nothing at rest",
	},
	{
		ID: "MESHC1150", Severity: diag.Warning,
		Means:   "a kind of the Gateway API: its traffic is not part of the bundle",
		Example: "`HTTPRoute`",
		Remedy:  "write a VirtualService, or leave it to the controller that serves it",
	},
	{
		ID: "MESHC1151", Severity: diag.Warning,
		Means:   "the installation of Istio",
		Example: "`IstioOperator`",
		Remedy:  "put its meshConfig into the ConfigMap `istio`",
	},
}
