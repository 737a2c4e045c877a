package load

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/meshc/meshc/internal/limit"
)

// gitObjects are the objects of a repository, for go-git: those of its own store and of the alternates, within limits. A pack
// is foreign, and go-git follows the deltas in it as far as they lead, which may be in a circle.
type gitObjects struct {
	*filesystem.Storage
	stores []*gitStore // its own is the first
	asked  int
}

// gitStore is one directory with objects.
type gitStore struct {
	*filesystem.Storage
	packs []*gitPack
}

var errManyObjects = fmt.Errorf("more than %d objects have to be read", limit.GitObjects)

// EncodedObject implements storer.EncodedObjectStorer.
func (g *gitObjects) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	if g.asked++; g.asked > limit.GitObjects {
		return nil, errManyObjects
	}
	for _, s := range g.stores {
		for _, p := range s.packs {
			if err := p.ends(h); err != nil {
				return nil, err
			}
		}
		o, err := s.Storage.EncodedObject(t, h)
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return o, err
		}
	}
	return nil, plumbing.ErrObjectNotFound
}

// EncodedObjectSize implements storer.EncodedObjectStorer.
func (g *gitObjects) EncodedObjectSize(h plumbing.Hash) (int64, error) {
	for _, s := range g.stores {
		n, err := s.Storage.EncodedObjectSize(h)
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return n, err
		}
	}
	return 0, plumbing.ErrObjectNotFound
}

// HasEncodedObject implements storer.EncodedObjectStorer.
func (g *gitObjects) HasEncodedObject(h plumbing.Hash) error {
	for _, s := range g.stores {
		if err := s.Storage.HasEncodedObject(h); !errors.Is(err, plumbing.ErrObjectNotFound) {
			return err
		}
	}
	return plumbing.ErrObjectNotFound
}

// HashesWithPrefix finds the objects that a shortened name may mean.
func (g *gitObjects) HashesWithPrefix(prefix []byte) ([]plumbing.Hash, error) {
	var out []plumbing.Hash
	for _, s := range g.stores {
		found, err := s.Storage.HashesWithPrefix(prefix)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// gitPack is a pack and its index, with which deltas are followed before go-git does.
type gitPack struct {
	indexFile, file billy.File
	index           *idxfile.MemoryIndex // nil: not read yet
	scanner         *packfile.Scanner
}

// openPacks opens the packs of a store.
func openPacks(files billy.Filesystem) ([]*gitPack, error) {
	entries, err := files.ReadDir("objects/pack")
	if err != nil {
		return nil, nil // there are none
	}
	var out []*gitPack
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".idx")
		if !ok || !strings.HasPrefix(name, "pack-") {
			continue
		}
		if len(out) == limit.GitPacks {
			return out, fmt.Errorf("the repository has more than %d packs; join them with: git gc", limit.GitPacks)
		}
		p := &gitPack{}
		out = append(out, p)
		if p.indexFile, err = files.Open(path.Join("objects/pack", e.Name())); err != nil {
			return out, err
		}
		if p.file, err = files.Open(path.Join("objects/pack", name+".pack")); err != nil {
			return out, err
		}
		p.scanner = packfile.NewScanner(p.file)
	}
	return out, nil
}

func (p *gitPack) close() {
	for _, f := range []billy.File{p.indexFile, p.file} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// find is where in the pack an object lies.
func (p *gitPack) find(h plumbing.Hash) (int64, bool) {
	if p.index == nil {
		p.index = idxfile.NewMemoryIndex()
		if idxfile.NewDecoder(p.indexFile).Decode(p.index) != nil {
			p.index = idxfile.NewMemoryIndex() // go-git cannot read it either, and says so
		}
	}
	at, err := p.index.FindOffset(h)
	return at, err == nil
}

// ends follows the deltas of an object to the one that is none. What cannot be followed is for go-git to say.
func (p *gitPack) ends(h plumbing.Hash) error {
	at, ok := p.find(h)
	for n := 0; ok; n++ {
		if n > limit.GitDeltas {
			return fmt.Errorf("the object %s is made of more than %d deltas", h, limit.GitDeltas)
		}
		head, err := p.scanner.SeekObjectHeader(at)
		if err != nil {
			return nil
		}
		switch head.Type {
		case plumbing.OFSDeltaObject:
			at = head.OffsetReference
		case plumbing.REFDeltaObject:
			at, ok = p.find(head.Reference)
		default:
			return nil
		}
	}
	return nil
}
