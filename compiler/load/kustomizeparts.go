package load

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Kustomize reads the names of two objects anew for every pair of them, a few times in each kustomization. Where what is done to
// an object depends on no other, it is given a part of the objects at a time: the same kustomizations and files, of which those
// that are resources show some of their documents. The outcome is the same, and time grows with the number of objects instead of
// its square.

// separator is what kustomize takes for the end of a document and the beginning of another.
var separator = regexp.MustCompile(`\n---[ \t]*(#.*)?\n`)

// piecesOf are the documents of a file, as kustomize divides it; each but the last ends a line.
func piecesOf(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.TrimSpace(first) == "---" {
		text = rest
	}
	var out []string
	at := 0
	for _, s := range separator.FindAllStringIndex(text, -1) {
		out, at = append(out, text[at:s[0]]+"\n"), s[1]
	}
	return append(out, text[at:])
}

// divisible tells whether each piece of a file is one object: there is no list among them, nothing between, and no directive that
// is about what follows.
func (k *kustomization) divisible(file string) bool {
	pieces := k.piecesIn(file)
	return k.weigh(file) == len(pieces) && !slices.ContainsFunc(pieces, func(p string) bool { return strings.HasPrefix(p, "%") || strings.HasPrefix(p, "---") })
}

// piecesIn are the pieces of a file of the source.
func (k *kustomization) piecesIn(file string) []string {
	pieces, known := k.pieces[file]
	if !known {
		if data, err := fs.ReadFile(k.fsys, file); err == nil {
			pieces = piecesOf(string(data))
		}
		k.pieces[file] = pieces
	}
	return pieces
}

// resourceFiles are the files that are resources of any folder, each once.
func (k *kustomization) resourceFiles() []string {
	var out []string
	seen := map[string]bool{}
	for _, dir := range k.dirs {
		for _, f := range k.folders[dir].files {
			if !seen[f] {
				seen[f] = true
				out = append(out, f)
			}
		}
	}
	return out
}

// parts are the file systems that kustomize sees, one after another: each with all files, and with some of the objects.
func (k *kustomization) parts(mem filesys.FileSystem) []filesys.FileSystem {
	all := scanned{mem, k.folders}
	p := k.plan()
	if p.parts < 2 {
		return []filesys.FileSystem{all}
	}
	files := k.resourceFiles()
	none := make(map[string][]byte, len(files))
	for _, f := range files {
		none[path.Join(memRoot, f)] = []byte{}
	}
	var out []filesys.FileSystem
	room := int64(0)
	var last map[string][]byte
	place := func(file, text string, weight int64) {
		if weight > room {
			last, room = map[string][]byte{}, p.most
			out = append(out, part{all, last, none})
		}
		name := path.Join(memRoot, file)
		if len(last[name]) > 0 {
			text = "---\n" + text
		}
		last[name] = append(last[name], text...)
		room -= weight
	}
	for _, f := range files {
		if !k.divisible(f) {
			place(f, strings.Join(k.piecesIn(f), "---\n"), int64(k.weigh(f)))
			continue
		}
		for _, piece := range k.piecesIn(f) {
			place(f, piece, 1)
		}
	}
	return out
}

// part shows some of the objects.
type part struct {
	scanned
	some, none map[string][]byte
}

// ReadFile implements filesys.FileSystem.
func (p part) ReadFile(name string) ([]byte, error) {
	if text, ok := p.some[name]; ok {
		return text, nil
	}
	if text, ok := p.none[name]; ok {
		return text, nil
	}
	return p.scanned.ReadFile(name)
}
