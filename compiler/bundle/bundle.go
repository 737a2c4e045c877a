// Package bundle seals compiled xDS resources into one content-addressed artifact and reads it back.
//
// A bundle is a small tree of files whose digests stand in manifest.json; the digest of the bundle is the SHA-256 of
// that manifest, and covers what proxies may receive and how: resources, sets, classes, selectors, workloads, the plan of
// endpoints. How the bundle came to be stands beside it, in provenance.json: a comment that moves lines, or a commit that
// changes something else, gives another provenance and the same bundle. Resources are marshaled xDS messages, stored once
// each, concatenated in resources.bin and described by index.json. Classes (groups of proxies with the same configuration)
// do not list resources; they name sets, and sets list resources, so that what a thousand classes share is stored and
// digested once:
//
//	digest           SHA-256 of manifest.json and provenance.json, as sha256sum writes it
//	manifest.json    format, oldest Envoy, selectors, classes with the digests of their sets, digests of the next four files
//	index.json       trust domain, services; type, name, digest, offset and length of each resource; how live endpoints join
//	resources.bin    the messages, one after another in the order of the index
//	sets.json        the resources of each set, as ranges of positions in the index
//	workloads.json   the workloads that the input declares
//	provenance.json  digest of the manifest, compiler, commit, rollout, digest of the origins: one signature over it covers all
//	origins.json     file and line behind each resource
//
// The same input gives the same bytes: everything is sorted, nothing carries a time or a host name. Reading verifies
// each digest before the bytes are parsed and refuses what is truncated, altered, too large, or of a newer format.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/rollout"
)

// FormatVersion is the version of the file format that Seal writes. Read takes this one only.
const FormatVersion = "2"

// Type URLs of the xDS resources a bundle holds, in the order in which a proxy takes a change.
const (
	ClusterType            = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointsType          = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	ListenerType           = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteConfigurationType = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	VirtualHostType        = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
)

// Types lists the type URLs a bundle may hold, in the order of a change: make before break.
func Types() []string {
	return []string{ClusterType, EndpointsType, ListenerType, RouteConfigurationType, VirtualHostType}
}

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// String renders sha256:hex, as OCI does.
func (d Digest) String() string { return "sha256:" + hex.EncodeToString(d[:]) }

// Hex renders the digest without the algorithm.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// ResourceDigest identifies a resource: the SHA-256 of type URL, name and bytes. It is the resource's xDS version.
func ResourceDigest(typeURL, name string, b []byte) Digest {
	var buf [512]byte
	head := append(append(append(append(buf[:0], typeURL...), 0), name...), 0)
	h := sha256.New()
	h.Write(head)
	h.Write(b)
	var d Digest
	h.Sum(d[:0])
	return d
}

// Input is what the compiler hands to Seal.
type Input struct {
	Classes   []Class
	Selectors []Selector
	Workloads []Workload
	Source    SourceInfo
	Compiler  string // version of meshc
	EnvoyMin  string // oldest Envoy minor that can read the resources, as 1.36
	Plan      *endpoint.Plan
	Rollout   *rollout.Plan // nil: none

	TrustDomain string
	Services    []Service
}

// Service is a service that some class may call: what its names in xDS are about.
type Service struct {
	Cluster   string        `json:"cluster,omitempty"` // of the proxies that see it so, where the mesh has several
	Hostname  string        `json:"hostname"`          // lower case, may start with "*."
	Namespace string        `json:"namespace"`
	Addresses []string      `json:"addresses,omitempty"` // IP addresses and CIDRs; some may be for proxies that capture DNS only
	Ports     []ServicePort `json:"ports"`

	// Of a Kubernetes Service: it has an address of its own in its cluster, in Addresses or not known; or it is headless, and
	// clients call its endpoints.
	ClusterIP bool `json:"clusterIP,omitempty"`
	Headless  bool `json:"headless,omitempty"`
}

// ServicePort is a port of a Service.
type ServicePort struct {
	Number uint32 `json:"number"`
	Name   string `json:"name,omitempty"`
}

// Resource is one marshaled xDS resource. It is immutable once sealed.
type Resource struct {
	Type     string // type URL
	Name     string
	Bytes    []byte // deterministic encoding of the message
	Digest   Digest // ResourceDigest; zero: Seal computes it
	Origins  []Origin
	Selector *endpoint.Selector // clusters of discovery type EDS, and those that leave it to the node of the client which endpoint it is
	Join     *endpoint.Join     // endpoints that can come from a Kubernetes cluster: how a server makes them anew, by the Plan of the bundle

	index int32 // position in Bundle.Resources
}

// Origin is one place in the input behind a resource or a part of it.
type Origin struct {
	At        names.Part `json:"at,omitzero"` // what of the resource
	File      string     `json:"file"`
	Line      int        `json:"line"`
	Column    int        `json:"column,omitempty"`
	Kind      string     `json:"kind,omitempty"`
	Namespace string     `json:"namespace,omitempty"`
	Name      string     `json:"name,omitempty"`
	Field     string     `json:"field,omitempty"` // path in the object, as spec.http[0]
}

// Set is a list of resources that classes share. Hand the same pointer to all of them.
type Set struct {
	Resources []*Resource
	Requires  []Requirement // sorted
	Digest    Digest        // set by Seal and Read
}

