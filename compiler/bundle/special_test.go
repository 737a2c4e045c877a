//go:build unix

package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadSpecial reads what is no regular file, which is refused at once: a pipe without a writer would be waited for.
func TestReadSpecial(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	b := seal(t, sample(t, 1))
	if err := errors.Join(b.WriteDir(at("folder")), syscall.Mkfifo(at("pipe"), 0o600), os.Symlink("pipe", at("link.tar.gz"))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(at("folder"), setsFile)), syscall.Mkfifo(filepath.Join(at("folder"), setsFile), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{at("pipe"), at("link.tar.gz"), at("folder"), "/dev/zero"} {
		done := make(chan error, 1)
		go func() {
			_, err := Read(path)
			done <- err
		}()
		select {
		case err := <-done:
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeForeign || !strings.Contains(e.Message, "regular files only") {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("reading %s waits", path)
		}
	}
}
