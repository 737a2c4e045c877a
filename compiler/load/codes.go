package load

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of reading the sources.
var Codes = []diag.Code{
	{
		ID: "MESHC1001", Severity: diag.Error,
		Means:   "there is no object in the source",
		Example: "an empty folder",
		Remedy:  "name the folder that holds the manifests",
	},
	{
		ID: "MESHC1002", Severity: diag.Error, Failure: true,
		Means:   "a source cannot be read",
		Example: "a path that does not exist, a socket",
		Remedy:  "check path and permissions",
	},
	{
		ID: "MESHC1003", Severity: diag.Error,
		Means:   "not YAML",
		Example: "`kind: [`",
		Remedy:  "mend the syntax on this line or the one above",
	},
	{
		ID: "MESHC1004", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "a template that nobody rendered; as a warning, a value that looks like a place to fill in",
		Example: "`name: {{ .Values.name }}`, `hosts: [\"${HOST}\"]`",
		Remedy:  "run helm template, envsubst or kustomize first",
	},
	{
		ID: "MESHC1005", Severity: diag.Error,
		Means:   "beyond a limit: size, depth, keys, aliases, number of files, what a kustomization takes",
		Example: "a YAML bomb",
		Remedy:  "split the file, name the folders that hold the mesh",
	},
	{
		ID: "MESHC1006", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "a symbolic link that leads out of the source, to a folder, or nowhere",
		Example: "`a.yaml -> /etc/passwd`",
		Remedy:  "replace the link by the file",
	},
	{
		ID: "MESHC1007", Severity: diag.Error,
		Means:   "one key twice in a map",
		Example: "`spec:` written twice",
		Remedy:  "keep one",
	},
	{
		ID: "MESHC1008", Severity: diag.Error,
		Means:   "a value that no Kubernetes object can have",
		Example: "`name: 12`, `name: My_App`",
		Remedy:  "quote it, or use lower-case letters, digits, `-` and `.`",
	},
	{
		ID: "MESHC1009", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "no object, though one was meant: no kind, metadata or name, a slip in a key, a kind or group that no API server has, a list of objects without the List around it, or plain text",
		Detail:  "With `--lenient` a kind of Kubernetes that is read under an apiVersion without it is a warning and left alone, as a cluster refuses such an object by itself; whatever can be a policy of the mesh stays an error.",
		Example: "`generateName` only on what others refer to, `apiversion: v1`, `kind: Deploymnet`, a Git LFS pointer",
		Remedy:  "what the help says: correct the word, or fetch the file",
	},
	{
		ID: "MESHC1010", Severity: diag.Error,
		Means:   "two objects of one kind, namespace and name",
		Example: "the same Service in two files",
		Remedy:  "remove one; the finding shows both",
	},
	{
		ID: "MESHC1011", Severity: diag.Error,
		Means:   "a kustomization would use the network, a program or an absolute path",
		Example: "`resources: [https://…]`",
		Remedy:  "copy the file into the repository; render charts in a step of their own",
	},
	{
		ID: "MESHC1012", Severity: diag.Error,
		Means:   "a kustomization cannot be built",
		Example: "a file it names is missing",
		Remedy:  "correct the path; try `kustomize build`",
	},
	{
		ID: "MESHC1013", Severity: diag.Error, Failure: true, Also: []diag.Severity{diag.Info},
		Means:   "a Git repository or revision cannot be read; as info: the commit is not recorded in the bundle",
		Example: "`.#ref=none`",
		Remedy:  "check the ref; a shallow clone lacks old ones",
	},
	{
		ID: "MESHC1014", Severity: diag.Error, Failure: true,
		Means:   "an archive is damaged, cut short, leads out of itself, or holds a name twice or what is no file",
		Example: "half a `.tar.gz`",
		Remedy:  "pack or download it again",
	},
	{
		ID: "MESHC1015", Severity: diag.Warning,
		Means:   "settings of the mesh that are not in force: values for a chart of Istio that nobody has rendered",
		Example: "`meshConfig:` in a values file, or in a HelmRelease",
		Remedy:  "render the chart, or write them into the ConfigMap `istio`",
	},
	{
		ID: "MESHC1016", Severity: diag.Warning,
		Means:   "a sparse checkout lacks manifests of its commit",
		Example: "`git sparse-checkout set base`",
		Remedy:  "add the folder, or name the revision",
	},
	{
		ID: "MESHC1017", Severity: diag.Error, Also: []diag.Severity{diag.Warning},
		Means:   "a submodule that is not there: a clone leaves it empty unless it is told not to, and a revision or an archive holds none",
		Example: "`.gitmodules` names `mesh/policies`, which is empty",
		Remedy:  "check it out, and name the directory",
	},
	{
		ID: "MESHC1018", Severity: diag.Warning,
		Means:   "a patch of a kustomization whose target is no object: kustomize says nothing of it, and nothing is patched",
		Example: "`target: {kind: PeerAuthentication, name: defualt}`",
		Remedy:  "correct the target",
	},
	{
		ID: "MESHC1019", Severity: diag.Warning,
		Means:   "an object of Flux or Argo CD changes what it applies of this source: patches, namespace or names that only it knows",
		Example: "`targetNamespace: prod` or `patches` in a Kustomization of Flux",
		Remedy:  "write them into the manifests or their kustomization, or check what the tool renders",
	},
}
