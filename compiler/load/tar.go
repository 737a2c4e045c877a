package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/archive"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

func isArchive(name string) bool {
	for _, ext := range []string{".tar", ".tar.gz", ".tgz"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// readTar reads a tar archive, compressed with gzip or not, as if it were a directory.
func readTar(ctx context.Context, b *batch) {
	f, err := regular.Open(b.at.source)
	if err != nil {
		b.fail(b.at.inside, 1, "MESHC1002", reason(err), "Check the path and its permissions.")
		return
	}
	defer f.Close()
	files, err := readEntries(ctx, b, f, !strings.HasSuffix(b.at.source, ".tar"))
	if err != nil {
		b.refuseArchive(err)
		return
	}
	readTree(ctx, b, tree{fsys: newMemFS(files), prefix: b.at.inside, dir: "."})
}

// readEntries reads the files of an archive by name. Links to manifests are findings and do not end it.
func readEntries(ctx context.Context, b *batch, r io.Reader, gzip bool) (map[string][]byte, error) {
	a, err := archive.NewReader(r, archive.Options{Gzip: gzip, Bytes: limit.SourceBytes, Entries: limit.SourceEntries})
	if err != nil {
		return nil, err
	}
	files, links := map[string][]byte{}, map[string]string{} // links to what they lead to
	held := map[string]bool{".": true}                       // all that is no link, and whether it is a directory
	for {
		e, err := a.Next()
		switch {
		case errors.Is(err, io.EOF):
			b.linkedIn(links, held)
			return files, fileAndDirectory(files)
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		named := isManifest(e.Name) || isKustomization(path.Base(e.Name)) || path.Ext(e.Name) == ".rego"
		switch {
		case e.Kind == archive.Link && named:
			b.fail(join(b.at.inside, e.Name), 1, "MESHC1006", "links in an archive are not followed", "Pack the file itself.")
			continue
		case e.Kind == archive.Link:
			links[e.Name] = e.Path
			continue
		}
		held[e.Name] = e.Kind == archive.Directory
		for p := path.Dir(e.Name); !held[p]; p = path.Dir(p) {
			held[p] = true
		}
		switch {
		case e.Kind != archive.File || !named && e.Size > limit.FileBytes:
			continue
		case len(files) >= limit.SourceFiles:
			return nil, &archive.Error{Problem: archive.TooLarge, Message: fmt.Sprintf("the archive has more than %d files", limit.SourceFiles)}
		}
		if files[e.Name], err = a.Data(limit.FileBytes + 1); err != nil {
			return nil, err
		}
	}
}

// linkedIn says of the links of an archive what linked says of those of a directory.
func (b *batch) linkedIn(links map[string]string, directories map[string]bool) {
	for _, p := range slices.Sorted(maps.Keys(links)) {
		name, to := join(b.at.inside, p), links[p]
		if hidden(p) || b.leavesOut(name) {
			continue
		}
		isDir, held := directories[to]
		var err error
		if !held {
			err = fs.ErrNotExist
		}
		b.diags.Add(followed{to, isDir}.says(diag.Pos{File: name, Line: 1, Column: 1}, path.Ext(p) != "", err)...)
	}
}

// fileAndDirectory refuses a name that is both.
func fileAndDirectory(files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, both := files[dir]; both {
				return &archive.Error{Problem: archive.Twice, Name: dir, Message: fmt.Sprintf("the archive holds %q as a file and as a directory", dir)}
			}
		}
	}
	return nil
}

// refuseArchive reports why an archive is not read.
func (b *batch) refuseArchive(err error) {
	var e *archive.Error
	if !errors.As(err, &e) { // the run ends
		return
	}
	code, help := "MESHC1014", "Pack or download it again."
	switch e.Problem {
	case archive.TooLarge:
		code, help = "MESHC1005", "Pack only the manifests."
	case archive.NotGzip:
		help = "Name it .tar, or pack it again."
	case archive.BadName:
		help = "Pack it again with relative names."
	case archive.BadKind:
		help = "Pack regular files only."
	case archive.Twice:
		help = "Pack it again with one of the two."
	case archive.Damaged:
	}
	name := b.at.inside
	if e.Name != "" {
		name = join(name, e.Name)
	}
	b.fail(name, 1, code, e.Message, help)
}
