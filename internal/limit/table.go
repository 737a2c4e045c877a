package limit

import (
	"fmt"
	"strconv"
	"time"
)

// Bound is one number: what it bounds, and what is said of an input beyond it.
type Bound struct {
	Name   string // of the constant
	What   string
	Most   string // the number, as people write it
	Beyond string // a code, or what becomes of what is too much
}

// Table holds the bounds of one reader or evaluator.
type Table struct {
	Of     string
	Bounds []Bound
}

const (
	overSource   = "MESHC1005"
	overGit      = "MESHC1013"
	overArchive  = "MESHC1005 (source), MESHC1604 (bundle)"
	overBundle   = "MESHC1604"
	overPolicies = "MESHC1703"
	unusable     = "exit code 2"
	ended        = "the stream ends: ResourceExhausted"
	notKept      = "not remembered"
)

// Tables are all bounds, by what they bound. A test holds them to the constants: none is left out.
func Tables() []Table {
	return []Table{
		sources(), texts(), archives(), kustomizations(), repositories(), bundles(), artifacts(), policies(), evaluators(), replays(), others(), listeners(),
		callers(), streams(), together(), logs(), files(), admin(), observations(), compiles(),
	}
}

func sources() Table {
	return Table{"A source: standard input, a file, a directory, a kustomization, a Git revision, an archive", []Bound{
		{"FileBytes", "one file", size(FileBytes), overSource},
		{"SourceBytes", "all files", size(SourceBytes), overSource},
		{"SourceFiles", "manifests", count(SourceFiles), overSource},
		{"SourceEntries", "files and directories that are looked at", count(SourceEntries), overSource},
		{"PathDepth", "directories in directories", count(PathDepth), overSource + ", MESHC1014 (archive)"},
		{"PathBytes", "a name in an archive", size(PathBytes), "MESHC1014"},
		{"ShownBytes", "text that is kept to show the lines of findings, of all sources", size(ShownBytes), "the finding comes without its line"},
		{"CompileMemory", "memory from which on a compile collects garbage more often", size(CompileMemory), "slower; `GOMEMLIMIT` sets another"},
	}}
}

func texts() Table {
	return Table{"A YAML text", []Bound{
		{"Documents", "documents of a file", count(Documents), overSource},
		{"NestingDepth", "mappings and lists in each other", count(NestingDepth), overSource},
		{"MappingKeys", "keys of one mapping", count(MappingKeys), overSource},
		{"ListItems", "items of one list", count(ListItems), overSource},
		{"Nodes", "values of one object", count(Nodes), overSource},
		{"AliasNodes", "values that the aliases of a file stand for", count(AliasNodes), overSource},
	}}
}

func archives() Table {
	return Table{"A tar archive, a source or a bundle", []Bound{
		{"ArchiveRatio", "how many times its size it unpacks to", count(ArchiveRatio), overArchive},
		{"ArchiveFree", "bytes that it may unpack to whatever its size", size(ArchiveFree), overArchive},
		{"ArchivePadding", "zeros behind its end", size(ArchivePadding), "MESHC1014 (source), MESHC1603 (bundle)"},
	}}
}

func kustomizations() Table {
	return Table{"A kustomization", []Bound{
		{"KustomizeBuilds", "builds, of which each base takes one for every way that leads to it", count(KustomizeBuilds), overSource},
		{"KustomizeSteps", "comparisons of objects in all kustomizations of a source, counted before they are built", count(KustomizeSteps), overSource},
		{"KustomizeFree", "memory by which the process grows, whatever the size of the files", size(KustomizeFree), overSource},
		{"KustomizeByteMemory", "bytes of memory more for each byte of the files", count(KustomizeByteMemory), overSource},
		{"KustomizeMemory", "memory by which the process grows in all", size(KustomizeMemory), overSource},
	}}
}

