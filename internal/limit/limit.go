// Package limit declares what a reader or an evaluator takes before it gives up, so that no input can take a machine's
// memory or time. Every number stands here once: code refers to the constant, and docs/limits.md to Table.
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
)

// Of one kustomization, besides those of a source and of YAML.
const (
	KustomizeBuilds = 10_000
	KustomizeSteps  = 300_000_000 // comparisons of objects
	KustomizeMemory = 2 << 30     // bytes by which memory grows
)

// Of one Git repository.
const (
	GitObjects = 2_000_000
	GitPacks   = 1000
	GitDeltas  = 4096    // of one object, which is what git itself makes at most
	GitStores  = 20      // of objects: its own and the alternates
	GitMemory  = 2 << 30 // bytes by which memory grows
)
