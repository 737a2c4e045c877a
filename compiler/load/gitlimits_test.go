package load

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/meshc/meshc/internal/limit"
)

// packed makes a pack of entries, and an index that gives them names; nothing says that these are theirs.
func packed(t *testing.T, dir string, names []plumbing.Hash, entries [][]byte) {
	t.Helper()
	pack := append([]byte("PACK"), 0, 0, 0, 2)
	pack = binary.BigEndian.AppendUint32(pack, uint32(len(entries)))
	var hashes, sums, places []byte
	var table [256]uint32
	for i, e := range entries {
		hashes = append(hashes, names[i][:]...)
		sums = binary.BigEndian.AppendUint32(sums, crc32.ChecksumIEEE(e))
		places = binary.BigEndian.AppendUint32(places, uint32(len(pack)))
		pack = append(pack, e...)
		for b := int(names[i][0]); b < 256; b++ {
			table[b]++
		}
	}
	sum := sha1.Sum(pack)
	pack = append(pack, sum[:]...)
	index := append([]byte("\xfftOc"), 0, 0, 0, 2)
	for _, n := range table {
		index = binary.BigEndian.AppendUint32(index, n)
	}
	index = append(append(append(append(index, hashes...), sums...), places...), sum[:]...)
	own := sha1.Sum(index)
	index = append(index, own[:]...)
	name := fmt.Sprintf("objects/pack/pack-%x", sum)
	writeGitFile(t, dir, name+".pack", pack)
	writeGitFile(t, dir, name+".idx", index)
}

// refDelta is an entry that copies five bytes of the object of a name.
func refDelta(base plumbing.Hash) []byte {
	return append(append([]byte{7<<4 | 4}, base[:]...), deflate([]byte{5, 5, 0x90, 5})...)
}

// loose is the path of an object that is not packed.
func loose(h plumbing.Hash) string { return "objects/" + h.String()[:2] + "/" + h.String()[2:] }

// blobOf is the name of the object of a.yaml in a repository that has just been committed to.
func blobOf(text string) plumbing.Hash {
	return plumbing.ComputeHash(plumbing.BlobObject, []byte(text))
}

// TestEndlessDeltas: go-git would follow these until its stack is full, which ends the process.
func TestEndlessDeltas(t *testing.T) {
	text := objectText("Sidecar", "a")
	blob := blobOf(text)
	other := plumbing.ComputeHash(plumbing.BlobObject, []byte("other"))
	for what, c := range map[string]struct {
		names   []plumbing.Hash
		entries [][]byte
	}{
		"of itself": {[]plumbing.Hash{blob}, [][]byte{refDelta(blob)}},
		"circle":    {[]plumbing.Hash{min2(blob, other), max2(blob, other)}, [][]byte{refDelta(max2(blob, other)), refDelta(min2(blob, other))}},
	} {
		dir := write(t, "a.yaml", text)
		commit(t, dir)
		if err := os.Remove(filepath.Join(dir, ".git", loose(blob))); err != nil {
			t.Fatal(err)
		}
		packed(t, dir, c.names, c.entries)
		if _, diags := load(t, dir+"#ref=master"); len(diags) != 1 || diags[0].Pos.File != "a.yaml" || !strings.Contains(diags[0].Message, "deltas") {
			t.Errorf("%s: %+v", what, diags)
		}
	}
}

func min2(a, b plumbing.Hash) plumbing.Hash {
	if bytes.Compare(a[:], b[:]) < 0 {
		return a
	}
	return b
}

func max2(a, b plumbing.Hash) plumbing.Hash {
	if min2(a, b) == a {
		return b
	}
	return a
}

// TestAlternatesInACircle: objects of other repositories are read, also where these name each other in a circle.
func TestAlternatesInACircle(t *testing.T) {
	text := objectText("Sidecar", "a")
	lender := write(t, "a.yaml", text)
	commit(t, lender)
	dir := write(t, "a.yaml", text)
	commit(t, dir)
	blob := blobOf(text)
	if err := os.Remove(filepath.Join(dir, ".git", loose(blob))); err != nil {
		t.Fatal(err)
	}
	writeGitFile(t, dir, "objects/info/alternates", []byte("# borrowed\n"+filepath.Join(lender, ".git/objects")+"\n"))
	rel, err := filepath.Rel(filepath.Join(lender, ".git/objects"), filepath.Join(dir, ".git/objects"))
	if err != nil {
		t.Fatal(err)
	}
	writeGitFile(t, lender, "objects/info/alternates", []byte(rel+"\n"))
	if res, diags := load(t, dir+"#ref=master"); len(diags) != 0 || len(res.Documents) != 1 {
		t.Errorf("borrowed: %+v", diags)
	}
	if err := os.Remove(filepath.Join(lender, ".git", loose(blob))); err != nil {
		t.Fatal(err)
	}
	if _, diags := load(t, dir+"#ref=master"); len(diags) != 1 || !strings.Contains(diags[0].Message, "not found") {
		t.Errorf("nowhere: %+v", diags)
	}
	writeGitFile(t, dir, "objects/info/alternates", []byte("/nowhere/objects\n"))
	if _, diags := load(t, dir+"#ref=master"); len(diags) != 1 || diags[0].Code != "MESHC1013" || !strings.Contains(diags[0].Message, "/nowhere/objects") {
		t.Errorf("missing: %+v", diags)
	}
}

// TestLooseBomb: an object says that it is small, and is not.
func TestLooseBomb(t *testing.T) {
	text := objectText("Sidecar", "a")
	dir := write(t, "a.yaml", text)
	commit(t, dir)
	var bomb bytes.Buffer
	w := zlib.NewWriter(&bomb)
	fmt.Fprintf(w, "blob %d\x00", len(text))
	for range 64 {
		_, _ = w.Write(make([]byte, 1<<20))
	}
	_ = w.Close()
	if err := os.Chmod(filepath.Join(dir, ".git", loose(blobOf(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	writeGitFile(t, dir, loose(blobOf(text)), bomb.Bytes())
	if _, diags := load(t, dir+"#ref=master"); len(diags) != 1 || diags[0].Pos.File != "a.yaml" {
		t.Errorf("%+v", diags)
	}
}

// TestEndlessHistory: a commit that is its own parent ends a walk by a number of generations.
func TestEndlessHistory(t *testing.T) {
	dir := write(t, "a.yaml", objectText("Sidecar", "a"))
	h := plumbing.NewHash(commit(t, dir))
	r, err := openRepository(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.CommitObject(h)
	if err != nil {
		t.Fatal(err)
	}
	r.close()
	body := fmt.Sprintf("tree %s\nparent %s\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nx\n", c.TreeHash, h)
	if err := os.Chmod(filepath.Join(dir, ".git", loose(h)), 0o644); err != nil {
		t.Fatal(err)
	}
	writeGitFile(t, dir, loose(h), deflate([]byte(fmt.Sprintf("commit %d\x00%s", len(body), body))))
	if r, err = openRepository(dir); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.objects.asked = limit.GitObjects - 100
	if c, msg, _ := r.commit("master~9999999999"); c != nil || msg == "" {
		t.Errorf("%v %q", c, msg)
	}
	if r.objects.asked <= limit.GitObjects {
		t.Error("the walk came to an end")
	}
}
