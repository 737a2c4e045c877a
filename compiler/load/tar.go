package load

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// maxRatio bounds how much larger than its archive a content may be.
const maxRatio = 100

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
	name := b.at.source
	f, err := os.Open(name)
	if err != nil {
		b.fail(b.at.inside, 1, "MESHC1002", reason(err), "Check the permissions.")
		return
	}
	defer f.Close()
	limit := int64(MaxSourceSize)
	if info, err := f.Stat(); err == nil {
		limit = min(limit, max(info.Size()*maxRatio, 1<<20))
	}
	var r io.Reader = bufio.NewReader(f)
	if !strings.HasSuffix(name, ".tar") {
		z, err := gzip.NewReader(r)
		if err != nil {
			b.fail(b.at.inside, 1, "MESHC1014", "the archive is not compressed with gzip: "+err.Error(), "Name it .tar, or pack it again.")
			return
		}
		r = z
	}
	files := map[string][]byte{}
	if readEntries(ctx, b, tar.NewReader(io.LimitReader(r, limit+1)), limit, files) {
		readTree(ctx, b, tree{fsys: newMemFS(files), prefix: b.at.inside, dir: "."})
	}
}

func readEntries(ctx context.Context, b *batch, r *tar.Reader, limit int64, files map[string][]byte) bool {
	total, name := int64(0), b.at.inside
	for ctx.Err() == nil {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			b.fail(name, 1, "MESHC1014", "the archive is damaged or cut short: "+err.Error(), "Pack or download it again.")
			return false
		}
		inside, wanted, sound := admit(b, h)
		if !sound {
			return false
		}
		if !wanted {
			continue
		}
		total += h.Size
		if total > limit || len(files) >= MaxFiles {
			b.fail(name, 1, "MESHC1005", fmt.Sprintf("the archive unpacks to more than %d bytes or %d files", limit, MaxFiles), "Pack only the manifests.")
			return false
		}
		data, err := io.ReadAll(io.LimitReader(r, MaxFileSize+1))
		if err != nil {
			b.fail(join(name, inside), 1, "MESHC1014", "the archive is damaged or cut short: "+err.Error(), "Pack or download it again.")
			return false
		}
		files[inside] = data
	}
	return false
}

// admit looks at the head of an entry: whether it is to be read, and whether the archive can be read at all.
func admit(b *batch, h *tar.Header) (inside string, wanted, sound bool) {
	name := b.at.inside
	inside, ok := cleanName(h.Name)
	if len(inside) > 4096 || strings.Count(inside, "/") > maxDepth {
		b.fail(name, 1, "MESHC1014", fmt.Sprintf("the archive holds a name of %d bytes and %d directories; names have at most 4096 and %d", len(inside), strings.Count(inside, "/"), maxDepth), "Pack only the manifests.")
		return "", false, false
	}
	if !ok && h.Typeflag != tar.TypeDir {
		b.fail(name, 1, "MESHC1014", fmt.Sprintf("the archive holds the name %q, which leads out of it", h.Name), "Pack it again with relative names.")
		return "", false, false
	}
	if (h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink) && isManifest(inside) {
		b.fail(join(name, inside), 1, "MESHC1006", "links in an archive are not followed", "Pack the file itself.")
		return "", false, true
	}
	return inside, h.Typeflag == tar.TypeReg && (isManifest(inside) || isKustomization(path.Base(inside)) || h.Size <= MaxFileSize), true
}
