package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSignalsEndAVerb: a verb that is stuck where no context is looked at, here in its standard input, ends by one signal,
// says so, and leaves nothing behind.
func TestSignalsEndAVerb(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a process that does not end would hang the test
		cmd := exec.CommandContext(ctx, "meshc", "compile", "-", "-o", filepath.Join(dir, "out"))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(make([]byte, 1<<20)); err != nil { // more than a pipe holds: the verb is reading
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailure || ctx.Err() != nil {
			t.Errorf("%s: %v, %v: %s", sig, err, ctx.Err(), stderr.String())
		}
		if !bytes.Contains(stderr.Bytes(), []byte("interrupted")) {
			t.Errorf("%s: %q", sig, stderr.String())
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left behind: %v", sig, left)
		}
		cancel()
	}
}

// TestEndingFinishesWrites: a write under way when the end comes is finished; none begins afterwards.
func TestEndingFinishesWrites(t *testing.T) {
	var e ending
	ctx, cancel := context.WithCancel(t.Context())
	wrote := false
	err := e.of(ctx, func() error {
		return e.write(ctx, func() error {
			cancel()
			time.Sleep(2 * grace)
			wrote = true
			return nil
		})
	})
	if err != nil || !wrote {
		t.Errorf("a write that had begun was not finished: %v", err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	release, late := make(chan struct{}), make(chan error, 1)
	var left ending
	err = left.of(ctx, func() error {
		cancel()
		<-release // a library that does not look at the context
		late <- left.write(ctx, func() error { t.Error("a write began after the end"); return nil })
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a verb that goes on: %v", err)
	}
	close(release)
	select {
	case err := <-late:
		t.Errorf("the write returned, with %v, though the process is about to end", err)
	case <-time.After(grace / 10):
	}
}

// TestRunInterrupted: an end that a verb notices itself is told the same way.
func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	if code := run(ctx, []string{"check", t.TempDir()}, nil, io.Discard, &stderr); code != exitFailure || stderr.String() != "meshc: interrupted\n" {
		t.Errorf("%d %q", code, stderr.String())
	}
}
