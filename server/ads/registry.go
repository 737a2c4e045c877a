package ads

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

// sweepAfter is how many entries of a kind are added before it is worth looking for those that nobody needs.
const sweepAfter = 64

// maxOrigins is how many origins of a resource are kept for what has to be told of a refusal.
const maxOrigins = 5

// Entry is one version of one resource, with the bytes that go out. Streams share it.
type Entry struct {
	Name    string
	nameID  int32
	group   string // virtual hosts: the route configuration
	Version string
	head    []byte           // of a discovery Resource, up to value: the field of DeltaDiscoveryResponse, version, name, Any's type URL
	value   []byte           // the message
	tail    []byte           // the end of the message, where it differs from the bundle's
	from    *bundle.Resource // its type, name, digest and some origins, without bytes; nil: a secret
}

// space numbers the entries of one kind, so that what a proxy holds is a Bitset.
type space struct {
	byKey   map[entryKey]int32
	entries []*Entry
	names   map[string]int32
	added   int // since the last sweep
}

type entryKey struct{ name, version string }

// Registry numbers entries across bundles. Numbers only grow, and the messages of what no stream and no bundle needs are
// forgotten (see sweep); when most numbers are history a new registry takes its place, and streams translate what they hold.
type Registry struct {
	mu     sync.RWMutex
	spaces [Kinds]space
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	r := &Registry{}
	for k := range r.spaces {
		r.spaces[k] = space{byKey: map[entryKey]int32{}, names: map[string]int32{}}
	}
	return r
}

// Size is how many entries are numbered.
func (r *Registry) Size() (n int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for k := range r.spaces {
		n += len(r.spaces[k].entries)
	}
	return n
}

// Crowded tells whether most of what is numbered is history, when so many are needed.
func (r *Registry) Crowded(needed int) bool { return r.Size() >= 2*needed+4096 }

// List returns the entries by number, as of now.
func (r *Registry) List(k Kind) []*Entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.spaces[k].entries
}

// find returns the number of a version of a resource.
func (r *Registry) find(k Kind, name, version string) (int32, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.spaces[k].byKey[entryKey{name, version}]
	return id, ok
}

// nameID returns the number of a name that any bundle had.
func (r *Registry) nameID(k Kind, name string) (int32, bool) {
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

// Add numbers an entry. The value is empty where what a stream holds is only to be remembered.
func (r *Registry) Add(k Kind, name, version string, value []byte, from *bundle.Resource) int32 {
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
	e := &Entry{Name: name, nameID: nameID, Version: version, value: value, from: trimmed(from)}
	if k == VirtualHosts {
		// Envoy files virtual hosts by the name in the message and removes them by the name of the resource, so the two
		// have to be equal. The last name in a message counts.
		e.group, _ = names.ParseVirtualHost(name)
		e.tail = appendText(nil, virtualHostName, name)
	}
	e.head = head(k.URL(), name, version, len(value)+len(e.tail))
	id = int32(len(s.entries))
	s.entries = append(s.entries, e)
	s.byKey[key] = id
	s.added++
	return id
}

// AddMade numbers what the server made itself; its version is that of its bytes.
func (r *Registry) AddMade(k Kind, name string, value []byte) int32 {
	return r.Add(k, name, Version(sha256.Sum256(value)), value, nil)
}

// trimmed is what a refusal has to be told of a resource: a copy that keeps nothing of the bundle it is of.
func trimmed(r *bundle.Resource) *bundle.Resource {
	if r == nil || r.Bytes == nil {
		return r
	}
	return &bundle.Resource{Type: r.Type, Name: r.Name, Digest: r.Digest, Origins: slices.Clone(r.Origins[:min(maxOrigins, len(r.Origins))])}
}

// Unused returns the entries that have a message and are not in use.
func (r *Registry) Unused(k Kind, used Bitset) (out Bitset) {
	for id, e := range r.List(k) {
		if len(e.value) > 0 && !used.Has(int32(id)) {
			out.Set(int32(id))
		}
	}
	return out
}

// Forget drops the messages of entries. Their numbers stay, for what proxies hold; who needs the resource again gets
// another number.
func (r *Registry) Forget(k Kind, ids Bitset) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.spaces[k]
	var entries []*Entry // a copy: others read the slice as it is
	ids.Each(func(id int32) {
		if entries == nil {
			entries = slices.Clone(s.entries)
		}
		e := *entries[id]
		e.head, e.value, e.tail = nil, nil, nil
		entries[id] = &e
		if s.byKey[entryKey{e.Name, e.Version}] == id {
			delete(s.byKey, entryKey{e.Name, e.Version})
		}
	})
	if entries != nil {
		s.entries = entries
	}
}

// WorthSweeping tells whether so much was added that it is worth looking for what nobody needs.
func (r *Registry) WorthSweeping() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for k := range r.spaces {
		if s := &r.spaces[k]; Kind(k) != Secrets && s.added >= max(sweepAfter, len(s.entries)/16) {
			return true
		}
	}
	return false
}

// Swept notes that somebody has looked.
func (r *Registry) Swept() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := range r.spaces {
		r.spaces[k].added = 0
	}
}
