package source

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/delivery/store"
	"github.com/meshc/meshc/internal/registrytest"
)

func TestMain(m *testing.M) {
	if host := os.Getenv("MESHC_FOLLOW"); host != "" {
		follow(host)
		return
	}
	os.Exit(m.Run())
}

func client() *registry.Client { return registry.New(registry.Options{Stall: time.Minute}) }

func reference(t testing.TB, s string) registry.Reference {
	t.Helper()
	r, err := registry.ParseExact(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func key(t testing.TB) *signature.Key {
	t.Helper()
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	k, err := signature.ReadKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// site is a registry and what a server of it would have.
type site struct {
	reg  *registrytest.Registry
	ref  registry.Reference
	key  *signature.Key
	keep string
	// pusher is one client for all pushes, as a client of its own for each would leave a connection behind each time.
	pusher *registry.Client
}

func newSite(t *testing.T) *site {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := &site{reg: registrytest.Start(t, true), key: key(t), keep: filepath.Join(t.TempDir(), "keep"), pusher: client()}
	s.ref = reference(t, "oci://"+s.reg.Host+"/mesh:main")
	return s
}

func (s *site) push(t testing.TB, b *bundle.Bundle, sign *signature.Key) {
	t.Helper()
	p, err := s.pusher.Push(context.Background(), s.ref, b, registry.About{})
	if err != nil {
		t.Fatal(err)
	}
	if sign == nil {
		return
	}
	text, err := sign.Sign(signature.Signed(strings.TrimPrefix(p.Ref.Digest, "sha256:")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.pusher.Attach(context.Background(), p.Ref, signature.MediaType, text, nil); err != nil {
		t.Fatal(err)
	}
}

func (s *site) source() *Source {
	return New(Options{Ref: s.ref, Client: client(), Trust: signature.Trusting("release", s.key.Public()), Store: store.New(s.keep), Guard: &Guard{}, Poll: time.Minute, Log: slog.New(slog.DiscardHandler)})
}

func mesh(t testing.TB, services int) *bundle.Bundle {
	return registrytest.Compile(t, registrytest.Mesh(t, services))
}

// TestFollow: what is signed is taken once, what is not signed is refused, and the bundle in service stays.
func TestFollow(t *testing.T) {
	s, ctx := newSite(t), context.Background()
	a, b := mesh(t, 3), mesh(t, 4)
	s.push(t, a, s.key)
	src := s.source()
	first, err := src.First(ctx)
	if err != nil || first.Digest != a.Digest {
		t.Fatalf("begins with %v, %v", first, err)
	}
	if next, err := src.Next(ctx); next != nil || err != nil {
		t.Errorf("the same digest: %v, %v", next, err)
	}
	for name, sign := range map[string]*signature.Key{"is not signed": nil, "release has not signed it": key(t)} {
		s.push(t, b, sign)
		var refused *Refusal
		if next, err := src.Next(ctx); next != nil || !errors.As(err, &refused) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, %v; want a refusal that says %q", next, err, name)
		}
	}
	s.push(t, b, s.key)
	if next, err := src.Next(ctx); err != nil || next == nil || next.Digest != b.Digest {
		t.Errorf("%v, %v", next, err)
	}
}

// TestBackoff: a registry that fails is asked less and less often, or when it says.
func TestBackoff(t *testing.T) {
	s, ctx := newSite(t), context.Background()
	s.push(t, mesh(t, 3), s.key)
	src := s.source()
	if _, err := src.First(ctx); err != nil {
		t.Fatal(err)
	}
	answer := func(after string) {
		s.reg.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		})
	}
	answer("")
	var waits []time.Duration
	for range 4 {
		if _, err := src.Next(ctx); err == nil {
			t.Fatal("a busy registry gives something")
		}
		waits = append(waits, src.wait)
	}
	if fmt.Sprint(waits) != "[2m0s 4m0s 5m0s 5m0s]" {
		t.Errorf("waits are %v", waits)
	}
	answer("90")
	if _, err := src.Next(ctx); err == nil || src.wait != 90*time.Second {
		t.Errorf("%v, wait %v", err, src.wait)
	}
	s.reg.Fault(nil)
	if _, err := src.Next(ctx); err != nil || src.wait != time.Minute {
		t.Errorf("%v, wait %v", err, src.wait)
	}
}

// TestKept: a restart begins with the last good bundle though the registry is away, and never with one that was tampered with.
func TestKept(t *testing.T) {
	s, ctx := newSite(t), context.Background()
	a := mesh(t, 3)
	s.push(t, a, s.key)
	if _, err := s.source().First(ctx); err != nil {
		t.Fatal(err)
	}
	s.reg.Fault(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
	src := s.source()
	if b, err := src.First(ctx); err != nil || b.Digest != a.Digest {
		t.Errorf("after a restart: %v, %v", b, err)
	}
	if src.Wait() != 0 {
		t.Error("the registry is not asked at once")
	}
	stranger := s.source()
	stranger.o.Trust = signature.Trusting("other", key(t).Public())
	if b, err := stranger.First(ctx); err == nil {
		t.Errorf("a key that is trusted no more: %v", b)
	}
	blobs, err := filepath.Glob(filepath.Join(s.keep, "blobs", "*"))
	if err != nil || len(blobs) == 0 {
		t.Fatal(blobs, err)
	}
	if err := os.Truncate(blobs[0], 5); err != nil {
		t.Fatal(err)
	}
	if b, err := s.source().First(ctx); err == nil {
		t.Errorf("a blob was cut: %v", b)
	}
	s.reg.Fault(nil)
	if b, err := s.source().First(ctx); err != nil || b.Digest != a.Digest {
		t.Errorf("with the registry back: %v, %v", b, err)
	}
}

// TestCannotKeep: a folder that cannot be written costs no service, is told, and is tried again.
func TestCannotKeep(t *testing.T) {
	s, ctx := newSite(t), context.Background()
	a := mesh(t, 3)
	s.push(t, a, s.key)
	if err := os.WriteFile(s.keep, nil, 0o600); err != nil { // a file where the folder would be
		t.Fatal(err)
	}
	src := s.source()
	if b, err := src.First(ctx); err != nil || b.Digest != a.Digest {
		t.Fatalf("%v, %v", b, err)
	}
	if _, err := src.Next(ctx); err == nil || !strings.Contains(err.Error(), "cannot be kept") {
		t.Errorf("nobody is told: %v", err)
	}
	if err := os.Remove(s.keep); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Next(ctx); err != nil {
		t.Error(err)
	}
	if _, p, err := src.o.Store.Current(); err != nil || p.Bundle.Digest != a.Digest {
		t.Error(err)
	}
}

// TestGuard: no way back, no other mesh, unless whoever runs the server says so.
func TestGuard(t *testing.T) {
	at := func(digest byte, domain, time string) *bundle.Bundle {
		b := &bundle.Bundle{Digest: bundle.Digest{digest}, TrustDomain: domain}
		b.Provenance.Source.Time = time
		return b
	}
	const early, late = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
	for _, c := range []struct {
		next   *bundle.Bundle
		exempt bool
		says   string
	}{
		{at(2, "a", late), false, ""},
		{at(2, "a", "2026-03-01T00:00:00Z"), false, ""},
		{at(2, "a", early), false, "is older"},
		{at(2, "a", early), true, ""},
		{at(3, "a", early), false, ""},
		{at(2, "a", ""), false, "does not say of which time"},
		{at(2, "b", late), false, "of another mesh"},
		{at(2, "b", late), true, "of another mesh"},
	} {
		g := &Guard{Allow: []string{bundle.Digest{3}.String()}}
		if err := g.Admit("x", at(1, "a", late), false); err != nil {
			t.Fatal(err)
		}
		err := g.Admit("x", c.next, c.exempt)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c, err, c.says)
		}
	}
}

// TestKilled: whenever the process ends, the folder has one whole bundle, and it is one that was pushed.
func TestKilled(t *testing.T) {
	runs := 20
	if n, err := strconv.Atoi(os.Getenv("MESHC_KILLS")); err == nil {
		runs = n
	}
	s := newSite(t)
	meshes := []*bundle.Bundle{mesh(t, 3), mesh(t, 5), mesh(t, 8)}
	for _, m := range meshes {
		s.push(t, m, nil)
	}
	src := s.source()
	src.o.Trust = nil
	if _, err := src.First(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i := range runs {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "MESHC_FOLLOW="+s.ref.String(), "MESHC_KEEP="+s.keep)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		end := time.Now().Add(time.Duration(mathrand.IntN(300)) * time.Millisecond)
		for k := i; time.Now().Before(end); k++ {
			s.push(t, meshes[k%len(meshes)], nil)
		}
		_ = c.Process.Kill()
		_ = c.Wait()
		_, p, err := src.o.Store.Current()
		if err != nil || p == nil {
			t.Fatalf("run %d: %v", i, err)
		}
		known := false
		for _, m := range meshes {
			known = known || m.Digest == p.Bundle.Digest && m.Provenance.Digest == p.Bundle.Provenance.Digest
		}
		if !known {
			t.Fatalf("run %d: the folder has %s, which nobody pushed", i, p.Bundle.Digest)
		}
	}
}

// follow is the process that is killed: it takes and keeps whatever the tag names, as fast as it can.
func follow(ref string) {
	r, err := registry.ParseExact(ref)
	if err != nil {
		panic(err)
	}
	s := New(Options{Ref: r, Client: client(), Store: store.New(os.Getenv("MESHC_KEEP")), Guard: &Guard{}, Log: slog.New(slog.DiscardHandler)})
	_, _ = s.First(context.Background())
	for {
		_, _ = s.Next(context.Background())
	}
}
