package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stalled is a server that takes connections and says nothing. Its channel has a value for each that was made.
func stalled(t *testing.T) (address string, asked <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ch := make(chan struct{}, 1000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			ch <- struct{}{}
		}
	}()
	return l.Addr().String(), ch
}

// TestSignalsEndWaits: a verb that waits for a server, or for the rest of its input, ends with a signal, too, and leaves nothing
// behind.
func TestSignalsEndWaits(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "mesh.yaml"), "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n")
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, args := range [][]string{
		{"meshc", "compile", at("mesh.yaml"), "-o", at("bundle.tar.gz")},
		{"openssl", "genpkey", "-algorithm", "ed25519", "-out", at("release.pem")},
		{"openssl", "pkey", "-in", at("release.pem"), "-pubout", "-out", at("release.pub")},
	} {
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Skip(err)
		}
		if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	put(t, at("node.json"), `{"id":"a"}`)
	put(t, at("trust.yaml"), "keys: [{name: release, file: release.pub}]\n")
	before := names(t, dir)
	for name, args := range map[string][]string{
		"inspect":        {"bundle", "inspect", "REF"},
		"xds":            {"bundle", "xds", "REF", "--node", at("node.json")},
		"pull":           {"bundle", "pull", "REF", "-o", at("pulled.tar.gz")},
		"push":           {"bundle", "push", at("bundle.tar.gz"), "REF"},
		"compile":        {"compile", at("mesh.yaml"), "-o", "REF"},
		"copy":           {"bundle", "copy", "REF", "REF2"},
		"tag":            {"bundle", "tag", "REF", "v2"},
		"sign":           {"bundle", "sign", "REF", "--key", at("release.pem")},
		"verify":         {"bundle", "verify", "REF", "--key", at("release.pub")},
		"export":         {"bundle", "export", "REF", "--trust", at("trust.yaml"), "-o", at("site.tar")},
		"bootstrap":      {"bootstrap", "REF", "--workload", "default/a", "--name", "a-0", "--ip", "10.0.0.7"},
		"route":          {"route", "REF", "--from", "a", "--to", "http://a/"},
		"diff":           {"diff", at("bundle.tar.gz"), "REF"},
		"status":         {"status", "--admin", "ADDRESS"},
		"wait":           {"wait", "--digest", "sha256:" + strings.Repeat("0", 64), "--admin", "ADDRESS"},
		"serve":          {"serve", "REF", "--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"},
		"replay":         {"replay", "-", at("bundle.tar.gz"), at("bundle.tar.gz")},
		"replay REF":     {"replay", at("node.json"), "REF", at("bundle.tar.gz")},
		"check of a tar": {"check", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, asked := stalled(t)
			ref := "oci://" + address + "/mesh:v1"
			for i, a := range args {
				args[i] = strings.NewReplacer("REF2", ref+"2", "REF", ref, "ADDRESS", address).Replace(a)
			}
			waits(t, asked, args)
		})
	}
	t.Cleanup(func() {
		if after := names(t, dir); !slices.Equal(after, before) {
			t.Errorf("left behind: %v, where there was %v", after, before)
		}
	})
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// waits runs a verb, and sends it a signal when it waits.
func waits(t *testing.T, asked <-chan struct{}, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "meshc", args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(args, "-") {
		_, err = io.WriteString(out, strings.Repeat("x\n", 1<<17)) // more than a pipe holds: some of it was read
	} else {
		select {
		case <-asked:
		case <-ctx.Done():
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("it was over before the signal: %v\n%s", err, stderr.String())
	}
	var exit *exec.ExitError
	err = cmd.Wait()
	if args[0] == "serve" && err == nil {
		return // which is to end well
	}
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailure || ctx.Err() != nil {
		t.Errorf("%v, %v: %s", err, ctx.Err(), stderr.String())
	}
	if !strings.Contains(stderr.String(), "meshc: interrupted\n") {
		t.Errorf("%q", stderr.String())
	}
}
