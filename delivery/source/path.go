package source

import (
	"fmt"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/shelf"
	"github.com/meshc/meshc/delivery/signature"
)

// Path is where a bundle lies as a file or folder.
type Path struct {
	Name  string
	Trust *signature.Trust // nil: whatever lies there, however old it is
	Shelf *shelf.Shelf     // keeps what may be served; nil: nothing is kept
	Guard *Guard
}

// Admit tells whether a bundle that was read there may be served, and keeps it. One that cannot be kept is not served: whoever
// wants bundles to be kept wants to be able to go back to each.
func (p Path) Admit(b *bundle.Bundle) error {
	r := shelf.Record{Verified: time.Now().UTC()}
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
	if p.Shelf == nil {
		return nil
	}
	artifact, err := registry.Of(b)
	if err != nil {
		return err
	}
	if err := p.Shelf.Put(r, artifact); err != nil {
		return fmt.Errorf("the bundle cannot be kept in %s: %w", p.Shelf.Dir(), err)
	}
	return nil
}
