package report

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of a comparison: one for each category of differences.
var Codes = []diag.Code{
	{
		ID: "MESHC1720", Severity: diag.Error,
		Means:   "a change lets in what was refused, by a policy, a rule about tokens, a client certificate or a gateway",
		Example: "an ALLOW rule without the method that it had",
		Remedy:  "narrow the rule, or waive the difference with a reason",
	},
	{
		ID: "MESHC1721", Severity: diag.Warning,
		Means:   "a change refuses what was let in, by a policy, a rule about tokens, a client certificate or a gateway",
		Example: "a client that runs under an account which no rule allows",
		Remedy:  "allow the callers that are named, or waive the difference with a reason",
	},
	{
		ID: "MESHC1722", Severity: diag.Error,
		Means:   "a change encrypts connections otherwise, or no more",
		Example: "a DestinationRule with tls: {mode: DISABLE}",
		Remedy:  "keep the mode, or waive the difference with a reason",
	},
	{
		ID: "MESHC1723", Severity: diag.Warning,
		Means:   "a change sends something else out of the mesh, or elsewhere",
		Example: "outboundTrafficPolicy ALLOW_ANY in place of REGISTRY_ONLY",
		Remedy:  "name what may leave in a ServiceEntry, or waive the difference with a reason",
	},
	{
		ID: "MESHC1724", Severity: diag.Warning,
		Means:   "requests have no route, cluster or endpoint any more, or have one again",
		Example: "the only workload of a Service is deleted",
		Remedy:  "change who calls before what is called goes away",
	},
	{
		ID: "MESHC1725", Severity: diag.Info,
		Means:   "requests go elsewhere, in other shares, or are changed otherwise on their way",
		Example: "weights 90 and 10 become 80 and 20",
		Remedy:  "none where it is meant",
	},
	{
		ID: "MESHC1726", Severity: diag.Info,
		Means:   "timeouts, retries, pools, balancing or options of protocols are others",
		Example: "a timeout of 3s becomes one of 7s",
		Remedy:  "none where it is meant",
	},
	{
		ID: "MESHC1727", Severity: diag.Info,
		Means:   "logs or traces are others",
		Example: "a Telemetry that disables access logs",
		Remedy:  "none where it is meant",
	},
	{
		ID: "MESHC1728", Severity: diag.Warning,
		Means:   "what may differ could not be decided",
		Example: "an EnvoyFilter changes the code of a Lua filter",
		Remedy:  "try the change where it can be tried; it counts as a difference",
	},
	{
		ID: "MESHC1729", Severity: diag.Warning,
		Means:   "a waiver is about no difference of this comparison",
		Example: "the change that it was written for has been merged",
		Remedy:  "remove it",
	},
}

// codeOf is the code of a category.
func codeOf(category string) (string, diag.Severity) {
	switch category {
	case AccessWidened:
		return "MESHC1720", diag.Error
	case AccessNarrowed:
		return "MESHC1721", diag.Warning
	case Encryption:
		return "MESHC1722", diag.Error
	case Egress:
		return "MESHC1723", diag.Warning
	case Availability:
		return "MESHC1724", diag.Warning
	case Routing:
		return "MESHC1725", diag.Info
	case Tuning:
		return "MESHC1726", diag.Info
	}
	return "MESHC1727", diag.Info
}
