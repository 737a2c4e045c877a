package patch

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of EnvoyFilters.
var Codes = []diag.Code{
	{
		ID: "MESHC1480", Severity: diag.Error,
		Means:   "the value of an EnvoyFilter patch is not the message that `applyTo` names",
		Example: "a misspelled field; `config`, which Envoy removed; an `istio.*` type in `@type`",
		Remedy:  "compare with Envoy's reference",
	},
	{
		ID: "MESHC1481", Severity: diag.Error,
		Means:   "a patch cannot be applied to what it matches",
		Example: "MERGE of a `typed_config` of another type; a filter after the router",
		Remedy:  "match what the value fits",
	},
	{
		ID: "MESHC1482", Severity: diag.Warning,
		Means:   "a patch matches nothing in any proxy of the input",
		Example: "a misspelled filter name",
		Remedy:  "compare with the output of `meshc bundle xds`",
	},
	{
		ID: "MESHC1483", Severity: diag.Error,
		Means:   "a patch that a compiler or stock Envoy cannot do",
		Example: "`applyTo: BOOTSTRAP`, `context: WAYPOINT`, `targetRefs`",
		Remedy:  "as the help says",
	},
	{
		ID: "MESHC1490", Severity: diag.Error, FailsClosed: true,
		Means:   "Envoy would refuse the resource with this patch of an EnvoyFilter",
		Example: "a field that has to be set is missing",
		Remedy:  "correct the value",
	},
}
