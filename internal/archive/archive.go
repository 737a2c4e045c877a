// Package archive reads tar archives, compressed with gzip or not, that nobody vouches for.
//
// An archive is read as a stream: memory grows with what is there and not with what a header promises, and there is a bound
// on bytes, on entries, and on how much larger than its packed form the content may be. Names are relative and clean, and
// each is there once, so that nobody has to know which of two counts. An entry is a file, a directory or a link; anything
// else is refused by its name, as are files with holes, which are far larger than what is packed. The archive ends where the
// stream does: one that is cut between two entries lacks its end, and nothing may hide behind it.
package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/meshc/meshc/internal/limit"
)

// Kind is what an entry is.
type Kind int

// The kinds of entries.
const (
	File Kind = iota
	Directory
	Link // symbolic or hard
)

// Entry is the head of one entry.
type Entry struct {
	Name string // clean and relative; "." for the directory that holds the others
	Kind Kind
	Size int64  // of a file, as the head promises
	Path string // to what a link leads in the archive, "" if out of it
}

// Options bound what is read.
type Options struct {
	Gzip    bool
	Bytes   int64 // unpacked
	Entries int
}

// Reader reads one archive. After an error it is of no use.
type Reader struct {
	options  Options
	packed   *counter
	unpacked *counter
	tar      *tar.Reader
	seen     map[string]Kind
	entries  int
	name     string // of the current entry
}

// NewReader begins to read an archive.
func NewReader(r io.Reader, o Options) (*Reader, error) {
	a := &Reader{options: o, seen: map[string]Kind{}}
	a.packed = &counter{r: r, most: o.Bytes}
	content := io.Reader(bufio.NewReaderSize(a.packed, 1<<16))
	if o.Gzip {
		z, err := gzip.NewReader(content)
		if err != nil {
			return nil, refuse(NotGzip, "", "the archive is not compressed with gzip: %v", err)
		}
		content = z
	}
	a.unpacked = &counter{r: content, most: o.Bytes, packed: a.packed}
	a.tar = tar.NewReader(a.unpacked)
	return a, nil
}

// Next goes to the next entry. At the end of a sound archive it returns io.EOF; any other error is an *Error.
func (a *Reader) Next() (Entry, error) {
	for {
		if _, err := io.Copy(io.Discard, a.tar); err != nil {
			return Entry{}, a.damaged(err)
		}
		before := a.unpacked.n
		h, err := a.tar.Next()
		switch {
		case errors.Is(err, io.EOF):
			return Entry{}, a.end(a.unpacked.n - before)
		case err != nil:
			a.name = ""
			return Entry{}, a.damaged(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader { // git archive notes the commit in one
			continue
		}
		return a.entry(h)
	}
}

func (a *Reader) entry(h *tar.Header) (Entry, error) {
	if a.entries++; a.entries > a.options.Entries {
		return Entry{}, refuse(TooLarge, "", "the archive has more than %d entries", a.options.Entries)
	}
	name, err := clean(h.Name)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Name: name, Size: h.Size}
	switch {
	case sparse(h):
		return Entry{}, refuse(BadKind, name, "the archive holds %q, a file with holes", name)
	case h.Typeflag == tar.TypeReg:
	case h.Typeflag == tar.TypeDir:
		e.Kind = Directory
	case h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink:
		e.Kind, e.Path = Link, target(h, name)
	default:
		return Entry{}, refuse(BadKind, name, "the archive holds %q, which is %s", name, kindName(h.Typeflag))
	}
	if name == "." && e.Kind != Directory {
		return Entry{}, refuse(BadName, "", "the archive holds the name %q, which is no name of a file", h.Name)
	}
	if before, twice := a.seen[name]; twice && (before != Directory || e.Kind != Directory) {
		return Entry{}, refuse(Twice, name, "the archive holds %q twice", name)
	}
	a.seen[name], a.name = e.Kind, name
	return e, nil
}

// Data reads the content of the current file, at most so many bytes of it.
func (a *Reader) Data(most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(a.tar, most))
	if err != nil {
		return nil, a.damaged(err)
	}
	return data, nil
}

// end looks at what is behind the last entry: the two blocks of zeros that every archive ends with, which were just read,
// and more zeros up to the size that its writer writes at a time.
func (a *Reader) end(read int64) error {
	if read < blockSize {
		return refuse(Damaged, "", "the archive is cut short: it lacks its end")
	}
	buf := make([]byte, 1<<15)
	for total := 0; ; {
		n, err := a.unpacked.Read(buf)
		if total += n; total > limit.ArchivePadding || strings.Trim(string(buf[:n]), "\x00") != "" {
			return refuse(Damaged, "", "the archive has something behind its end")
		}
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case errors.Is(err, gzip.ErrHeader):
			return refuse(Damaged, "", "the archive has something behind its end")
		case err != nil:
			a.name = ""
			return a.damaged(err)
		}
	}
}

// damaged tells an archive that is too large from one that cannot be read.
func (a *Reader) damaged(err error) error {
	if over := (*Error)(nil); errors.As(err, &over) {
		return over
	}
	if a.name != "" {
		return refuse(Damaged, a.name, "the archive is damaged or cut short at %q: %v", a.name, err)
	}
	return refuse(Damaged, "", "the archive is damaged or cut short: %v", err)
}

const blockSize = 512 // of tar

// clean makes a name one that a path inside the archive can be compared with.
func clean(raw string) (string, error) {
	slashed := strings.ReplaceAll(raw, `\`, "/")
	name := path.Clean(slashed)
	switch {
	case len(raw) > limit.PathBytes || strings.Count(name, "/") > limit.PathDepth:
		return "", refuse(BadName, "", "the archive holds a name of %d bytes and %d directories; names have at most %d and %d", len(raw), strings.Count(name, "/"), limit.PathBytes, limit.PathDepth)
	case raw == "" || strings.HasPrefix(slashed, "/") || !fs.ValidPath(name) || strings.ContainsRune(raw, 0):
		return "", refuse(BadName, "", "the archive holds the name %q, which leads out of it", raw)
	}
	return name, nil
}

// target is where a link leads, taken by its text.
func target(h *tar.Header, name string) string {
	to := path.Clean(h.Linkname)
	if h.Typeflag == tar.TypeSymlink && !path.IsAbs(to) {
		to = path.Join(path.Dir(name), to)
	}
	if !fs.ValidPath(to) {
		return ""
	}
	return to
}

func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func kindName(flag byte) string {
	switch flag {
	case tar.TypeFifo:
		return "a named pipe"
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	}
	return fmt.Sprintf("of the unknown kind %q", flag)
}
