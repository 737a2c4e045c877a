package load

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRepositoryPaths: whatever the working directory and however a source is named, a CI system reads the path from the root
// of the repository.
func TestRepositoryPaths(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"repo/.git/HEAD", "repo/mesh/base/a.yaml", "repo/meshc.yaml", "repo/sub/.git", "repo/sub/b.yaml", "tree/.git", "tree/c.yaml", "plain/d.yaml"} {
		text := objectText("Sidecar", "a")
		switch f {
		case "repo/sub/.git":
			text = "gitdir: ../.git/modules/sub\n"
		case "tree/.git":
			text = "gitdir: /elsewhere/.git/worktrees/tree\n"
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, f), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ dir, source, shown, want string }{
		{"repo", "mesh", "mesh/base/a.yaml", "mesh/base/a.yaml"},
		{"repo/mesh", ".", "base/a.yaml", "mesh/base/a.yaml"},
		{"repo/mesh", "../mesh/base", "../mesh/base/a.yaml", "mesh/base/a.yaml"},
		{"repo/mesh/base", "a.yaml", "a.yaml", "mesh/base/a.yaml"},
		{"plain", filepath.Join(root, "repo/mesh"), filepath.Join(root, "repo/mesh/base/a.yaml"), "mesh/base/a.yaml"},
		{"repo/mesh", ".", "../meshc.yaml", "meshc.yaml"}, // settings are no source
		{"repo", "sub", "sub/b.yaml", "sub/b.yaml"},
		{"repo/sub", ".", "b.yaml", "sub/b.yaml"},
		{"tree", ".", "c.yaml", "c.yaml"},
		{".", "plain", "plain/d.yaml", "plain/d.yaml"},
		{".", filepath.Join(root, "plain"), filepath.Join(root, "plain/d.yaml"), "plain/d.yaml"},
		{"repo", "none", "none", "none"},
		{"repo", "-", stdinName, stdinName},
	} {
		t.Chdir(filepath.Join(root, c.dir))
		s := Locate([]string{c.source})
		if c.source != "-" {
			if _, _, err := s.Load(t.Context(), []string{c.source}, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Repository(filepath.ToSlash(c.shown)); got != c.want {
			t.Errorf("%s of %s in %s: %s, want %s", c.shown, c.source, c.dir, got, c.want)
		}
	}
}
