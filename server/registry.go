package server

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

// kind is a type of resource as streams see it, in the order in which a proxy takes a change.
type kind int

const (
	clusters kind = iota
	endpoints
	secrets
	listeners
	routes // route configurations without their virtual hosts
	virtualHosts
	inlinedRoutes // route configurations with their virtual hosts, for proxies without delta xDS
	kinds
)

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

func (k kind) url() string {
	switch k {
	case clusters:
		return bundle.ClusterType
	case endpoints:
		return bundle.EndpointsType
	case secrets:
		return secretType
	case listeners:
		return bundle.ListenerType
	case virtualHosts:
		return bundle.VirtualHostType
	default:
		return bundle.RouteConfigurationType
	}
}

// String is the short name of metrics and status.
func (k kind) String() string {
	return [...]string{"cds", "eds", "sds", "lds", "rds", "vhds", "rds"}[k]
}

func kindOf(url string, delta bool) (kind, bool) {
	switch url {
	case bundle.ClusterType:
		return clusters, true
	case bundle.EndpointsType:
		return endpoints, true
	case secretType:
		return secrets, true
	case bundle.ListenerType:
		return listeners, true
	case bundle.RouteConfigurationType:
		if delta {
			return routes, true
		}
		return inlinedRoutes, true
	case bundle.VirtualHostType:
		return virtualHosts, delta
	}
	return 0, false
}

// entry is one version of one resource, with the bytes that go out. Streams share it.
type entry struct {
	name    string
	nameID  int32
	group   string // virtual hosts: the route configuration
	version string
	head    []byte           // of a discovery Resource, up to value: the field of DeltaDiscoveryResponse, version, name, Any's type URL
	value   []byte           // the message
	tail    []byte           // the end of the message, where it differs from the bundle's
	from    *bundle.Resource // its type, name, digest and some origins, without bytes; nil: a secret
}

// space numbers the entries of one kind, so that what a proxy holds is a bitset.
type space struct {
	byKey   map[entryKey]int32
	entries []*entry
	names   map[string]int32
	added   int // since the last sweep
}

type entryKey struct{ name, version string }

// registry numbers entries across bundles. Numbers only grow, and the messages of what no stream and no bundle needs are
// forgotten (see sweep); when most numbers are history a new registry takes its place, and streams translate what they hold.
type registry struct {
	mu     sync.RWMutex
	spaces [kinds]space
}

func newRegistry() *registry {
	r := &registry{}
	for k := range r.spaces {
		r.spaces[k] = space{byKey: map[entryKey]int32{}, names: map[string]int32{}}
	}
	return r
}

func (r *registry) size() (n int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for k := range r.spaces {
		n += len(r.spaces[k].entries)
	}
	return n
}

// list returns the entries by number, as of now.
func (r *registry) list(k kind) []*entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.spaces[k].entries
}

// find returns the number of a version of a resource.
func (r *registry) find(k kind, name, version string) (int32, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.spaces[k].byKey[entryKey{name, version}]
	return id, ok
}

// nameID returns the number of a name that any bundle had.
func (r *registry) nameID(k kind, name string) (int32, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.spaces[k].names[name]
	return id, ok
}

// serves is the number of a version that can be sent, or is only to be remembered: a version whose message was forgotten,
// or came without one with a stream from another registry, is no answer to who has the message.
func (s *space) serves(key entryKey, value []byte) (int32, bool) {
	id, ok := s.byKey[key]
	return id, ok && (len(value) == 0 || len(s.entries[id].value) > 0)
}

