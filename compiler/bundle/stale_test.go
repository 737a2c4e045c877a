//go:build linux

package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestWhatKilledWritersLeave is removed with the next write, and nothing else is.
func TestWhatKilledWritersLeave(t *testing.T) {
	b := seal(t, sample(t, 1))
	for name, write := range map[string]func(string) error{"b": b.WriteDir, "b.tar.gz": b.WriteTarGz, "node.json": func(path string) error { return ReplaceFile(path, []byte("{}")) }} {
		dir := t.TempDir()
		at := func(n string) string { return filepath.Join(dir, n) }
		prefix := temporaryPrefix(at(name))
		file := func(n string) error { return os.WriteFile(at(n), nil, 0o600) }
		err := errors.Join(write(at(name)), file(prefix+"11"), os.Mkdir(at(prefix+"12"), 0o700), file(prefix+"12/"+indexFile), os.Mkdir(at(prefix+"12.old"), 0o755),
			file(prefix+"mine"), file(prefix+"1x"), file("."+name+".tmp"), file("."+name+"2.tmp-1"), os.Mkdir(at(prefix+"13"), 0o755), file(prefix+"13/precious"), os.Symlink("/etc", at(prefix+"14")))
		if err != nil {
			t.Fatal(err)
		}
		running, lock, err := createTemporary(at(name))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		defer running.Close()
		if err := write(at(name)); err != nil {
			t.Fatal(err)
		}
		want := []string{prefix + "13", prefix + "14", prefix + "1x", prefix + "mine", "." + name + ".tmp", "." + name + "2.tmp-1", filepath.Base(running.Name()), name}
		slices.Sort(want)
		var have []string
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			have = append(have, e.Name())
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: have %q, want %q", name, have, want)
		}
	}
}
