//go:build unix

package kube

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPipeAsKubeconfig: a file that is none is refused, and not waited for.
func TestPipeAsKubeconfig(t *testing.T) {
	at := filepath.Join(t.TempDir(), "config")
	if err := syscall.Mkfifo(at, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := settings(Options{Kubeconfig: at})
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "named pipe") {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the kubeconfig is waited for")
	}
}
