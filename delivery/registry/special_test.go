//go:build unix

package registry

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPipeAsCredentials: a file that is none is refused, and not waited for.
func TestPipeAsCredentials(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "config.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, helpers := range []bool{false, true} {
		done := make(chan error, 1)
		go func() {
			_, err := storedCredentials(helpers)
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "named pipe") {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the credentials are waited for")
		}
	}
}
