package config

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of settings.
var Codes = []diag.Code{
	{
		ID: "MESHC1800", Severity: diag.Error,
		Means:   "`meshc.yaml` is not YAML or not a map, has a key twice, or is a link that leads out of the repository",
		Example: "`severity: {` without its end",
		Remedy:  "mend the syntax",
	},
	{
		ID: "MESHC1801", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "an unknown or wrong setting, a code in `severity` that nothing has (a warning where it may be that of a policy which is not here), or a setting that names what lies outside of the repository",
		Example: "`lenien: true`",
		Remedy:  "the settings are `severity`, `policies`, `lenient` and `clusters`; what lies outside is named by the flags `--policy` and `--cluster`",
	},
}
