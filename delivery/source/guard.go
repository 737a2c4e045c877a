package source

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
)

// Guard lets a bundle into service only if it is of the mesh of the one before, and not older.
type Guard struct {
	Allow []string // digests of bundles that may be older: whoever runs the server says so

	mu     sync.Mutex
	before served
}

// served is what counts of the bundle in service.
type served struct {
	digest      string
	trustDomain string
	time        string // of its commit
}

// Admit tells whether a bundle may follow the one that was admitted before; exempt are those that are asked for by digest.
func (g *Guard) Admit(name string, b *bundle.Bundle, exempt bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := served{b.Digest.String(), b.TrustDomain, b.Provenance.Source.Time}
	if g.before.digest != "" {
		if why := g.before.refuses(next, exempt || slices.Contains(g.Allow, next.digest)); why != "" {
			return &Refusal{name, why}
		}
	}
	g.before = next
	return nil
}

func (s served) refuses(next served, mayBeOlder bool) string {
	if next.trustDomain != s.trustDomain {
		return fmt.Sprintf("is of another mesh: its trust domain is %s, that of the bundle in service %s; start a server of its own for it", next.trustDomain, s.trustDomain)
	}
	if mayBeOlder {
		return ""
	}
	before, err := time.Parse(time.RFC3339, s.time)
	if err != nil {
		return "" // nothing to compare with
	}
	const anyway = "; --allow-older with its digest takes it all the same"
	at, err := time.Parse(time.RFC3339, next.time)
	switch {
	case err != nil:
		return fmt.Sprintf("does not say of which time it is, and the bundle in service is of %s%s", s.time, anyway)
	case at.Before(before):
		return fmt.Sprintf("is older than the bundle in service: its commit is of %s, that of the other of %s%s", next.time, s.time, anyway)
	}
	return ""
}
