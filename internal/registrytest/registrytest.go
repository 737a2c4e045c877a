// Package registrytest gives tests a registry on loopback that does as they say: it counts what travels, and answers in the
// place of the registry where a test wants an answer that is wrong.
package registrytest

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/meshgen"
)

// Registry is a registry and what was asked of it.
type Registry struct {
	Host string

	in, out  atomic.Int64 // bytes of bodies
	requests atomic.Int64

	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request) bool
	inner http.Handler
}

// Start runs a registry until the test ends. One that knows referrers answers the API that OCI 1.1 has for them.
func Start(t testing.TB, referrers bool) *Registry {
	t.Helper()
	reg, stop := start(referrers)
	t.Cleanup(stop)
	return reg
}

// New runs a registry until it is stopped, for tests that have none of testing's kind.
func New(referrers bool) (host string, stop func()) {
	reg, stop := start(referrers)
	return reg.Host, stop
}

func start(referrers bool) (*Registry, func()) {
	reg := &Registry{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers))}
	s := httptest.NewServer(reg)
	reg.Host = strings.TrimPrefix(s.URL, "http://")
	return reg, s.Close
}

// Fault has f see each request first; it returns whether it answered.
func (reg *Registry) Fault(f func(w http.ResponseWriter, r *http.Request) bool) {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	reg.fault = f
}

// Traffic is how many bytes of bodies came in and went out since the last call, and how many requests there were.
func (reg *Registry) Traffic() (in, out, requests int64) {
	return reg.in.Swap(0), reg.out.Swap(0), reg.requests.Swap(0)
}

// ServeHTTP implements http.Handler.
func (reg *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reg.requests.Add(1)
	reg.mu.Lock()
	fault := reg.fault
	reg.mu.Unlock()
	cw := &counting{ResponseWriter: w, n: &reg.out}
	if fault != nil && fault(cw, r) {
		return
	}
	r.Body = &countingBody{ReadCloser: r.Body, n: &reg.in}
	reg.inner.ServeHTTP(cw, r)
}

// Inner answers as the registry does, for faults that alter an answer.
func (reg *Registry) Inner(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	reg.inner.ServeHTTP(rec, r)
	return rec
}

type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countingBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// Mesh writes the sources of a mesh of so many services and returns their folder.
func Mesh(t testing.TB, services int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mesh")
	if _, err := meshgen.Write(dir, meshgen.Options{Services: services, Scoped: true}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Compile compiles sources to a bundle.
func Compile(t testing.TB, dir string) *bundle.Bundle {
	t.Helper()
	res, found, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if found.HasErrors() {
		t.Fatal(found)
	}
	return res.Bundle
}
