package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// busyMesh is a source that takes seconds to compile: each route has a regular expression to be weighed.
func busyMesh(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text := func(routes string) string {
		return "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [a.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n---\n" +
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, labels: {app: d}}\nspec: {selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d, sidecar.istio.io/inject: 'true'}}, spec: {containers: [{name: c, image: x}]}}}\n---\n" +
			"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a.test]\n  http:\n  - directResponse: {status: 200}\n    match:\n" + routes
	}
	var b strings.Builder
	for i := range 19_000 {
		fmt.Fprintf(&b, "    - {uri: {regex: '/p%d[a-z]{1,40}x?'}}\n", i)
	}
	put(t, filepath.Join(dir, "mesh.yaml"), text(b.String()))
	put(t, filepath.Join(dir, "mesh.calls"), "GET http://a.test/ from d\n")
	return dir
}

// busyKustomization takes seconds to build, which looks at no context.
func busyKustomization(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	for i := range 4_000 {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata: {name: s%d}\nspec: {ports: [{port: 80}]}\n", i)
	}
	put(t, filepath.Join(dir, "a.yaml"), b.String())
	put(t, filepath.Join(dir, "kustomization.yaml"), "resources: [a.yaml]\nnamePrefix: x-\n")
	return dir
}

// busyPolicies use their whole budget of steps.
func busyPolicies(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "p.rego"), "package main\ndeny contains \"no\" if { some i in numbers.range(1, 1900); some j in numbers.range(1, 1900); i * j == -1 }\n")
	return dir
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSignalsEndEveryVerb: whatever a verb is busy with when a signal comes, it ends then, says so, and leaves nothing
// behind. Of the verbs that are not here, explain, version, completion and the help print a text that they have; bundle
// inspect, bundle xds and bootstrap read one bundle, and what of it takes long is looked at in the same place (ending), as
// for these; TestServeEnds has serve, which is to end well.
func TestSignalsEndEveryVerb(t *testing.T) {
	mesh, kustomization, rego := busyMesh(t), busyKustomization(t), busyPolicies(t)
	out := t.TempDir()
	for name, c := range map[string]struct {
		sig  syscall.Signal
		args []string
	}{
		"check":         {syscall.SIGINT, []string{"check", mesh}},
		"check -o json": {syscall.SIGTERM, []string{"check", "-o", "json", mesh}},
		"compile":       {syscall.SIGINT, []string{"compile", mesh, "-o", filepath.Join(out, "bundle")}},
		"kustomization": {syscall.SIGTERM, []string{"compile", kustomization, "-o", filepath.Join(out, "bundle.tar.gz")}},
		"policies":      {syscall.SIGINT, []string{"check", mesh, "--policy", rego}},
		"route":         {syscall.SIGTERM, []string{"route", mesh, "--from", "d", "--to", "http://a.test/"}},
		"test":          {syscall.SIGINT, []string{"test", mesh}},
		"diff":          {syscall.SIGTERM, []string{"diff", mesh, mesh}},
	} {
		t.Run(name, func(t *testing.T) {
			interrupted(t, c.sig, c.args)
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// interrupted runs a verb, sends it a signal when it has worked for a while, and wants the end that a signal makes.
func interrupted(t *testing.T, sig syscall.Signal, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // a process that does not end would hang the test
	defer cancel()
	cmd := exec.CommandContext(ctx, "meshc", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	busy(t, cmd.Process.Pid)
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatalf("it was over before the signal: %v\n%s", err, stderr.String())
	}
	at := time.Now()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailure || ctx.Err() != nil {
		t.Errorf("%v, %v: %s", err, ctx.Err(), stderr.String())
	}
	t.Logf("ended after %v", time.Since(at).Round(time.Millisecond))
	if !strings.Contains(stderr.String(), "meshc: interrupted\n") {
		t.Errorf("%q", stderr.String())
	}
}

// busy waits until a process has had processors for long enough to be in the middle of its work.
func busy(t *testing.T, pid int) {
	t.Helper()
	const ticks = 50 // of a hundredth of a second
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			if _, err := os.Stat("/proc/self/stat"); err != nil {
				t.Skip("this system does not tell how busy a process is")
			}
			return
		}
		_, after, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(after)
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		if user+system >= ticks || fields[0] == "Z" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestServeEnds: a signal ends a server well.
func TestServeEnds(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.yaml"), "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n")
	served := filepath.Join(t.TempDir(), "bundle")
	if text, err := exec.Command("meshc", "compile", dir, "-o", served).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		cmd := exec.CommandContext(ctx, "meshc", "serve", served, "--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.HasPrefix(line, "xds ") {
			t.Fatalf("%q, %v", line, err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || ctx.Err() != nil {
			t.Errorf("%s: %v, %v", sig, err, ctx.Err())
		}
		cancel()
	}
}
