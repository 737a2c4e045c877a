package airgap

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/watchdog"
)

func packed(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, &bundle.Bundle{EnvoyMin: "1.36", TrustDomain: "cluster.local"}, Content{[]byte("an archive"), []byte("a signature"), []byte("a trust")}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRoundTrip(t *testing.T) {
	text := packed(t)
	c, err := Read(bytes.NewReader(text))
	if err != nil || string(c.Archive) != "an archive" || string(c.Signature) != "a signature" || string(c.Trust) != "a trust" {
		t.Errorf("%+v, %v", c, err)
	}
	if !bytes.Equal(text, packed(t)) {
		t.Error("the same content is other bytes")
	}
}

// TestSha256sum: the tool that every system has agrees, and finds the file that was altered.
func TestSha256sum(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(bytes.NewReader(packed(t))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		data, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, h.Name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func() error {
		c := exec.Command("sha256sum", "-c", SumsFile)
		c.Dir = dir
		return c.Run()
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, BundleFile), []byte("Archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	if check() == nil {
		t.Error("an altered file passes")
	}
}

// TestAltered: no byte of a file can be another, no file can be missing, and none added.
func TestAltered(t *testing.T) {
	text := packed(t)
	for _, word := range []string{"an archive", "a signature", "a trust", "cosign"} {
		other := bytes.Replace(text, []byte(word), []byte(strings.ToUpper(word)), 1)
		if _, err := Read(bytes.NewReader(other)); err == nil || !strings.Contains(err.Error(), "cut or altered") {
			t.Errorf("%s: %v", word, err)
		}
	}
	for _, name := range []string{BundleFile, SumsFile} {
		other := bytes.Replace(text, []byte(name+"\x00"), []byte("x"+name[1:]+"\x00"), 1)
		if _, err := Read(bytes.NewReader(other)); err == nil {
			t.Errorf("%s was renamed", name)
		}
	}
	if _, err := Read(bytes.NewReader(text[:len(text)/2])); err == nil {
		t.Error("half of it is taken")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(packed(f))
	f.Fuzz(func(t *testing.T, text []byte) {
		defer watchdog.Watch(t)()
		_, _ = Read(bytes.NewReader(text))
	})
}
