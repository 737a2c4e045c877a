package source

import (
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/delivery/store"
)

// Library gives a server the bundles of a store, each only if its signatures hold by the trust file of now, at the time when
// it was taken.
type Library struct {
	Store *store.Store
	Trust *signature.Trust // nil: whatever is there
}

// Bundle reads a bundle that is kept; nil: it is not.
func (l Library) Bundle(digest string) (*bundle.Bundle, error) {
	r, p, err := l.Store.Find(digest)
	if p == nil || err != nil {
		return nil, err
	}
	if l.Trust != nil {
		subjects := subjectsOf(p.Ref, p.Bundle)
		if r.Ref.Host == "" {
			subjects = fileSubjectsOf(p.Bundle)
		}
		if _, err := l.Trust.VerifyAt(subjects, r.Signatures, r.Verified); err != nil {
			return nil, &Refusal{digest, err.Error()}
		}
	}
	return p.Bundle.ForServing(), nil
}

// List tells what is kept, the latest first.
func (l Library) List() ([]bundle.Kept, error) {
	records, err := l.Store.List()
	if err != nil {
		return nil, err
	}
	out := make([]bundle.Kept, len(records))
	for i, r := range records {
		out[i] = bundle.Kept{Bundle: r.Bundle, Revision: r.Revision, Kept: r.Kept}
	}
	return out, nil
}

// Save remembers the state of a server, and keeps the bundles that it needs.
func (l Library) Save(state []byte, needed []string) error { return l.Store.Save(state, needed) }

// State is what was saved last; nil: nothing was.
func (l Library) State() ([]byte, error) { return l.Store.State() }
