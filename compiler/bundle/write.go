package bundle

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/meshc/meshc/internal/limit"
)

func (b *Bundle) limits() error {
	n := 0
	for _, f := range b.files {
		n += len(f.data)
	}
	if n > limit.BundleBytes {
		return refuse(CodeTooLarge, "", "narrow what the proxies see with Sidecar egress hosts, or split the mesh", "the bundle has %d MiB, more than the %d MiB a bundle may have", n>>20, limit.BundleBytes>>20)
	}
	return nil
}

// WriteDir writes the bundle as a directory: into a temporary one beside it, synced, then put in place by rename, so
// that a reader sees the old bundle or the new one. A directory that is not a bundle is never replaced.
func (b *Bundle) WriteDir(path string) (err error) {
	if b.files == nil {
		return errNoFiles()
	}
	if path, err = target(path); err != nil {
		return err
	}
	old, err := replaceable(path)
	if err != nil {
		return err
	}
	sweep(path)
	tmp, lock, err := makeTemporary(path)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	defer func() { _ = os.RemoveAll(tmp) }() // after an exchange: the old bundle
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	for _, f := range b.files {
		if err := WriteFile(filepath.Join(tmp, f.name), f.data); err != nil {
			return err
		}
	}
	if old {
		err = exchange(tmp, path)
	} else {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// WriteTarGz writes the bundle as one archive: entries sorted, without times, owners and names of the machine.
func (b *Bundle) WriteTarGz(path string) error { return replace(path, b.Archive) }

// ReplaceFile writes any other file as bundles are written: who reads it sees the old or the new one, and what a writer left
// beside it that was killed is removed.
func ReplaceFile(path string, data []byte) error {
	return replace(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// replace puts a file in the place of one that may be there.
func replace(path string, write func(io.Writer) error) (err error) {
	if path, err = target(path); err != nil {
		return err
	}
	sweep(path)
	f, lock, err := createTemporary(path)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// temporaryPrefix is how the names begin of what is not yet the bundle at a path.
func temporaryPrefix(path string) string { return "." + filepath.Base(path) + ".tmp-" }

const claims = 100 // how often a writer tries to make something that nobody removes at once

// createTemporary makes a file beside a path, which is claimed until lock is closed.
func createTemporary(path string) (f, lock *os.File, err error) {
	for range claims {
		if f, err = os.CreateTemp(filepath.Dir(path), temporaryPrefix(path)); err != nil {
			return nil, nil, err
		}
		if lock, ok := claim(f.Name()); ok {
			return f, lock, nil
		}
		_ = f.Close()
	}
	return nil, nil, removed(path)
}

// makeTemporary makes a directory beside a path, which is claimed until lock is closed.
func makeTemporary(path string) (tmp string, lock *os.File, err error) {
	for range claims {
		if tmp, err = os.MkdirTemp(filepath.Dir(path), temporaryPrefix(path)); err != nil {
			return "", nil, err
		}
		if lock, ok := claim(tmp); ok {
			return tmp, lock, nil
		}
	}
	return "", nil, removed(path)
}

func removed(path string) error {
	return fmt.Errorf("%s: what is written beside it is removed by others", path)
}

// Archive writes the bytes of the tar.gz form.
func (b *Bundle) Archive(w io.Writer) error {
	if b.files == nil {
		return errNoFiles()
	}
	buf := bufio.NewWriterSize(w, 1<<16)
	zw := gzip.NewWriter(buf)
	tw := tar.NewWriter(zw)
	for _, f := range b.files {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := tw.Write(f.data); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	return buf.Flush()
}

func errNoFiles() error { return errors.New("a bundle that was read to be served cannot be written") }

// target resolves a symlink, so that what it points to is replaced and not the link.
func target(path string) (string, error) {
	path = filepath.Clean(path)
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode()&os.ModeSymlink == 0 {
		return path, nil
	}
	return filepath.EvalSymlinks(path)
}

// replaceable tells whether a bundle, or an empty directory, is there to be replaced.
func replaceable(path string) (bool, error) {
	entries, err := os.ReadDir(path)
	switch {
	case os.IsNotExist(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s cannot be replaced by a bundle: %w", path, err)
	case len(entries) == 0:
		return true, nil
	}
	if _, err := os.Stat(filepath.Join(path, manifestFile)); err != nil {
		return false, &Error{Code: CodeForeign, Bundle: path, Message: "the directory holds something that is not a bundle, and is left alone", Help: "name another path, or empty it"}
	}
	return true, nil
}

// WriteFile makes a file that is not there yet, and has it on the disk when it returns.
func WriteFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	_ = d.Sync() // not every file system can; the rename itself is what matters
	return nil
}
