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
		Remedy:  "the settings are `severity`, `policies`, `lenient`, `ignore`, `exclude` and `clusters`; what lies outside is named by the flags `--policy` and `--cluster`",
	},
	{
		ID: "MESHC1802", Severity: diag.Error,
		Means:   "findings are silenced without a reason",
		Example: "`meshc.dev/ignore: IST0101`",
		Remedy:  "write the reason behind the code",
	},
	{
		ID: "MESHC1803", Severity: diag.Warning, Also: []diag.Severity{diag.Info},
		Means:   "a silence that silences nothing, or is about an error that cannot be silenced",
		Detail:  "Warnings, findings of policies, and errors that `--lenient` would make warnings can be silenced; what keeps an object from being read and what fails closed cannot.",
		Example: "`meshc.dev/ignore: IST0101 made at night` at an object that has no such finding",
		Remedy:  "take it out, or mend the error",
	},
}