func repositories() Table {
	return Table{"A Git repository", []Bound{
		{"GitObjects", "objects that are read", count(GitObjects), overGit},
		{"GitPacks", "packs", count(GitPacks), overGit},
		{"GitDeltas", "deltas that an object is made of", count(GitDeltas), overGit},
		{"GitStores", "stores of objects, its own and those it borrows from", count(GitStores), overGit},
		{"GitMemory", "memory by which the process grows", size(GitMemory), overSource},
		{"GitConfigBytes", "a file of its configuration", size(GitConfigBytes), "taken for absent"},
	}}
}

func bundles() Table {
	return Table{"A bundle, as it is written and read", []Bound{
		{"BundleBytes", "all files", size(BundleBytes), overBundle},
		{"BundleEntries", "entries of an archive", count(BundleEntries), overBundle},
		{"BundleFree", "objects, lists and values of a JSON file that may be as small as they like", count(BundleFree), overBundle},
		{"BundleStructures", "objects and lists of a JSON file", count(BundleStructures), overBundle},
		{"BundleStructureBytes", "bytes for each object or list at least, on the average", count(BundleStructureBytes), overBundle},
		{"BundleValueBytes", "bytes for each value at least, on the average", count(BundleValueBytes), overBundle},
		{"BundleSetResources", "resources in all sets", count(BundleSetResources), overBundle},
		{"BundleClassSets", "sets of one class", count(BundleClassSets), overBundle},
		{"BundleRequirements", "requirements in all sets", count(BundleRequirements), overBundle},
		{"ConfigMapBytes", "an archive in a ConfigMap", size(ConfigMapBytes), "no objects are written"},
		{"ProxyFiles", "files of a proxy without a server", count(ProxyFiles), "nothing is exported"},
		{"ProxyFileBytes", "all of them", size(ProxyFileBytes), "nothing is exported"},
	}}
}

func artifacts() Table {
	return Table{"An artifact in a registry, besides its bundle", []Bound{
		{"ManifestBytes", "its manifest", size(ManifestBytes), unusable},
		{"ArtifactLayers", "layers", count(ArtifactLayers), unusable},
		{"Referrers", "signatures and the like that are looked at", count(Referrers), "the others are not looked at"},
		{"ReferrerBytes", "one of them", size(ReferrerBytes), "it is not looked at"},
		{"KeptBundles", "bundles that `serve --keep` keeps, besides those that a rollout or a channel needs", count(KeptBundles), "the oldest go"},
	}}
}

func policies() Table {
	return Table{"Policies", []Bound{
		{"PolicyFileBytes", "one file of Rego", size(PolicyFileBytes), overPolicies},
		{"PolicyFiles", "files of a run", count(PolicyFiles), overPolicies},
		{"PolicyBytes", "all files of a run", size(PolicyBytes), overPolicies},
		{"PolicyEntries", "files and folders that are looked at", count(PolicyEntries), overPolicies},
		{"PolicyExpansion", "parts of a value that is written with variables", count(PolicyExpansion), "MESHC1700"},
		{"PolicyObjectSteps", "steps of all rules on one object", count(PolicyObjectSteps), overPolicies},
		{"PolicyRunSteps", "steps of a run", count(PolicyRunSteps), overPolicies},
		{"PolicyRunObjectSteps", "and for each object more", count(PolicyRunObjectSteps), overPolicies},
		{"PolicyStepBytes", "bytes of text that a builtin reads or makes for a step", count(PolicyStepBytes), overPolicies},
		{"PolicyTextBytes", "a text that a builtin makes", size(PolicyTextBytes), overPolicies},
	}}
}

func evaluators() Table {
	return Table{"Expressions and scripts in fields, besides what Envoy takes", []Bound{
		{"ExpressionDepth", "operations of CEL in each other", count(ExpressionDepth), "the finding of the field"},
		{"ChunkDepth", "blocks and expressions of Lua in each other", count(ChunkDepth), "the finding of the field"},
	}}
}

