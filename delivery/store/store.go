// Package store keeps bundles in a folder, so that a server that was started again has what it served, and can go back to what
// it served before.
//
// A bundle is kept as the artifact that it is in a registry: its manifest and signatures in bundles/DIGEST.json, by the digest
// of the bundle, and its pieces in blobs, by theirs; bundles that are alike share most of them. The file current.json has the
// record of the artifact that was taken last, and state.json what the server wants to remember, with the bundles that it needs
// for that. Each file is put in place in one step when all that it names is on disk, and what nothing names goes after that. So
// at any moment, whatever ends the process, each bundle of the folder is there whole, or not at all.
package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// Store is a folder with bundles. Its methods may be called at the same time, by one process.
type Store struct {
	dir string
	mu  sync.Mutex
}

// Record is what is known of a bundle that is kept.
type Record struct {
	Ref        registry.Reference // zero: it is of a path
	Manifest   []byte
	Signatures [][]byte
	Verified   time.Time // when the signatures were found to hold
	Kept       time.Time
	Bundle     string // its digest
	Revision   string // of its source
}

// state is the file state.json.
type state struct {
	Needed []string        `json:"needed"` // digests of bundles that stay
	State  json.RawMessage `json:"state"`
}

const (
	currentFile = "current.json"
	stateFile   = "state.json"
	blobsDir    = "blobs"
	recordsDir  = "bundles"
)

// New is a store in a folder, which is made when something is kept.
func New(dir string) *Store { return &Store{dir: dir} }

// Dir is the folder.
func (s *Store) Dir() string { return s.dir }

// hexOf is the name of a file by a digest; false: it is none.
func hexOf(digest string) (string, bool) {
	hex, ok := strings.CutPrefix(digest, "sha256:")
	return hex, ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// Blob gives what the folder has, if its bytes have their digest.
func (s *Store) Blob(digest string) ([]byte, bool) {
	hex, ok := hexOf(digest)
	if !ok {
		return nil, false
	}
	data, err := regular.ReadFile(filepath.Join(s.dir, blobsDir, hex), limit.BundleBytes)
	return data, err == nil && registry.Sum(data) == digest
}

// Current reads the artifact that was taken last; nil: there is none.
func (s *Store) Current() (*Record, *registry.Pulled, error) { return s.load(currentFile) }

// Find reads the bundle of a digest; nil: it is not kept.
func (s *Store) Find(digest string) (*Record, *registry.Pulled, error) {
	hex, ok := hexOf(digest)
	if !ok {
		return nil, nil, nil
	}
	r, p, err := s.load(filepath.Join(recordsDir, hex+".json"))
	if err == nil && p != nil && p.Bundle.Digest.String() != digest {
		err = fmt.Errorf("%s holds the bundle %s", filepath.Join(s.dir, recordsDir, hex+".json"), p.Bundle.Digest)
	}
	return r, p, err
}

// List tells what is kept, the latest first.
func (s *Store) List() ([]Record, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, recordsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		r, err := s.record(filepath.Join(recordsDir, e.Name()))
		if err != nil {
			return nil, err
		}
		if r != nil {
			out = append(out, *r)
		}
	}
	slices.SortFunc(out, func(a, b Record) int { return cmp.Or(b.Kept.Compare(a.Kept), cmp.Compare(a.Bundle, b.Bundle)) })
	return out, nil
}

// record reads a file with one; nil: there is none.
func (s *Store) record(name string) (*Record, error) {
	text, err := regular.ReadFile(filepath.Join(s.dir, name), 2*limit.ManifestBytes+limit.Referrers*limit.ReferrerBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(s.dir, name), err)
	}
	return &r, nil
}

func (s *Store) load(name string) (*Record, *registry.Pulled, error) {
	r, err := s.record(name)
	if r == nil || err != nil {
		return nil, nil, err
	}
	p, err := registry.Assemble(r.Ref, r.Manifest, s.Blob)
	return r, p, err
}

// Put keeps an artifact, and has it be the one that was taken last.
func (s *Store) Put(r Record, p *registry.Pulled) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Manifest, r.Bundle, r.Revision = p.Manifest, p.Bundle.Digest.String(), p.Bundle.Provenance.Source.Revision
	r.Kept = time.Now().UTC()
	blobs, records := filepath.Join(s.dir, blobsDir), filepath.Join(s.dir, recordsDir)
	for _, dir := range []string{blobs, records} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for digest, data := range p.Blobs {
		hex, _ := hexOf(digest)
		if _, ok := s.Blob(digest); ok {
			continue
		}
		if err := replace(filepath.Join(blobs, hex), data); err != nil {
			return err
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := syncDir(blobs); err != nil {
		return err
	}
	hex, _ := hexOf(r.Bundle)
	for _, name := range []string{filepath.Join(recordsDir, hex+".json"), currentFile} {
		path := filepath.Join(s.dir, name)
		if err := replace(path, text); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	return s.sweep()
}

// Save remembers a state, and the bundles that have to stay as long as it holds.
func (s *Store) Save(text []byte, needed []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := json.Marshal(state{needed, text})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if err := replace(filepath.Join(s.dir, stateFile), out); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// State is what was saved last; nil: nothing was.
func (s *Store) State() ([]byte, error) {
	st, err := s.state()
	return st.State, err
}

func (s *Store) state() (st state, err error) {
	path := filepath.Join(s.dir, stateFile)
	text, err := regular.ReadFile(path, limit.TextBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return st, nil
	case err != nil:
		return st, err
	}
	if err := json.Unmarshal(text, &st); err != nil {
		return st, fmt.Errorf("%s: %w", path, err)
	}
	return st, nil
}

// sweep removes the bundles that are one too many, the blobs that nothing names, and what killed writers left behind.
func (s *Store) sweep() error {
	records, err := s.List()
	if err != nil {
		return err
	}
	st, err := s.state()
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for i, r := range records {
		hex, ok := hexOf(r.Bundle)
		if i >= limit.KeptBundles && ok && !slices.Contains(st.Needed, r.Bundle) {
			if err := os.Remove(filepath.Join(s.dir, recordsDir, hex+".json")); err != nil {
				return err
			}
			continue
		}
		for _, digest := range registry.Layers(r.Manifest) {
			hex, _ := hexOf(digest)
			named[hex] = true
		}
	}
	return errors.Join(removeOthers(filepath.Join(s.dir, blobsDir), func(name string) bool { return named[name] }),
		removeOthers(filepath.Join(s.dir, recordsDir), func(name string) bool { return !strings.HasPrefix(name, partPrefix) }),
		removeOthers(s.dir, func(name string) bool { return !strings.HasPrefix(name, partPrefix) }))
}

// removeOthers removes what is not to stay.
func removeOthers(dir string, stays func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !stays(e.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// partPrefix begins the names of what is not whole yet.
const partPrefix = ".part-"

// replace writes a file in one step.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), partPrefix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// syncDir has the names of a folder reach the disk, where the file system can.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
