package bundle

import (
	"slices"
	"time"
)

// File is one file of a bundle.
type File struct {
	Name string
	Data []byte
}

// Kept is a bundle that is at hand besides those in service.
type Kept struct {
	Bundle   string    `json:"bundle"`             // digest
	Revision string    `json:"revision,omitempty"` // of its source
	Kept     time.Time `json:"kept"`               // since when
}

// Contents returns the files of the bundle, sorted by name. Their bytes are the bundle's own and are not to be changed.
func (b *Bundle) Contents() ([]File, error) {
	if b.files == nil {
		return nil, errNoFiles()
	}
	out := make([]File, len(b.files))
	for i, f := range b.files {
		out[i] = File{f.name, f.data}
	}
	return out, nil
}

// FromContents reads a bundle from its files, as Read does.
func FromContents(files map[string][]byte) (*Bundle, error) {
	for name := range files {
		if !slices.Contains(Files(), name) {
			return nil, refuse(CodeForeign, name, "", "is not a file of a bundle")
		}
	}
	return parse(files)
}

// ForServing forgets the files around the resources, as ReadToServe does.
func (b *Bundle) ForServing() *Bundle {
	b.files = nil
	return b
}
