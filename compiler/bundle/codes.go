package bundle

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of bundles, and of what may not enter one.
var Codes = []diag.Code{
	{
		ID: "MESHC1600", Severity: diag.Error,
		Means:   "the bundle, or a file of it, is not there",
		Example: "a path with a typing error",
		Remedy:  "check the path; compile again",
	},
	{
		ID: "MESHC1601", Severity: diag.Error,
		Means:   "bytes do not have the digest that the manifest or the provenance gives",
		Example: "a file of the folder was edited",
		Remedy:  "copy or compile it again; it was altered or cut",
	},
	{
		ID: "MESHC1602", Severity: diag.Error,
		Means:   "a newer format",
		Example: "a bundle of a newer meshc",
		Remedy:  "a newer meshc",
	},
	{
		ID: "MESHC1603", Severity: diag.Error,
		Means:   "the digest is right and the content is not what the format says",
		Example: "a manifest written by hand",
		Remedy:  "compile again with this version",
	},
	{
		ID: "MESHC1604", Severity: diag.Error,
		Means:   "beyond the limits of a bundle",
		Example: "a file of more bytes than a bundle may have",
		Remedy:  "split the mesh into bundles of fewer workloads",
	},
	{
		ID: "MESHC1605", Severity: diag.Error,
		Means:   "a file or a link that no bundle has",
		Example: "an editor's backup beside the files",
		Remedy:  "remove it",
	},
	{
		ID: "MESHC1606", Severity: diag.Error,
		Means:   "a private key would enter the bundle: in a label, a header, a patch, code, the name of a file or wherever else",
		Example: "`set: {x-key: \"-----BEGIN PRIVATE KEY-----…\"}`",
		Remedy:  "name a Secret or a file instead, and replace the key, which is in the history of the repository",
	},
	{
		ID: "MESHC1607", Severity: diag.Error,
		Means:   "two resources of one name, or two classes of one signature",
		Example: "a fault of meshc",
		Remedy:  "report it",
	},
	{
		ID: "MESHC1608", Severity: diag.Error,
		Means:   "no class for a node: it is refused, never given a default",
		Example: "an Envoy whose node has labels of no workload",
		Remedy:  "declare the workload, or mend the labels of the node",
	},
	{
		ID: "MESHC1609", Severity: diag.Error,
		Means:   "a node that cannot be read",
		Example: "`--node` with a file that is no JSON",
		Remedy:  "id, metadata and locality as in the bootstrap",
	},
	{
		ID: "MESHC1610", Severity: diag.Warning,
		Means:   "a bearer token or a password is in the bundle, such as an `Authorization` header that a route sets",
		Example: "`set: {authorization: Bearer …}`",
		Remedy:  "have it added by who may know it, or lower the severity if everybody may",
	},
}
