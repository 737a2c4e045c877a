package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("out of order") }

// TestPanicIsAFailure: a fault of the program is told as one, and leaves an older bundle alone.
func TestPanicIsAFailure(t *testing.T) {
	out := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(out, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), []string{"compile", "-", "-o", out}, panicking{}, &stdout, &stderr)
	text := stderr.String()
	if code != exitFailure || !strings.HasPrefix(text, "meshc: internal error: out of order\n") || !strings.Contains(text, "fault_test.go") {
		t.Errorf("exit code %d, %s", code, text)
	}
	if b, err := os.ReadFile(out); string(b) != "old" || stdout.Len() > 0 {
		t.Error(string(b), err, stdout.String())
	}
}
