package golden

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
