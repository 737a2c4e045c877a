package pieces

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/registrytest"
	"github.com/meshc/meshc/internal/watchdog"
)

func joined(t *testing.T, list []Piece) map[string][]byte {
	t.Helper()
	var j Joiner
	for _, p := range list {
		if err := j.Add(p.Data); err != nil {
			t.Fatal(err)
		}
	}
	files, err := j.Files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRoundTrip: every byte comes back, and the index and the manifest are laid down thin.
func TestRoundTrip(t *testing.T) {
	b := registrytest.Compile(t, registrytest.Mesh(t, 40))
	files, err := b.Contents()
	if err != nil {
		t.Fatal(err)
	}
	list, err := Cut(files)
	if err != nil {
		t.Fatal(err)
	}
	back := joined(t, list)
	for _, f := range files {
		if !bytes.Equal(back[f.Name], f.Data) {
			t.Errorf("%s comes back with %d bytes of %d", f.Name, len(back[f.Name]), len(f.Data))
		}
		body, thin := thinner(f.Name, f.Data, content(files, resourcesFile))
		if wants := f.Name == "index.json" || f.Name == "manifest.json"; thin != wants || thin && len(body) >= len(f.Data) {
			t.Errorf("%s: thin %v, %d bytes of %d", f.Name, thin, len(body), len(f.Data))
		}
	}
	for i := range list {
		var j Joiner
		for k, p := range list {
			if k != i {
				if err := j.Add(p.Data); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := j.Files()
		if err == nil {
			_, err = bundle.FromContents(got)
		}
		if err == nil {
			t.Errorf("without piece %d of %d the bundle is whole", i, len(list))
		}
	}
}

func content(files []bundle.File, name string) []byte {
	for _, f := range files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// TestOtherForms: files that are not as this package expects them are laid down as they are.
func TestOtherForms(t *testing.T) {
	var files []bundle.File
	for _, name := range order() {
		files = append(files, bundle.File{Name: name, Data: []byte("\x01{\"type\":0,\"name\":\"x\",sha256:" + strings.Repeat("0", 64) + name)})
	}
	list, err := Cut(files)
	if err != nil {
		t.Fatal(err)
	}
	back := joined(t, list)
	for _, f := range files {
		if !bytes.Equal(back[f.Name], f.Data) {
			t.Errorf("%s comes back as %q", f.Name, back[f.Name])
		}
	}
}

// TestCuts: an insertion changes the pieces around it and no others.
func TestCuts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 1<<20)
	for i := range text {
		text[i] = byte(r.Uint32())
	}
	before := map[string]bool{}
	for _, p := range cut(text, 1<<14) {
		before[string(p)] = true
	}
	other := bytes.Join([][]byte{text[:300_000], []byte("inserted"), text[300_000:]}, nil)
	fresh := 0
	list := cut(other, 1<<14)
	for _, p := range list {
		if !before[string(p)] {
			fresh++
		}
	}
	if len(list) < 30 || fresh > 3 {
		t.Errorf("%d of %d pieces are others", fresh, len(list))
	}
	if !bytes.Equal(bytes.Join(list, nil), other) {
		t.Error("the pieces are not the text")
	}
}

// seeds are texts from which pieces are made.
func seeds(f *testing.F) {
	f.Helper()
	f.Add([]byte(`{"meshcPieces":1,"files":[{"name":"index.json","size":3,"thin":true}]}` + "\nabc"))
	f.Add([]byte(`{"meshcPieces":1,"files":[{"name":"manifest.json","size":9,"thin":true}]}` + "\n0\n\x01x\x01aaa"))
	f.Add([]byte(`{"meshcPieces":1,"files":[{"name":"index.json","size":45,"thin":true},{"name":"resources.bin","size":1}]}` + "\n{\"type\":4,\"name\":\"x\",\"length\":1000000000000}ab"))
}

// FuzzJoin: whatever a piece holds, there is an answer.
func FuzzJoin(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		defer watchdog.Watch(t)()
		var j Joiner
		if j.Add(compress(text).Data) == nil {
			if files, err := j.Files(); err == nil {
				_, _ = bundle.FromContents(files)
			}
		}
	})
}

// FuzzAdd: pieces as a registry sends them, whose compression may be wrong, too.
func FuzzAdd(f *testing.F) {
	for _, text := range []string{`{"meshcPieces":1,"files":[{"name":"index.json","size":3}]}` + "\nabc", "abc", ""} {
		p := compress([]byte(text)).Data
		f.Add(p, p[:len(p)/2])
		f.Add(append(p, p...), p)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		defer watchdog.Watch(t)()
		var j Joiner
		for _, p := range [][]byte{first, second} {
			if j.Add(p) != nil {
				return
			}
		}
		_, _ = j.Files()
	})
}

// FuzzThin: whatever the files of a bundle hold, they come back from their pieces.
func FuzzThin(f *testing.F) {
	digest := "sha256:" + strings.Repeat("0", 64)
	f.Add([]byte(`{"type":0,"name":"x","digest":"`+strings.Repeat("0", 64)+`","offset":0,"length":3,"a":1}`+"\n"), []byte(digest+digest), []byte("abc"))
	f.Add([]byte(`{"type":`), []byte("\x01"), []byte{})
	f.Fuzz(func(t *testing.T, index, manifest, resources []byte) {
		defer watchdog.Watch(t)()
		var files []bundle.File
		for _, name := range order() {
			data := map[string][]byte{"index.json": index, "manifest.json": manifest, resourcesFile: resources}[name]
			files = append(files, bundle.File{Name: name, Data: data})
		}
		list, err := Cut(files)
		if err != nil {
			t.Fatal(err)
		}
		back := joined(t, list)
		for _, file := range files {
			if !bytes.Equal(back[file.Name], file.Data) {
				t.Errorf("%s comes back as %q, not %q", file.Name, back[file.Name], file.Data)
			}
		}
	})
}
