package limit

import "time"

// Of one caller of the server.
const (
	MessageBytes      = 16 << 20 // a reconnect of the largest proxies lists some ten thousand names and versions
	HeaderBytes       = 16 << 10
	TokenBytes        = 12 << 10 // those of Kubernetes have some 1,200
	NodeIDBytes       = 1 << 10
	NodeMetadataBytes = 1 << 20
	ConnStreams       = 64 // streams of one connection; a proxy needs one
	FirstRequest      = 30 * time.Second
	Handshake         = 10 * time.Second
)

// Of one stream.
const (
	StreamNames       = 200_000 // of each type, that no bundle has
	StreamSecrets     = 10_000
	StreamUnanswered  = 1024 // responses of each type that it may leave unanswered and still be heard about
	StreamIsolating   = 4096 // responses of each type that look for what it refuses, until the bundle changes
	StreamRefusals    = 8    // that /status shows
	RefusalNames      = 20   // of resources in one of them
	RefusalErrorBytes = 2000
	StreamUnserved    = 16 // types that are noted because no bundle has them
)

// Of all callers, where flags do not say otherwise.
const (
	Streams       = 20_000
	RequestRate   = 200 // requests of one stream in a second
	SecretWatches = 1000
)

// Of lines of log about callers.
const (
	LogAgain     = time.Minute // the same of one caller is logged once in so long
	LogBurst     = 20          // different things of one thing that is watched, at once
	LogEvery     = 10 * time.Second
	LogKeys      = 64 // things that are told apart
	CallersBurst = 200
	CallersEvery = 100 * time.Millisecond
	LogKeyBytes  = 300
)

// Of what is kept of the extensions that Envoys say they have: proxies run a few builds, each with some forty kilobytes.
const (
	ExtensionLists = 64
	ExtensionBytes = 1 << 18
)

// Of what the server reads besides bundles.
const (
	EndpointBytes = 256 << 20 // of all files
	EndpointFiles = 1000
	EndpointDepth = 4       // lists in lists
	SecretBytes   = 1 << 20 // a file, or the value of a key
	TokenKeyFiles = 100
	SecretReads   = 256 // under way; each that hangs keeps a thread
	SecretWait    = time.Second
	StallAfter    = 10 * time.Second // a read that takes longer counts as one that hangs
	RetryFailed   = time.Minute      // what failed is read again though it looks the same
)

// Of one request to the admin port.
const (
	AdminHeaderBytes = 1 << 16
	AdminHeaderTime  = 5 * time.Second
	AdminTime        = 10 * time.Second
	CommandBytes     = 1 << 16
)

// Of what is asked from outside while a rollout is under way.
const (
	ObservedProxies = 100 // whose metrics are read
	ObserveTime     = 5 * time.Second
	MetricsBytes    = 32 << 20 // of one proxy
	MetricsLine     = 1 << 16
)

// Of a server that compiles what it serves: fetching one commit of a remote Git repository, a run of the compiler, and a webhook.
const (
	GitFetchTime  = 5 * time.Minute
	GitFetchBytes = 1 << 30 // of the disk, with the commit before
	CompileTime   = 10 * time.Minute
	CompileText   = 1 << 20  // of what a run prints
	ReportBytes   = 64 << 20 // findings of a run
	HookBytes     = 25 << 20 // what GitHub sends at most
	HookTime      = time.Minute
	HookPause     = 5 * time.Second
	HooksKept     = 1000 // that are known again
)

// Of a webhook that injects.
const (
	ReviewBytes = 8 << 20 // an API server takes 3 MiB of an object
	ReviewTime  = 30 * time.Second
)