func others() Table {
	return Table{"Other files of verbs", []Bound{
		{"SettingsBytes", "`meshc.yaml`", size(SettingsBytes), unusable},
		{"TextBytes", "calls, nodes, tokens and claims", size(TextBytes), unusable},
	}}
}

func listeners() Table {
	return Table{"A listener", []Bound{
		{"ChainMatches", "combinations of what its filter chains match on", count(ChainMatches), "MESHC1490 (EnvoyFilter), MESHC1491"},
	}}
}

func callers() Table {
	return Table{"The server: one caller", []Bound{
		{"Handshake", "time for TLS and HTTP/2", period(Handshake), "the connection ends"},
		{"FirstRequest", "time until its first request", period(FirstRequest), "the stream ends: DeadlineExceeded"},
		{"ConnStreams", "streams of one connection", count(ConnStreams), "further ones wait"},
		{"HeaderBytes", "headers of a stream", size(HeaderBytes), ended},
		{"TokenBytes", "the token of a service account", size(TokenBytes), "the stream ends: Unauthenticated"},
		{"MessageBytes", "a request", size(MessageBytes), ended},
		{"NodeIDBytes", "the id of a node", size(NodeIDBytes), "the stream ends: InvalidArgument"},
		{"NodeMetadataBytes", "the metadata of a node", size(NodeMetadataBytes), "the stream ends: InvalidArgument"},
	}}
}

func streams() Table {
	return Table{"The server: one stream", []Bound{
		{"StreamNames", "names that no bundle has, of each type", count(StreamNames), ended},
		{"StreamSecrets", "secrets", count(StreamSecrets), "further ones are not there"},
		{"StreamUnanswered", "responses without an answer, of each type", count(StreamUnanswered), notKept},
		{"StreamIsolating", "responses that look for what the proxy refuses, of each type, until the bundle changes", count(StreamIsolating), "the rest of a response that is refused stays away, too"},
		{"StreamRefusals", "refusals that `/status` shows", count(StreamRefusals), "the oldest goes"},
		{"RefusalNames", "resources named in one of them", count(RefusalNames), "left out"},
		{"RefusalErrorBytes", "its message", size(RefusalErrorBytes), "cut"},
		{"StreamUnserved", "types that no bundle has", count(StreamUnserved), "not told apart"},
	}}
}

func replays() Table {
	return Table{"A log that is replayed", []Bound{
		{"ReplayLine", "a line", size(ReplayLine), "not used, and counted"},
		{"ReplayShapes", "shapes of requests of which it is known at one time where they go", count(ReplayShapes), "followed again"},
		{"ReplayGroups", "differences that are told apart", count(ReplayGroups), "counted together"},
		{"ReplayReasons", "reasons why lines are not used", count(ReplayReasons), "counted together"},
	}}
}

func together() Table {
	return Table{"The server: all callers, unless flags say otherwise", []Bound{
		{"Streams", "streams (`--max-streams`), half of them of one identity", count(Streams), ended},
		{"RequestRate", "requests of a stream in a second (`--max-request-rate`), ten times as many at once", count(RequestRate), "they wait"},
		{"SecretWatches", "secrets of the API server that are watched (`--max-secret-watches`)", count(SecretWatches), "further ones are not there"},
		{"ExtensionLists", "lists of extensions that are told apart", count(ExtensionLists), "taken for unknown"},
		{"ExtensionBytes", "one of them", size(ExtensionBytes), "taken for unknown"},
	}}
}

func logs() Table {
	return Table{"The server: lines of log about callers", []Bound{
		{"LogAgain", "time in which the same of one node is logged once", period(LogAgain), "counted"},
		{"CallersBurst", "lines at once, of all callers", count(CallersBurst), "counted"},
		{"CallersEvery", "time for each line more", period(CallersEvery), "counted"},
		{"LogBurst", "lines at once about callers that are refused and the like", count(LogBurst), "counted"},
		{"LogEvery", "time for each line more", period(LogEvery), "counted"},
		{"LogKeys", "things that are told apart", count(LogKeys), "logged anew"},
		{"LogKeyBytes", "what tells them apart", size(LogKeyBytes), "taken for the same"},
	}}
}

