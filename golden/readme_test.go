package golden

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/internal/diag"
)

var (
	readmeDigest = regexp.MustCompile(`sha256:([0-9a-f]{64})  bookinfo\.bundle`)
	readmeNext   = regexp.MustCompile(`bundle=sha256:([0-9a-f]{8})… before=`)
)

// The digests that the README shows are those that a reader gets: of the demo, and with a tenth of the requests moved.
func TestReadmeDigests(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../examples/bookinfo")); err != nil {
		t.Fatal(err)
	}
	g := &golden{file: "the README"}
	digest := func() string {
		b, found := g.compile(t, []string{filepath.Join(dir, "overlays/demo")})
		if b == nil {
			t.Fatalf("the demo does not compile:\n%s", g.text(found))
		}
		return b.Digest.Hex()
	}
	first := digest()
	routing := filepath.Join(dir, "base/reviews-routing.yaml")
	before, err := os.ReadFile(routing)
	if err != nil {
		t.Fatal(err)
	}
	after := strings.NewReplacer("weight: 100", "weight: 90", "weight: 0", "weight: 10").Replace(string(before))
	if err := os.WriteFile(routing, []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	second := digest()
	shown, next := readmeDigest.FindSubmatch(text), readmeNext.FindSubmatch(text)
	if shown == nil || next == nil {
		t.Fatal("the README shows no digests")
	}
	is := strings.NewReplacer(string(shown[1]), first, string(shown[1][:8]), first[:8], string(next[1]), second[:8]).Replace(string(text))
	switch {
	case is == string(text):
	case *update:
		if err := os.WriteFile("../README.md", []byte(is), 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
	default:
		t.Errorf("the README shows %s, then %s; they are %s and %s: go test ./golden -update rewrites it", shown[1], next[1], first, second[:8])
	}
}

// TestReadmeFinding: what the README shows of a misspelled subset is what meshc prints, with the settings of the example.
func TestReadmeFinding(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "$ meshc check examples/bookinfo/overlays/demo\n")
	block, _, found := strings.Cut(block, "\n…\n")
	if !found {
		t.Fatal("the README shows no finding")
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples/bookinfo"), os.DirFS("../examples/bookinfo")); err != nil {
		t.Fatal(err)
	}
	routing := filepath.Join(dir, "examples/bookinfo/base/reviews-routing.yaml")
	text, err := os.ReadFile(routing)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(routing, []byte(strings.ReplaceAll(string(text), "subset: v3", "subset: v4")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	r, list, err := compiler.Compile(t.Context(), []string{"examples/bookinfo/overlays/demo"}, compiler.Options{Version: "golden"})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := diag.Print(&b, "text", list.Renamed(r.Display), diag.Options{Source: r.Text}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), block+"\n") {
		t.Errorf("the README shows\n%s\nmeshc prints\n%s", block, b.String())
	}
}
