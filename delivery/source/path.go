package source

import (
	"fmt"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/delivery/store"
)

// Path is where a bundle lies as a file or folder.
type Path struct {
	Name  string
	Trust *signature.Trust // nil: whatever lies there, however old it is
	Store *store.Store     // keeps what may be served; nil: nothing is kept
	Guard *Guard
}

// Admit tells whether a bundle that was read there may be served, and keeps it. One that cannot be kept is not served: whoever
// wants bundles to be kept wants to be able to go back to each.
func (p Path) Admit(b *bundle.Bundle) error {
	r := store.Record{Verified: time.Now().UTC()}
	if p.Trust != nil {
		_, signed, err := VerifyFile(p.Name, b, SignatureFile(p.Name), p.Trust)
		if err != nil {
			return err
		}
		if err := p.Guard.Admit(p.Name, b, false); err != nil {
			return err
		}
		r.Signatures = [][]byte{signed}
	}
	if p.Store == nil {
		return nil
	}
	artifact, err := registry.Of(b)
	if err != nil {
		return err
	}
	if err := p.Store.Put(r, artifact); err != nil {
		return fmt.Errorf("the bundle cannot be kept in %s: %w", p.Store.Dir(), err)
	}
	return nil
}
