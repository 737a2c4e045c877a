package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/meshc/meshc/internal/registrytest"
)

// built is the program of this machine, as a release has it.
func built(t *testing.T) *program {
	t.Helper()
	t.Chdir("../..")
	all, err := build(t.Context(), t.TempDir(), []string{"linux/" + runtime.GOARCH})
	if err != nil {
		t.Fatal(err)
	}
	all[0].version.time = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return all[0]
}

// TestImage: an image has the same digest when it is made twice, of programs in different folders; it comes to a registry as it is,
// and runs as nobody with nothing beside it.
func TestImage(t *testing.T) {
	p := built(t)
	digest := func(p *program) string {
		t.Helper()
		i, err := makeImage([]*program{p})
		if err != nil {
			t.Fatal(err)
		}
		d, err := i.index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	moved := *p
	moved.path = filepath.Join(t.TempDir(), "meshc")
	text, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(moved.path, text, 0o700); err != nil {
		t.Fatal(err)
	}
	if a, b := digest(p), digest(&moved); a != b {
		t.Errorf("%s and %s", a, b)
	}
	i, err := makeImage([]*program{p, {os: "darwin", path: "nowhere"}})
	if err != nil {
		t.Fatal(err)
	}
	repository := registrytest.Start(t, true).Host + "/meshc"
	if err := i.push(t.Context(), repository, p.version); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(repository + ":" + p.version.tag())
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := pulled.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	containerfile(t, c.Config)
	runs(t, pulled)
}

// containerfile holds the last stage of Containerfile to the settings of the image.
func containerfile(t *testing.T, c v1.Config) {
	t.Helper()
	text, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, _ := strings.Cut(string(text), "FROM scratch\n")
	for _, line := range []string{"USER " + c.User, "ENV " + c.Env[0], "WORKDIR " + c.WorkingDir, fmt.Sprintf("ENTRYPOINT [%q]", c.Entrypoint[0])} {
		if !strings.Contains(last, line+"\n") {
			t.Errorf("Containerfile lacks %s", line)
		}
	}
}

// runs runs the program of an image in its files, and in nothing else.
func runs(t *testing.T, i v1.Image) {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	extract(t, i, root)
	roots := x509.NewCertPool()
	if text, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")); err != nil || !roots.AppendCertsFromPEM(text) {
		t.Errorf("no roots of trust: %v", err)
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal("the image cannot run without root on Linux")
		}
		t.Skip("to run the image takes root on Linux")
	}
	nobody := []string{"unshare", "--root", root, "--setuid", fmt.Sprint(user), "--setgid", fmt.Sprint(user), "--wd", "/"}
	input := "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a.example], http: [{route: [{destination: {host: nowhere}}]}]}\n"
	for _, c := range []struct {
		as   []string
		args string
		want string
		code int
	}{
		{nobody, "version", "meshc ", 0},
		{nobody, "check -", "no Service or ServiceEntry has the host nowhere", 1},
		{nobody, "compile - --lenient -o /tmp/mesh.tar.gz", "sha256:", 0},
		{nobody, "intercept", "operation not permitted", 2},
		{[]string{"unshare", "--net", "--root", root, "--wd", "/"}, "intercept", "by nftables", 0},
	} {
		cmd := exec.CommandContext(t.Context(), c.as[0], slices.Concat(c.as[1:], []string{"/meshc"}, strings.Fields(c.args))...)
		cmd.Env, cmd.Stdin = []string{"HOME=/tmp"}, strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		var status *exec.ExitError
		code := 0
		if errors.As(err, &status) {
			code = status.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: exit code %d, %s", c.args, code, out)
		}
	}
}

// extract writes the files of an image.
func extract(t *testing.T, i v1.Image, root string) {
	t.Helper()
	flat := mutate.Extract(i)
	defer func() { _ = flat.Close() }()
	cmd := exec.CommandContext(t.Context(), "tar", "-x", "-p", "-f", "-", "-C", root)
	cmd.Stdin = flat
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestArchive: an archive has the program, what lies beside it, and no word of who made it; each bill of materials lists its modules.
func TestArchive(t *testing.T) {
	p := built(t)
	f, err := p.archive([]entry{{"LICENSE", 0o644, []byte("free")}})
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(f.text))
	if err != nil {
		t.Fatal(err)
	}
	if !z.ModTime.IsZero() || z.Name != "" {
		t.Errorf("gzip says %v %q", z.ModTime, z.Name)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uname != "" || h.Gname != "" || h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(p.version.time) {
			t.Errorf("%s says %q %q %d %d %v", h.Name, h.Uname, h.Gname, h.Uid, h.Gid, h.ModTime)
		}
	}
	if !slices.Equal(names, []string{"meshc", "LICENSE"}) {
		t.Error(names)
	}
	bill, err := p.bill()
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Components []struct{ Name, Version, Purl string }
	}
	if err := json.Unmarshal(bill.text, &said); err != nil {
		t.Fatal(err)
	}
	if len(said.Components) != len(p.info.Deps)+1 {
		t.Errorf("%d modules and Go are %d components", len(p.info.Deps), len(said.Components))
	}
	sum := sums([]file{{"a", []byte("abc")}})
	if string(sum.text) != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n" {
		t.Errorf("%s", sum.text)
	}
}

// TestAccompany: completions of four shells, and a page for each verb.
func TestAccompany(t *testing.T) {
	t.Chdir("../..")
	beside, err := accompany(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range beside {
		names = append(names, e.name)
		if len(e.text) == 0 {
			t.Errorf("%s is empty", e.name)
		}
	}
	for _, want := range []string{"completions/meshc.bash", "completions/meshc.zsh", "completions/meshc.fish", "completions/meshc.powershell", "man/man1/meshc.1", "man/man1/meshc-bundle-push.1", "LICENSE", "CHANGELOG.md"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s among %v", want, names)
		}
	}
}

// TestChart: the chart has the version of the release, and neither what only makes other files, nor a version that nobody set.
func TestChart(t *testing.T) {
	v := version{name: "v1.2.0+dirty"}
	tree := fstest.MapFS{"Chart.yaml": {Data: []byte("name: meshc\nversion: 0.0.0\nappVersion: latest\n")}, "values.yaml": {Data: []byte("a: b\n")}, "profiles/x.yaml": {Data: []byte("x\n")}}
	f, err := packageChart(tree, v)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(f.text))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if f.name != "meshc-1.2.0+dirty.tgz" || !bytes.Contains(all, []byte("\nversion: 1.2.0+dirty\nappVersion: v1.2.0-dirty\n")) || bytes.Contains(all, []byte("profiles")) || !bytes.Contains(all, []byte("meshc/values.yaml")) {
		t.Errorf("%s: %q", f.name, all)
	}
	tree["Chart.yaml"] = &fstest.MapFile{Data: []byte("name: meshc\nversion: 1.0.0\n")}
	if _, err := packageChart(tree, v); err == nil {
		t.Error("a chart without the version to replace is released")
	}
}