// Class is a group of proxies that receive the same resources: those of all its sets.
type Class struct {
	ID              string
	Gateway         bool // router; false: sidecar
	Namespace       string
	Selectors       []string // signature: ids of the selectors of the bundle that match its proxies, no others do
	Workloads       []string // namespace/name, for people
	ServiceAccounts []string // of the workloads; a server with authenticated proxies compares
	Sets            []*Set
}

// Selector is a condition on a node that some configuration depends on. One of Labels, Address, Locality and Network is
// set; none, where the cluster is all that counts.
type Selector struct {
	ID        string            `json:"id"`
	Cluster   string            `json:"cluster,omitempty"`   // "": any cluster
	Namespace string            `json:"namespace,omitempty"` // "": any namespace
	Labels    map[string]string `json:"labels,omitempty"`    // the node has all of them
	Address   string            `json:"address,omitempty"`   // the node has this IP
	Locality  string            `json:"locality,omitempty"`  // region, region/zone or region/zone/subzone: equal or a prefix of the node's
	Network   string            `json:"network,omitempty"`   // equal to the node's
}

// Workload is a workload that the input declares and the class its proxies belong to.
type Workload struct {
	Kind           string            `json:"kind,omitempty"` // Deployment, Pod, WorkloadEntry …
	Namespace      string            `json:"namespace"`
	Name           string            `json:"name"`
	ServiceAccount string            `json:"serviceAccount,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	Addresses      []string          `json:"addresses,omitempty"`
	Locality       string            `json:"locality,omitempty"`
	Network        string            `json:"network,omitempty"`
	Cluster        string            `json:"cluster,omitempty"` // where the mesh has several
	Class          string            `json:"class,omitempty"`   // id of the class
	Proxy          bool              `json:"proxy,omitempty"`   // it has a proxy: a sidecar, or as a gateway
}

// Machine tells whether a workload runs outside Kubernetes, so that the input does not say what runs there.
func (w *Workload) Machine() bool { return w.Kind == "WorkloadEntry" || w.Kind == "WorkloadGroup" }

// Bundle is a sealed bundle. It is immutable and safe for concurrent use.
type Bundle struct {
	Digest      Digest // of what proxies may receive and how
	Provenance  Provenance
	Rollout     *rollout.Plan // how servers take it into service, no part of the digest; nil: at once
	EnvoyMin    string
	TrustDomain string
	Selectors   []Selector  // sorted by id
	Classes     []*Class    // sorted by id
	Sets        []*Set      // sorted by digest
	Resources   []*Resource // sorted by type in the order of Types, name, digest
	Workloads   []Workload
	Services    []Service      // sorted by cluster, hostname, namespace
	Plan        *endpoint.Plan // for a server that sees live endpoints; nil: the endpoints in the bundle are all there are

	// Credentials are what in it is a bearer token or a password: a header that a route sets may have to be one. Seal says
	// so; a bundle that was read has none here.
	Credentials []Secret

	files   []file // what WriteDir and WriteTarGz write, sorted by name
	matcher matcher
}

type file struct {
	name string
	data []byte
}

// Class returns the class with the id, or nil.
func (b *Bundle) Class(id string) *Class { return b.matcher.byID[id] }

// Find returns the position of a resource of the same type, name and bytes as one of another bundle.
func (b *Bundle) Find(r *Resource) (int, bool) {
	return slices.BinarySearchFunc(b.Resources, r, compareContent)
}

// Detach gives each resource bytes of its own, or those of the equal resource of another bundle; nil: there is none. A
// bundle that was read is one piece of memory, all of which lives as long as anything points into one resource. Nobody else
// may use the bundle yet.
func (b *Bundle) Detach(before *Bundle) {
	if before == b {
		return
	}
	var others []*Resource
	if before != nil {
		others = before.Resources
	}
	for _, r := range b.Resources {
		for len(others) > 0 && compareContent(others[0], r) < 0 {
			others = others[1:]
		}
		if len(others) > 0 && compareContent(others[0], r) == 0 {
			r.Bytes = others[0].Bytes
		} else {
			r.Bytes = bytes.Clone(r.Bytes)
		}
	}
}

// RenameFiles gives the files that origins name other names, for people to look at. It is for a bundle that was just
// sealed and that nobody else uses yet; what is written keeps the names it was sealed with.
func (b *Bundle) RenameFiles(name func(file string) string) {
	for _, r := range b.Resources {
		for i := range r.Origins {
			r.Origins[i].File = name(r.Origins[i].File)
		}
	}
}

// Resources returns the resources of the class, each once, sorted as Bundle.Resources. The slice is the caller's.
func (c *Class) Resources() []*Resource {
	lists := make([][]*Resource, len(c.Sets))
	for i, s := range c.Sets {
		lists[i] = s.Resources
	}
	return Union(lists...)
}

// Union merges resources of one bundle, sorted as there, so that each is in it once.
func Union(lists ...[]*Resource) []*Resource {
	var out []*Resource
	for _, list := range lists {
		out = mergeResources(out, list)
	}
	return out
}

func mergeResources(a, b []*Resource) []*Resource {
	out := make([]*Resource, 0, len(a)+len(b))
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i].index < b[j].index:
			out = append(out, a[i])
			i++
		case a[i].index > b[j].index:
			out = append(out, b[j])
			j++
		default:
			out = append(out, a[i])
			i, j = i+1, j+1
		}
	}
	return append(append(out, a[i:]...), b[j:]...)
}
