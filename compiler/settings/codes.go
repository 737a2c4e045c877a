package settings

import "github.com/meshc/meshc/internal/diag"

const (
	codeSecond     = "MESHC1201"
	codeUnreadable = "MESHC1202"
	codeOutside    = "MESHC1205"
	codeNotInForce = "MESHC1207" // settings that lie where they are not in force
)

// Codes declares the findings about the settings of a mesh.
var Codes = []diag.Code{
	{
		ID: codeSecond, Severity: diag.Error,
		Means:   "two mesh configurations",
		Example: "two ConfigMaps named `istio`, or two of revisions and none of that name",
		Remedy:  "keep one",
	},
	{
		ID: codeUnreadable, Severity: diag.Error, FailsClosed: true,
		Means:   "the mesh configuration cannot be read",
		Example: "`outboundTrafficPolicy: ALLOW_ANY`",
		Remedy:  "compare with the MeshConfig reference",
	},
	{
		ID: codeOutside, Severity: diag.Error,
		Means:   "the mesh configuration lies outside `istio-system`, where others may write",
		Example: "a ConfigMap `istio` among those of an application",
		Remedy:  "move it, rename the ConfigMap, or lower the severity if the control plane was installed there",
	},
	{
		ID: codeNotInForce, Severity: diag.Warning,
		Means:   "a ConfigMap with settings that are not in force: of another revision, or under another key",
		Example: "`istio-canary` beside `istio`",
		Remedy:  "compile revisions apart; what the help says",
	},
}
