package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// keep is a folder with the last good artifact. Its blobs lie by digest, and the file current names the one that counts; it is
// replaced in one step when all of them are on disk, and blobs that nothing names go after that. So at any moment, whatever
// ends the process, the folder has one whole artifact, or none.
type keep struct{ dir string }

// record is the file current.
type record struct {
	Ref        registry.Reference
	Manifest   []byte
	Signatures [][]byte
	Verified   time.Time // when the signatures were found to hold
}

const currentFile = "current.json"

// blob gives what the folder has, if its bytes have their digest.
func (k keep) blob(digest string) ([]byte, bool) {
	hex, ok := strings.CutPrefix(digest, "sha256:")
	if k.dir == "" || !ok || len(hex) != 64 || strings.ContainsAny(hex, "/\\.") {
		return nil, false
	}
	data, err := regular.ReadFile(filepath.Join(k.dir, "blobs", hex), limit.BundleBytes)
	return data, err == nil && registry.Sum(data) == digest
}

// load reads the record and the artifact; nil: there is none.
func (k keep) load() (*record, *registry.Pulled, error) {
	text, err := regular.ReadFile(filepath.Join(k.dir, currentFile), 2*limit.ManifestBytes+limit.Referrers*limit.ReferrerBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(k.dir, currentFile), err)
	}
	p, err := registry.Assemble(r.Ref, r.Manifest, k.blob)
	return &r, p, err
}

// save keeps an artifact in the place of the one before.
func (k keep) save(r record, p *registry.Pulled) error {
	blobs := filepath.Join(k.dir, "blobs")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	named := map[string]bool{}
	for digest, data := range p.Blobs {
		hex := strings.TrimPrefix(digest, "sha256:")
		named[hex] = true
		if _, ok := k.blob(digest); ok {
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
	if err := replace(filepath.Join(k.dir, currentFile), text); err != nil {
		return err
	}
	if err := syncDir(k.dir); err != nil {
		return err
	}
	return k.sweep(named)
}

// sweep removes the blobs that nothing names, and what killed writers left behind.
func (k keep) sweep(named map[string]bool) error {
	entries, err := os.ReadDir(filepath.Join(k.dir, "blobs"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !named[e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(k.dir, "blobs", e.Name())))
		}
	}
	return err
}

// replace writes a file in one step.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".part-")
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
