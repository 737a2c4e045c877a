package server

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
)

// extensionLists keeps what extensions Envoys say they have, one list for all of a build.
type extensionLists struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]map[string]bool
}

// of returns the extensions of a node, by the messages that configure them; nil: it does not say, or too many others have
// said something else.
func (l *extensionLists) of(m *corev3.Node) map[string]bool {
	var urls []string
	size := 0
	for _, e := range m.GetExtensions() {
		if !e.GetDisabled() {
			urls = append(urls, e.GetTypeUrls()...)
		}
	}
	for _, u := range urls {
		size += len(u)
	}
	if len(urls) == 0 || size > limit.ExtensionBytes {
		return nil
	}
	slices.Sort(urls)
	urls = slices.Compact(urls)
	key := sha256.Sum256([]byte(strings.Join(urls, "\n")))
	l.mu.Lock()
	defer l.mu.Unlock()
	if have, ok := l.known[key]; ok {
		return have
	}
	if len(l.known) >= limit.ExtensionLists {
		return nil
	}
	if l.known == nil {
		l.known = map[[sha256.Size]byte]map[string]bool{}
	}
	set := make(map[string]bool, len(urls))
	for _, u := range urls {
		set[strings.Clone(u)] = true // the request that it is a part of is not kept
	}
	l.known[key] = set
	return set
}

// loads tells whether the Envoy of the caller has all extensions that a class needs, or which it has not: Envoy would refuse
// whatever holds one of them, and be left with parts of two configurations. An Envoy that does not say is let in.
func (c *caller) loads(b *bundle.Bundle, class *bundle.Class) error {
	var missing []string
	for _, l := range c.lacks(class) {
		if l.Name == bundle.Extension {
			missing = append(missing, l.Of)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	more := ""
	if n := len(missing) - namedExtensions; n > 0 {
		missing, more = missing[:namedExtensions], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("the bundle %s has for node %q what its Envoy cannot load: it has no extension that takes %s%s; run an Envoy that has, or take out what needs it (meshc bundle inspect shows which class needs what)",
		b.Digest, c.node.ID, strings.Join(missing, ", "), more)
}

// namedExtensions is how many of the extensions that an Envoy does not have a reason names.
const namedExtensions = 5

// lacks tells what a class needs and the caller does not say that its proxy has.
func (c *caller) lacks(class *bundle.Class) []bundle.Lack {
	if c.extensions == nil {
		return class.Lacks(c.node, nil)
	}
	return class.Lacks(c.node, func(name string) bool { return c.extensions[name] })
}

// warnOfLacks logs what a proxy lacks, once for as long as it lacks the same.
func (srv *Server) warnOfLacks(c *caller, now, before []bundle.Lack) {
	if len(now) == 0 || slices.Equal(now, before) {
		return
	}
	lacks, whys := make([]string, len(now)), make([]string, 0, 1)
	for i, l := range now {
		lacks[i] = l.String()
		if !slices.Contains(whys, l.Why) {
			whys = append(whys, l.Why)
		}
	}
	what := strings.Join(lacks, ", ")
	srv.report(slog.LevelWarn, c.node.ID, "proxy may refuse what it gets: it lacks what its class needs", what, "needs", what, "reason", strings.Join(whys, "; "))
}

// lackedBy is what a proxy lacks, for /status.
func (c *caller) lackedBy() (out []string) {
	if j := c.last.Load(); j != nil {
		for _, l := range j.lacks {
			out = append(out, l.String()+": "+l.Why)
		}
	}
	return out
}

// lackedNames are the names of the requirements that a proxy lacks, for metrics, each once.
func (c *caller) lackedNames() (out []string) {
	j := c.last.Load()
	if j == nil {
		return nil
	}
	for _, l := range j.lacks {
		name := l.Name
		if name != bundle.ProgramSize {
			name = "other"
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
