package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// entry is a file of an archive. A name that ends with a slash is a folder.
type entry struct {
	name string
	mode int64
	text []byte
}

// fileMode is the mode as Go has it.
func (e entry) fileMode() fs.FileMode {
	return (&tar.Header{Name: e.name, Mode: e.mode}).FileInfo().Mode()
}

// pack writes a tar archive that says nothing of who made it, and where.
func pack(entries []entry, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.text)), ModTime: at.UTC(), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func zip(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// accompany is what lies beside the binary in each archive: it is made by the binary of this machine.
func accompany(ctx context.Context, work string) ([]entry, error) {
	here := filepath.Join(work, "meshc")
	if err := gobuild(ctx, here); err != nil {
		return nil, err
	}
	var out []entry
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		text, err := exec.CommandContext(ctx, here, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion %s: %w", shell, err)
		}
		out = append(out, entry{"completions/meshc." + shell, 0o644, text})
	}
	pages := filepath.Join(work, "man")
	if text, err := exec.CommandContext(ctx, here, "man", pages).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("man: %w: %s", err, text)
	}
	more, err := files(os.DirFS(pages), "man/man1/")
	if err != nil {
		return nil, err
	}
	out = append(out, more...)
	for _, name := range []string{"LICENSE", "CHANGELOG.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, entry{name, 0o644, text})
	}
	return out, nil
}

// files are all files of a tree, in the order of their names.
func files(tree fs.FS, prefix string) (out []entry, err error) {
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		out = append(out, entry{prefix + name, 0o644, text})
		return err
	})
	return out, err
}

// archive is what people download for a platform.
func (p *program) archive(beside []entry) (file, error) {
	text, err := os.ReadFile(p.path)
	if err != nil {
		return file{}, err
	}
	packed, err := pack(append([]entry{{"meshc", 0o755, text}}, beside...), p.version.time)
	if err != nil {
		return file{}, err
	}
	packed, err = zip(packed)
	return file{fmt.Sprintf("meshc_%s_%s_%s.tar.gz", p.version.name, p.os, p.arch), packed}, err
}

// sums is SHA256SUMS, as sha256sum --check reads it.
func sums(files []file) file {
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(f.text), f.name)
	}
	return file{"SHA256SUMS", b.Bytes()}
}