// add numbers an entry. The value is empty where what a stream holds is only to be remembered.
func (r *registry) add(k kind, name, version string, value []byte, from *bundle.Resource) int32 {
	key := entryKey{name, version}
	r.mu.RLock()
	id, ok := r.spaces[k].serves(key, value)
	r.mu.RUnlock()
	if ok {
		return id
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.spaces[k]
	if id, ok := s.serves(key, value); ok {
		return id
	}
	nameID, ok := s.names[name]
	if !ok {
		nameID = int32(len(s.names))
		s.names[name] = nameID
	}
	e := &entry{name: name, nameID: nameID, version: version, value: value, from: trimmed(from)}
	if k == virtualHosts {
		// Envoy files virtual hosts by the name in the message and removes them by the name of the resource, so the two
		// have to be equal. The last name in a message counts.
		e.group, _ = names.ParseVirtualHost(name)
		e.tail = appendText(nil, virtualHostName, name)
	}
	e.head = head(k.url(), name, version, len(value)+len(e.tail))
	id = int32(len(s.entries))
	s.entries = append(s.entries, e)
	s.byKey[key] = id
	s.added++
	return id
}

// trimmed is what a refusal has to be told of a resource: a copy that keeps nothing of the bundle it is of.
func trimmed(r *bundle.Resource) *bundle.Resource {
	if r == nil || r.Bytes == nil {
		return r
	}
	return &bundle.Resource{Type: r.Type, Name: r.Name, Digest: r.Digest, Origins: slices.Clone(r.Origins[:min(maxOrigins, len(r.Origins))])}
}

// unused returns the entries that have a message and are not in use.
func (r *registry) unused(k kind, used bitset) (out bitset) {
	for id, e := range r.list(k) {
		if len(e.value) > 0 && !used.has(int32(id)) {
			out.set(int32(id))
		}
	}
	return out
}

// forget drops the messages of entries. Their numbers stay, for what proxies hold; who needs the resource again gets
// another number.
func (r *registry) forget(k kind, ids bitset) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.spaces[k]
	var entries []*entry // a copy: others read the slice as it is
	ids.each(func(id int32) {
		if entries == nil {
			entries = slices.Clone(s.entries)
		}
		e := *entries[id]
		e.head, e.value, e.tail = nil, nil, nil
		entries[id] = &e
		if s.byKey[entryKey{e.name, e.version}] == id {
			delete(s.byKey, entryKey{e.name, e.version})
		}
	})
	if entries != nil {
		s.entries = entries
	}
}

// Field numbers of the discovery messages.
const (
	anyTypeURL, anyValue = 1, 2

	resourceVersion, resourceAny, resourceName = 1, 2, 3

	deltaSystemVersion, deltaResources, deltaTypeURL, deltaNonce, deltaRemoved = 1, 2, 4, 5, 6

	virtualHostName = 1

	sotwVersion, sotwResources, sotwTypeURL, sotwNonce = 1, 2, 4, 5
)

// head encodes all of a discovery Resource, as field 2 of a DeltaDiscoveryResponse, that comes before the message.
func head(url, name, version string, size int) []byte {
	anyHead := appendText(nil, anyTypeURL, url)
	anyHead = protowire.AppendVarint(protowire.AppendTag(anyHead, anyValue, protowire.BytesType), uint64(size))
	inner := appendText(appendText(nil, resourceVersion, version), resourceName, name)
	inner = protowire.AppendVarint(protowire.AppendTag(inner, resourceAny, protowire.BytesType), uint64(len(anyHead)+size))
	out := protowire.AppendTag(make([]byte, 0, len(anyHead)+len(inner)+8), deltaResources, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(len(inner)+len(anyHead)+size))
	return append(append(out, inner...), anyHead...)
}

// sotwHead encodes what comes before the message in field 2 of a DiscoveryResponse.
func sotwHead(url string, size int) []byte {
	anyHead := appendText(nil, anyTypeURL, url)
	anyHead = protowire.AppendVarint(protowire.AppendTag(anyHead, anyValue, protowire.BytesType), uint64(size))
	out := protowire.AppendTag(make([]byte, 0, len(anyHead)+8), sotwResources, protowire.BytesType)
	return append(protowire.AppendVarint(out, uint64(len(anyHead)+size)), anyHead...)
}

func appendText(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

// version shortens a digest to what a proxy has to remember: 128 bits.
func version(d bundle.Digest) string { return hex.EncodeToString(d[:16]) }

// fold joins the digests of endpoints and their cluster: a cluster that changes waits for its endpoints to come again,
// so they count as changed with it.
func fold(endpoints, cluster bundle.Digest) string {
	h := sha256.New()
	h.Write(endpoints[:])
	h.Write(cluster[:])
	var d bundle.Digest
	h.Sum(d[:0])
	return version(d)
}
