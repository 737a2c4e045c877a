package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportEnvoy: the files are there, the same again is said to be so, and what files cannot give is refused.
func TestExportEnvoy(t *testing.T) {
	dir := t.TempDir()
	meshc := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := run(context.Background(), args, strings.NewReader(""), &out, &out)
		return code, out.String()
	}
	mesh := filepath.Join(dir, "mesh.tar.gz")
	if code, out := meshc("compile", "../../examples/bookinfo/overlays/demo", "-o", mesh); code != 0 {
		t.Fatal(out)
	}
	files := filepath.Join(dir, "files")
	export := func(more ...string) (int, string) {
		return meshc(append([]string{"export", "envoy", mesh, "--workload", "bookinfo/productpage-v1", "--ip", "10.8.1.1", "-o", files}, more...)...)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--identity", "server"}, "needs a server"},
		{[]string{"--identity", "files"}, "needs --cert, --key and --roots"},
		{[]string{"--secrets", "here"}, "not an absolute path"},
		{[]string{"--settle", "-1s"}, "negative"},
		{[]string{"--workload", "bookinfo/nobody"}, "knows no workload"},
		{[]string{"-o", ""}, "-o DIR"},
	} {
		if code, out := export(c.args...); code != 2 || !strings.Contains(out, c.want) {
			t.Errorf("%v: %d %s", c.args, code, out)
		}
	}
	if _, err := os.Stat(files); err == nil {
		t.Error("what was refused has written something")
	}
	if code, out := export(); code != 0 || strings.Contains(out, "already") {
		t.Fatalf("%d %s", code, out)
	}
	for _, name := range []string{"envoy.json", "current/clusters.json", "current/listeners.json"} {
		if _, err := os.Stat(filepath.Join(files, name)); err != nil {
			t.Error(err)
		}
	}
	if code, out := export(); code != 0 || !strings.Contains(out, "has all of it already") {
		t.Errorf("%d %s", code, out)
	}
	if code, out := export("--admin-address", "127.0.0.1:15009"); code != 0 || !strings.Contains(out, "start Envoy anew") {
		t.Errorf("%d %s", code, out)
	}
}
