package load

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinksToDirectories: objects that only a link leads to are not read, and no such link is passed over in silence, in a
// folder outside of a repository, in one inside, in a revision and in an archive.
func TestLinksToDirectories(t *testing.T) {
	const told = "warning "
	links := map[string]struct{ target, says string }{
		"again":            {"real", ""}, // it is read in its place
		"self":             {".", ""},
		"real/up":          {"..", ""},
		"hidden":           {".hidden/mesh", told + "leads to a directory"},
		"out":              {"../shared", told + "leads to"},
		"loop":             {"loop", told + "leads to nothing"},
		"dangling":         {"nothing", told + "leads to nothing"},
		"dangling.md":      {"nothing", ""},
		"license":          {"real/text", ""},
		".quiet":           {"../shared", ""},
		"real/left/hidden": {"../../.hidden", ""}, // left out by its name
	}
	top := write(t, "mesh/real/a.yaml", objectText("Sidecar", "a"), "mesh/real/text", "]", "mesh/real/left/text", "]", "mesh/.hidden/mesh/h.yaml", objectText("Sidecar", "h"), "shared/o.yaml", objectText("Sidecar", "o"))
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for name, l := range links {
		if err := os.Symlink(l.target, filepath.Join(top, "mesh", filepath.FromSlash(name))); err != nil {
			t.Skip(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Linkname: l.target, Typeflag: tar.TypeSymlink}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"real/a.yaml", "real/text", ".hidden/mesh/h.yaml"} {
		data, err := os.ReadFile(filepath.Join(top, "mesh", filepath.FromSlash(name)))
		if err := errors.Join(err, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(data)), Mode: 0o644})); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	archive := filepath.Join(t.TempDir(), "mesh.tar")
	if err := errors.Join(w.Close(), os.WriteFile(archive, packed.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	check := func(source string) {
		t.Helper()
		sources := Locate([]string{source})
		leave := func(name string) bool { return strings.Contains(name, "left") }
		res, diags, err := sources.Load(t.Context(), []string{source}, Options{Exclude: leave})
		if err != nil || len(res.Documents) != 1 {
			t.Errorf("%s: %v, %+v", source, err, res)
		}
		got := map[string]string{}
		for _, d := range diags {
			got[strings.TrimPrefix(d.Pos.File, "mesh/")] = d.Severity.String() + " " + d.Message
		}
		for name, l := range links {
			says, any := got[name]
			if any != (l.says != "") || !strings.HasPrefix(says, strings.SplitAfter(l.says, " ")[0]) || !strings.Contains(says, strings.TrimPrefix(l.says, told)) {
				t.Errorf("%s: the link %s: %q, want %q", source, name, says, l.says)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("%s: %v", source, got)
		}
	}
	mesh := filepath.Join(top, "mesh")
	check(mesh)
	check(archive)
	commit(t, top)
	check(mesh)
	check(top + "#ref=HEAD,subdir=mesh")
}