func files() Table {
	return Table{"The server: what it reads", []Bound{
		{"EndpointBytes", "all files of `--endpoints`", size(EndpointBytes), "the last good ones stay"},
		{"EndpointFiles", "their number", count(EndpointFiles), "the last good ones stay"},
		{"EndpointDepth", "lists in lists in them", count(EndpointDepth), "the last good ones stay"},
		{"SecretBytes", "a file of a secret, or the value of a key", size(SecretBytes), "the last good one stays"},
		{"TokenKeyFiles", "files of `--token-keys`", count(TokenKeyFiles), "the last good ones stay"},
		{"SecretReads", "files of secrets that are being read", count(SecretReads), "further ones wait"},
		{"SecretWait", "time for which a proxy waits for its own", period(SecretWait), "it is answered without, and again when it comes"},
		{"StallAfter", "time after which a read counts as one that hangs", period(StallAfter), "`/watchz` and metrics say so"},
		{"RetryFailed", "time after which what failed is read again though it looks the same", period(RetryFailed), "–"},
	}}
}

func admin() Table {
	return Table{"The server: one request to the admin port", []Bound{
		{"AdminHeaderBytes", "its headers", size(AdminHeaderBytes), "status 431"},
		{"AdminHeaderTime", "time for them", period(AdminHeaderTime), "the connection ends"},
		{"AdminTime", "time for all of it", period(AdminTime), "the connection ends"},
		{"CommandBytes", "the body of a command, and the token", size(CommandBytes), "status 400"},
	}}
}

func compiles() Table {
	return Table{"The server: compiling what it serves", []Bound{
		{"GitFetchTime", "time for one look at a remote Git repository", period(GitFetchTime), "the last good bundle stays"},
		{"GitFetchBytes", "disk for its commit, with the one before", size(GitFetchBytes), "the last good bundle stays"},
		{"CompileTime", "time for one run of the compiler", period(CompileTime), "the last good bundle stays"},
		{"CompileText", "what a run prints", size(CompileText), "the rest is left out"},
		{"ReportBytes", "findings of a run", size(ReportBytes), "the last good bundle stays"},
		{"HookBytes", "the body of a webhook", size(HookBytes), "status 413"},
		{"HookTime", "time for all of a webhook", period(HookTime), "the connection ends"},
		{"HookPause", "time between two looks that webhooks ask for", period(HookPause), "the second look waits"},
		{"ReviewBytes", "a review of a pod, by `meshc webhook`", size(ReviewBytes), "status 413"},
		{"ReviewTime", "time for one", period(ReviewTime), "the connection ends"},
		{"HooksKept", "webhooks that are known again", count(HooksKept), "a look in vain"},
	}}
}

// size writes bytes.
func size(n int64) string {
	for _, u := range []struct {
		of   int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n%u.of == 0 {
			return fmt.Sprintf("%d %s", n/u.of, u.name)
		}
	}
	return count(n) + " bytes"
}

// count writes a number with commas.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func period(d time.Duration) string {
	if d >= time.Minute {
		return fmt.Sprintf("%v min", d.Minutes())
	}
	return fmt.Sprintf("%v s", d.Seconds())
}

func observations() Table {
	return Table{"What a server asks while a rollout is under way", []Bound{
		{"ObservedProxies", "proxies of the waves whose metrics are read", count(ObservedProxies), "those with the lowest ids count"},
		{"ObserveTime", "time for one answer", period(ObserveTime), "it counts as none"},
		{"MetricsBytes", "the metrics of one proxy", size(MetricsBytes), "they count as none"},
		{"MetricsLine", "one line of them", size(MetricsLine), "they count as none"},
	}}
}
