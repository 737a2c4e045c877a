package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/archive"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// Read reads a bundle from a directory or a tar.gz. Every digest is verified before the bytes are parsed. A refusal is
// an *Error that names the file.
func Read(path string) (*Bundle, error) { return read(path, true) }

// ReadToServe is Read for a bundle that is never written again: it keeps the resources and not the files around them,
// which is half the memory.
func ReadToServe(path string) (*Bundle, error) { return read(path, false) }

func read(path string, whole bool) (*Bundle, error) {
	fi, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &Error{Code: CodeMissing, Bundle: path, Message: "there is no bundle here", Help: "compile one: meshc compile SOURCE -o " + path}
		}
		return nil, err
	}
	var files map[string][]byte
	switch {
	case fi.IsDir():
		files, err = readDir(path)
	case fi.Mode().IsRegular():
		files, err = readTarGz(path)
	default:
		err = special("", fi.Mode())
	}
	if err != nil {
		return nil, in(path, err)
	}
	b, err := parse(files)
	if err == nil && !whole {
		b.files = nil
	}
	return b, in(path, err)
}

// ReadArchive reads the tar.gz form from a stream.
func ReadArchive(r io.Reader) (*Bundle, error) {
	files, err := unpack(r)
	if err != nil {
		return nil, err
	}
	return parse(files)
}

func readDir(path string) (map[string][]byte, error) {
	// The path itself may be a link, and a mounted ConfigMap has its files behind the link ..data: both are where an
	// operator swaps one bundle for the next. Inside a bundle there are no links.
	if real, err := filepath.EvalSymlinks(filepath.Join(path, "..data")); err == nil {
		path = real
	} else if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	files, total := map[string][]byte{}, 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // .git, .sourceignore and the like
		}
		if !e.Type().IsRegular() {
			return nil, special(e.Name(), e.Type())
		}
		if !known(e.Name()) {
			return nil, refuse(CodeForeign, e.Name(), "", "is not a file of a bundle")
		}
		data, err := readRegular(filepath.Join(path, e.Name()), limit.BundleBytes-total)
		if err != nil {
			return nil, err
		}
		total += len(data)
		files[e.Name()] = data
	}
	return files, nil
}

// special refuses what is neither a file nor a bundle's folder.
func special(name string, mode fs.FileMode) error {
	return refuse(CodeForeign, name, "put a directory or a .tar.gz there that meshc compile wrote", "is a %s; a bundle is regular files only", regular.Kind(mode))
}

func readRegular(path string, left int) ([]byte, error) {
	f, err := regular.OpenNoFollow(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if fi.Size() > int64(left) {
		return nil, tooLarge(filepath.Base(path))
	}
	data := make([]byte, fi.Size()) // a file that grows or shrinks meanwhile does not have its digest
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return data[:n], nil
}

func tooLarge(name string) error {
	return refuse(CodeTooLarge, name, "", "makes the bundle larger than the %d MiB a bundle may have", limit.BundleBytes>>20)
}

func readTarGz(path string) (map[string][]byte, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return unpack(f)
}

// unpack reads the files of the tar.gz form.
func unpack(r io.Reader) (map[string][]byte, error) {
	a, err := archive.NewReader(r, archive.Options{Gzip: true, Bytes: limit.BundleBytes, Entries: limit.BundleEntries})
	if err != nil {
		return nil, unreadable(err)
	}
	files := map[string][]byte{}
	for {
		e, err := a.Next()
		switch {
		case errors.Is(err, io.EOF):
			return files, nil
		case err != nil:
			return nil, unreadable(err)
		case e.Kind == archive.Directory && e.Name == ".":
			continue
		case e.Kind != archive.File:
			return nil, refuse(CodeForeign, e.Name, "", "is not a regular file; a bundle holds no links and no folders")
		case !known(e.Name):
			return nil, refuse(CodeForeign, e.Name, "", "is not a file of a bundle")
		case e.Size > limit.BundleBytes:
			return nil, tooLarge(e.Name)
		}
		if files[e.Name], err = a.Data(limit.BundleBytes); err != nil {
			return nil, unreadable(err)
		}
	}
}

// unreadable is the refusal of an archive that is not read.
func unreadable(err error) error {
	var e *archive.Error
	if !errors.As(err, &e) {
		return err
	}
	code, help := CodeAltered, "fetch the bundle again"
	switch e.Problem {
	case archive.NotGzip:
		code, help = CodeMalformed, "a bundle is a directory or a .tar.gz that meshc compile wrote"
	case archive.TooLarge:
		code, help = CodeTooLarge, ""
	case archive.BadName, archive.BadKind, archive.Twice:
		code, help = CodeForeign, "a bundle holds regular files only, each once"
	case archive.Damaged:
	}
	return refuse(code, e.Name, help, "%s", e.Message)
}

// Files lists the names of the files of a bundle, sorted.
func Files() []string {
	return []string{digestFile, indexFile, manifestFile, originsFile, provenanceFile, resourcesFile, setsFile, workloadsFile}
}

func known(name string) bool { return slices.Contains(Files(), name) }

// parse verifies and reads the files.
func parse(files map[string][]byte) (*Bundle, error) {
	m, err := readManifest(files)
	if err != nil {
		return nil, err
	}
	if err := verify(files, manifestFile, m.Files, []string{indexFile, resourcesFile, setsFile, workloadsFile}); err != nil {
		return nil, err
	}
	b := &Bundle{Digest: sha256.Sum256(files[manifestFile]), EnvoyMin: m.EnvoyMin, Selectors: m.Selectors}
	if err := b.readProvenance(files); err != nil {
		return nil, err
	}
	var ix index
	if err := b.readIndex(&ix, files[indexFile], files[resourcesFile]); err != nil {
		return nil, err
	}
	if err := b.readOrigins(files[originsFile]); err != nil {
		return nil, err
	}
	if err := b.readSets(files[setsFile], m.Classes); err != nil {
		return nil, err
	}
	if err := b.readRequirements(ix.Requirements); err != nil {
		return nil, err
	}
	var w struct {
		Workloads []Workload `json:"workloads"`
	}
	if err := strict(workloadsFile, files[workloadsFile], &w); err != nil {
		return nil, err
	}
	b.Workloads = w.Workloads
	if err := b.finish(); err != nil {
		return nil, err
	}
	for _, name := range Files() {
		b.files = append(b.files, file{name, files[name]})
	}
	return b, nil
}

func readManifest(files map[string][]byte) (*manifest, error) {
	data, ok := files[manifestFile]
	if !ok {
		return nil, refuse(CodeMissing, manifestFile, "a bundle is a directory or a .tar.gz that meshc compile wrote", "is missing")
	}
	if err := tooDense(manifestFile, data); err != nil {
		return nil, err
	}
	if err := refuseFormat(data); err != nil {
		return nil, err
	}
	if err := readDigests(files); err != nil {
		return nil, err
	}
	m := &manifest{}
	if err := strict(manifestFile, data, m); err != nil {
		return nil, err
	}
	if m.FormatVersion != FormatVersion {
		return nil, refuse(CodeMalformed, manifestFile, "", "does not say its formatVersion")
	}
	return m, nil
}

// strict decodes a file that has what its type says, and nothing else.
func strict(name string, data []byte, into any) error {
	if err := tooDense(name, data); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse(CodeMalformed, name, "", "cannot be read: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return refuse(CodeMalformed, name, "", "has something after its end")
	}
	return nil
}

func parseDigest(s string) (d Digest, ok bool) {
	s = strings.TrimPrefix(s, "sha256:")
	if len(s) != 2*len(d) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}
