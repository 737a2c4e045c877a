package policies

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of policies themselves, not of what they find.
var Codes = []diag.Code{
	{
		ID: "MESHC1700", Severity: diag.Error,
		Means:   "Rego that does not compile, or uses the network, the clock, chance or a builtin without bounds",
		Example: "`http.send`",
		Remedy:  "mend it",
	},
	{
		ID: "MESHC1701", Severity: diag.Error,
		Means:   "a package or folder without a rule that can find anything",
		Example: "a package with `allow` only",
		Remedy:  "add `deny` or `warn`, or remove it",
	},
	{
		ID: "MESHC1702", Severity: diag.Error,
		Means:   "a package whose rules met no document",
		Example: "`input.kind == \"VirtualServices\"`",
		Remedy:  "check what it looks for",
	},
	{
		ID: "MESHC1703", Severity: diag.Error,
		Means:   "a policy beyond its budget of steps or bytes, or more Rego than is read",
		Example: "every object compared with every other",
		Remedy:  "use the indexes in `data.meshc`; the message names the rule",
	},
	{
		ID: "MESHC1704", Severity: diag.Error,
		Means:   "a policy that failed",
		Example: "a conflict of complete rules",
		Remedy:  "the message says where; test the rule with `opa test`",
	},
	{
		ID: "MESHC1705", Severity: diag.Error,
		Means:   "a result that is neither a string nor an object with `msg`",
		Example: "`deny contains 1`",
		Remedy:  "give a string, or an object with `msg`",
	},
	{
		ID: "MESHC1706", Severity: diag.Error,
		Means:   "a package name of the engine's own",
		Example: "`package meshc.own`",
		Remedy:  "rename it, as to `main`",
	},
	{
		ID: "MESHC1707", Severity: diag.Error,
		Means:   "a result with a place (`_loc`) in a file that is none of the sources",
		Example: "`_loc: {file: /etc/passwd}`",
		Remedy:  "name the file by its path inside the sources, or leave `_loc` out",
	},
	{
		ID: "MESHC1708", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "a policy that asks for what is never there, so that it can find nothing: data that no file and no package supplies, the input of another tool, a kind or key that does not exist; as a warning, a key of the data that no policy asks for",
		Example: "`input.review.object` of Gatekeeper, `input[i].contents` of conftest --combine, `data.allowed` without a file",
		Remedy:  "ask for `input` as it is, which is one object; put data into a folder `data` beside the policies",
	},
}
