// Package pieces cuts a bundle into pieces that stay the same where the bundle does, so that who has one bundle needs little
// of the next, and puts pieces together again.
//
// The files of a bundle are laid end to end, behind a line that says which they are, those that change with every bundle
// first. Where a file says in many places what follows from another, or says the same again and again, it is laid down
// thinner (see thin.go): a resource that grows by a byte would else move the offsets of all behind it. The text is then cut
// where its own bytes say so: a rolling sum over the last bytes that has enough zeros ends a piece. An insertion moves the
// cuts with it, and pieces before and behind it are those of the text without it. Each piece is compressed by itself.
//
// The same bundle gives the same pieces. What is put together is as good as who sent it: the reader of the bundle verifies
// its digests, and this package bounds what is unfolded.
package pieces

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
)

// Piece is one compressed piece.
type Piece struct {
	Data   []byte
	Digest [sha256.Size]byte // of Data
}

// header is the first line of the text.
type header struct {
	Version int     `json:"meshcPieces"`
	Files   []entry `json:"files"`
}

type entry struct {
	Name string `json:"name"`
	Size int    `json:"size"`           // of what is laid down
	Thin bool   `json:"thin,omitempty"` // it is laid down in the thinner form that its name has
}

const version = 1

// order is how the files lie: what changes with every bundle first, and the resources, without which the index cannot be
// made whole, last.
func order() []string {
	return []string{"digest", "provenance.json", "manifest.json", "sets.json", "index.json", "workloads.json", "origins.json", resourcesFile}
}

// Cut cuts the files of a bundle into pieces.
func Cut(files []bundle.File) ([]Piece, error) {
	h := header{Version: version}
	var bodies [][]byte
	content := map[string][]byte{}
	for _, f := range files {
		content[f.Name] = f.Data
	}
	for _, name := range order() {
		data, ok := content[name]
		if !ok {
			return nil, fmt.Errorf("the bundle has no file %s", name)
		}
		body, thin := thinner(name, data, content[resourcesFile])
		h.Files = append(h.Files, entry{Name: name, Size: len(body), Thin: thin})
		bodies = append(bodies, body)
	}
	if len(content) != len(bodies) {
		return nil, errors.New("the bundle has files that no bundle has")
	}
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	var out []Piece
	begin := append(head, '\n')
	for i, body := range bodies {
		if len(begin) > 0 && len(begin)+len(body) < smallest {
			begin = append(begin, body...) // what is small and changes goes together
			continue
		}
		if len(begin) > 0 {
			out, begin = append(out, compress(begin)), nil
		}
		for _, piece := range cut(body, typical(h.Files[i].Name)) {
			out = append(out, compress(piece))
		}
	}
	if len(begin) > 0 {
		out = append(out, compress(begin))
	}
	return out, nil
}

// typical is the size of a piece of a file: so that those of all files have a few thousand bytes when they are compressed.
// Resources are alike and become small, digests do not.
func typical(name string) int {
	switch name {
	case "sets.json":
		return 1 << 12
	case "manifest.json":
		return 1 << 14
	case "index.json":
		return 1 << 16
	case resourcesFile:
		return 1 << 17
	}
	return 1 << 16
}

func compress(text []byte) Piece {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic("pieces: " + err.Error()) // a buffer takes everything
	}
	return Piece{Data: b.Bytes(), Digest: sha256.Sum256(b.Bytes())}
}

// Joiner puts pieces together, one after another.
type Joiner struct{ text bytes.Buffer }

// Add takes the next piece.
func (j *Joiner) Add(piece []byte) error {
	z, err := gzip.NewReader(bytes.NewReader(piece))
	if err != nil {
		return fmt.Errorf("is not compressed with gzip: %w", err)
	}
	left := int64(limit.BundleBytes - j.text.Len())
	n, err := io.Copy(&j.text, io.LimitReader(z, left+1))
	switch {
	case err != nil:
		return fmt.Errorf("cannot be unpacked: %w", err)
	case n > left:
		return fmt.Errorf("makes the bundle larger than the %d MiB a bundle may have", limit.BundleBytes>>20)
	}
	return nil
}

// Files returns the files, when all pieces are there.
func (j *Joiner) Files() (map[string][]byte, error) {
	text := j.text.Bytes()
	line, _, ok := bytes.Cut(text[:min(len(text), 1<<16)], []byte("\n"))
	if !ok {
		return nil, errors.New("the first piece does not begin with a list of files")
	}
	var h header
	if err := json.Unmarshal(line, &h); err != nil || h.Version == 0 {
		return nil, errors.New("the first piece does not begin with a list of files")
	}
	if h.Version != version {
		return nil, fmt.Errorf("the pieces are those of version %d, and this meshc reads version %d", h.Version, version)
	}
	rest := text[len(line)+1:]
	files := map[string][]byte{}
	for _, e := range h.Files {
		if !slices.Contains(order(), e.Name) || files[e.Name] != nil {
			return nil, fmt.Errorf("the list of files has %q, which no bundle has, or has it twice", e.Name)
		}
		if e.Size < 0 || e.Size > len(rest) {
			return nil, fmt.Errorf("the pieces end within %s: one is missing", e.Name)
		}
		files[e.Name], rest = rest[:e.Size:e.Size], rest[e.Size:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("the pieces have %d bytes behind the last file", len(rest))
	}
	for _, e := range h.Files {
		if !e.Thin {
			continue
		}
		full, err := whole(e.Name, files[e.Name], files[resourcesFile])
		if err != nil {
			return nil, fmt.Errorf("%s cannot be made whole: %w", e.Name, err)
		}
		files[e.Name] = full
	}
	return files, nil
}

// resourcesFile is the file from which others follow.
const resourcesFile = "resources.bin"

// thinner returns the form of a file in which it is laid down. A form from which the file does not come back byte by byte is
// not taken.
func thinner(name string, data, resources []byte) ([]byte, bool) {
	var thin []byte
	switch name {
	case "index.json":
		thin = thinIndex(data)
	case "manifest.json":
		thin = numberDigests(data)
	default:
		return data, false
	}
	back, err := whole(name, thin, resources)
	if thin == nil || err != nil || !bytes.Equal(back, data) {
		return data, false
	}
	return thin, true
}

// whole is the way back.
func whole(name string, thin, resources []byte) ([]byte, error) {
	switch name {
	case "index.json":
		return fullIndex(thin, resources)
	case "manifest.json":
		return namedDigests(thin)
	}
	return nil, fmt.Errorf("no file of the name %s is laid down thin", strings.ToValidUTF8(name, "?"))
}
