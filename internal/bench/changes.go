//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/meshc/meshc/internal/meshgen"
)

// changes measures what it costs to compare a mesh with itself after changes that reach all of it, and writes the comment for several at
// once.
func (b *bench) changes(ctx context.Context) error {
	base, err := b.bundle(ctx, "base", nil)
	if err != nil {
		return err
	}
	fmt.Printf("%d services with policies and strict mutual TLS, default scope: meshc diff of two bundles, -o markdown\n", b.services)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	row := func(name string, list ...meshgen.Change) ([]byte, error) {
		head, err := b.bundle(ctx, name, list)
		if err != nil {
			return nil, err
		}
		text, c, err := b.diff(ctx, base, head)
		fmt.Fprintf(w, "  %s\t%.1f s\tCPU %.1f s\tpeak %d MiB\t%d bytes\t%s\n", name, c.wall.Seconds(), c.cpu.Seconds(), c.peakMiB, len(text), sum(text))
		return text, err
	}
	for _, c := range meshgen.Changes() {
		if _, err := row(string(c), c); err != nil {
			return err
		}
	}
	text, err := row("several", meshgen.Largest()...)
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil || b.comment == "" {
		return err
	}
	return os.WriteFile(b.comment, meshgen.Page(b.services, meshgen.Largest(), text), 0o644)
}

// bundle compiles the mesh with changes.
func (b *bench) bundle(ctx context.Context, name string, list []meshgen.Change) (string, error) {
	dir := filepath.Join(b.dir, "change-"+name)
	if _, err := meshgen.Write(dir, meshgen.Options{Services: b.services, Secured: true, Changes: list}); err != nil {
		return "", err
	}
	out := filepath.Join(dir, "bundle")
	cmd := exec.CommandContext(ctx, b.meshc, "compile", "repo", "-o", out)
	cmd.Dir = dir // so that causes name files as a repository has them
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("meshc compile: %w: %s", err, last(text))
	}
	return out, nil
}

// diff runs meshc diff in a process of its own.
func (b *bench) diff(ctx context.Context, base, head string) ([]byte, cost, error) {
	var text, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, b.meshc, "diff", base, head, "-o", "markdown")
	cmd.Stdout, cmd.Stderr = &text, &stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return nil, cost{}, fmt.Errorf("meshc diff: %w: %s", err, last(stderr.Bytes()))
	}
	c := cost{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.peakMiB = u.Maxrss / 1024
	}
	return text.Bytes(), c, nil
}

// sum is the line of a comment that counts.
func sum(text []byte) string {
	for _, line := range strings.Split(string(text), "\n") {
		if strings.Contains(line, " differences by ") {
			line, _, _ = strings.Cut(line, ";")
			return line
		}
	}
	return ""
}
