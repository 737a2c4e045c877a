package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/registrytest"
)

// cosign is a real one, which .ci/delivery builds; without it the test is skipped.
func cosign(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	program, err := filepath.Abs("../../.cache/cosign-3.1.3/cosign")
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no cosign: .ci/delivery builds it (%v)", err)
	}
	return func(args ...string) (string, error) {
		c := exec.Command(program, args...)
		c.Env = append(os.Environ(), "COSIGN_PASSWORD=word", "HOME="+t.TempDir())
		out, err := c.CombinedOutput()
		return string(out), err
	}
}

// TestCosign: cosign takes what meshc signs, and refuses it when a byte is another; meshc takes what cosign signs, and its keys.
func TestCosign(t *testing.T) {
	cosign := cosign(t)
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("COSIGN_PASSWORD", "word")
	reg := registrytest.Start(t, true)
	b := registrytest.Compile(t, registrytest.Mesh(t, 5))
	if err := b.WriteTarGz("mesh.tar.gz"); err != nil {
		t.Fatal(err)
	}
	meshc := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatalf("meshc %v: %d %s", args, code, errs.String())
		}
		return out.String()
	}
	takes := func(args ...string) {
		t.Helper()
		if out, err := cosign(args...); err != nil {
			t.Errorf("cosign %v: %v\n%s", args, err, out)
		}
	}
	refuses := func(args ...string) {
		t.Helper()
		if out, err := cosign(args...); err == nil {
			t.Errorf("cosign %v takes what it should refuse\n%s", args, out)
		}
	}
	takes("generate-key-pair")
	at := reg.Host + "/team/mesh:v1"
	verify := []string{"verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", at}
	pushed := strings.TrimSpace(meshc("bundle", "push", "mesh.tar.gz", "oci://"+at))
	refuses(verify...)
	meshc("bundle", "sign", "oci://"+at, "--key", "cosign.key", "--source", "https://git.example.com/mesh")
	takes(verify...)
	takes("verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--type", "slsaprovenance1", at)

	for _, part := range []string{"/manifests/v1", "/blobs/"} {
		reg.Fault(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) {
				return false
			}
			rec := reg.Inner(r)
			body := rec.Body.Bytes()
			i := bytes.LastIndexByte(body, '"') - 1 // inside of a value
			body[i] ^= 1
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			_, _ = w.Write(body)
			return true
		})
		refuses(verify...)
	}
	reg.Fault(nil)
	takes(verify...)

	meshc("bundle", "sign", "mesh.tar.gz", "--key", "cosign.key")
	blob := []string{"verify-blob-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--type", "slsaprovenance1", "--bundle", "mesh.tar.gz.sigstore.json", "mesh.tar.gz"}
	takes(blob...)
	text, err := os.ReadFile("mesh.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile("mesh.tar.gz", text, 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(blob...)

	other := strings.Replace(pushed, "/team/", "/other/", 1)
	meshc("bundle", "push", pushed, strings.Replace("oci://"+at, "/team/", "/other/", 1))
	takes("sign", "--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false", "-y", strings.TrimPrefix(other, "oci://"))
	meshc("bundle", "verify", other, "--key", "cosign.pub")
}
