// Package limit declares what a reader or an evaluator takes before it gives up, so that no input can take a machine's
// memory or time. Every number stands here once: code refers to the constant, and
// docs/limits.md is made of Tables, which name each of them.
//
// Limits are counted in what does not depend on the machine: bytes, nodes, files, steps. They are far above what a real
// repository or a real server needs.
package limit

// Of one source of a compile: standard input, a file, a directory, a kustomization, a Git revision or an archive.
const (
	FileBytes     = 4 << 20
	SourceBytes   = 256 << 20
	SourceFiles   = 50_000
	SourceEntries = 500_000 // a few Git trees can stand for billions
	PathDepth     = 128
	PathBytes     = 4096
)

// Of one YAML text.
const (
	Documents    = 500_000
	NestingDepth = 100
	MappingKeys  = 10_000
	ListItems    = 20_000
	Nodes        = 200_000
	AliasNodes   = 100_000
)

// Of one tar archive, besides those of what it holds.
const (
	ArchiveRatio   = 100      // how many times its size it may unpack to, beyond
	ArchiveFree    = 64 << 20 // bytes
	ArchivePadding = 1 << 20  // bytes of zeros behind its end
)

// Of one bundle.
const (
	BundleBytes   = 256 << 20 // for its writer, too
	BundleEntries = 100       // of an archive; a bundle has eight files

	// Parts of one JSON file, which take more memory than bytes.
	BundleFree           = 1 << 16 // objects, lists and values that may be as small as they like
	BundleStructures     = 4_000_000
	BundleStructureBytes = 24 // for each object or list, on the average
	BundleValueBytes     = 6  // for each value

	BundleSetResources = 1 << 25 // in all sets; they overlap little, and one that lists everything is a few bytes
	BundleClassSets    = 1000
	BundleRequirements = 1 << 20 // of all sets; some thirty of each are many

	ConfigMapBytes = 1<<20 - 16<<10 // of an archive in a ConfigMap, which Kubernetes lets hold 1 MiB

	// Of the files of one proxy without a server, for their writer, too; as JSON they are some five times the resources.
	ProxyFiles     = 1 << 20
	ProxyFileBytes = 1 << 30
)

// Of one listener: how many combinations of what its filter chains match on, in all.
const ChainMatches = 1 << 20

// Of one kustomization, besides those of a source and of YAML.
const (
	KustomizeBuilds = 10_000
	KustomizeSteps  = 20_000_000 // comparisons of objects, in all kustomizations of a source: a minute or so
	// Bytes by which memory grows: for each byte of its files, and whatever their size, but never more than the last.
	KustomizeByteMemory = 100
	KustomizeFree       = 512 << 20
	KustomizeMemory     = 2 << 30
)

// Of one Git repository.
const (
	GitObjects = 2_000_000
	GitPacks   = 1000
	GitDeltas  = 4096    // of one object, which is what git itself makes at most
	GitStores  = 20      // of objects: its own and the alternates
	GitMemory  = 2 << 30 // bytes by which memory grows
)

// Of the configuration of a Git work tree, and of what is kept of all sources to show the lines of findings.
const (
	GitConfigBytes = 1 << 20
	ShownBytes     = 64 << 20
)

// Of meshc.yaml, and of the folders that are looked through for Rego.
const (
	SettingsBytes = 1 << 20
	PolicyEntries = 100_000
)

// Of the policies of a run. Compiling Rego takes far more memory than its text.
const (
	PolicyFileBytes = 1 << 20
	PolicyFiles     = 1000
	PolicyBytes     = 16 << 20
	PolicyExpansion = 100_000 // parts of a value that is written with variables

	// Of evaluating them, in steps: an expression that is looked at, an element that a builtin goes through, or
	// PolicyStepBytes of text that it reads or makes.
	PolicyObjectSteps    = 5_000_000 // of all rules on one object
	PolicyRunSteps       = 20_000_000
	PolicyRunObjectSteps = 5000 // of a run, for each object more
	PolicyStepBytes      = 16
	PolicyTextBytes      = 4 << 20 // of one text that a builtin makes
)

// Of the evaluators of what stands in fields, besides those that Envoy has.
const (
	ExpressionDepth = 32  // of CEL
	ChunkDepth      = 200 // of Lua, as LuaJIT has it
)

// Of the other files that verbs read: nodes, calls, tokens and claims.
const TextBytes = 4 << 20

// CompileMemory is where the collector begins to run more often. A larger mesh takes longer, and does not fail.
const CompileMemory = 3 << 30

// Of one artifact in a registry, besides those of the bundle in it.
const (
	ManifestBytes  = 4 << 20
	ArtifactLayers = 10_000
	Referrers      = 100 // that are looked at: signatures of one artifact
	ReferrerBytes  = 1 << 20
)

// KeptBundles is how many bundles a folder keeps besides those that somebody needs.
const KeptBundles = 20

// Of one log that is replayed.
const (
	ReplayLine    = 1 << 20 // bytes
	ReplayShapes  = 1 << 16 // shapes of requests of which it is known at one time where they go
	ReplayGroups  = 1000    // differences that are told apart
	ReplayReasons = 100     // why lines are not used
)
