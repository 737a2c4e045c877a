//go:build unix

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/server/secret"
)

// gate is what reads pass through; closed, it keeps them waiting as a network file system does whose server is gone.
type gate struct{ wait atomic.Pointer[chan struct{}] }

func (g *gate) close() {
	c := make(chan struct{})
	g.wait.Store(&c)
}

func (g *gate) open() {
	if c := g.wait.Swap(nil); c != nil {
		close(*c)
	}
}

func (g *gate) pass() {
	if c := g.wait.Load(); c != nil {
		<-*c
	}
}

// gated is a folder of which one part is behind a gate, or fails.
type gated struct {
	secret.Folder
	part string
	gate *gate
	fail *atomic.Pointer[fs.PathError]
}

func (g gated) Stat(name string) (fs.FileInfo, error) {
	if strings.HasPrefix(name, g.part) {
		g.gate.pass()
		if err := g.fail.Load(); err != nil {
			return nil, err
		}
	}
	return g.Folder.Stat(name)
}

// held is a running server each of whose sources can be made to hang.
type held struct {
	t                                   *testing.T
	ca                                  *authority
	path, own, files, secrets           string // of the bundle, of the server's identity, of endpoints, of secrets
	bundle, endpoints, identity, secret gate
	failing                             atomic.Pointer[fs.PathError] // what looking at the folder of the other workload fails with
	xds, admin                          string
	ctx                                 context.Context
	end                                 context.CancelFunc
	ended                               chan error
}

const otherID = "spiffe://td/ns/default/sa/other"

// prepare readies a server with TLS, files of endpoints, and secrets of the workloads sa and other.
func prepare(t *testing.T) *held {
	t.Helper()
	h := &held{t: t, ca: newAuthority(t), path: filepath.Join(t.TempDir(), "b"), own: t.TempDir(), files: t.TempDir(), secrets: t.TempDir(), ended: make(chan error, 1)}
	if err := h.classes("a").WriteDir(h.path); err != nil {
		t.Fatal(err)
	}
	crt, key := h.ca.issue("spiffe://td/ns/meshc/sa/server", time.Hour)
	put(t, h.own, map[string][]byte{"crt": crt, "key": key, "ca": h.ca.pem})
	for account, id := range map[string]string{"sa": rightID, "other": otherID} {
		crt, key := h.ca.issue(id, time.Hour)
		put(t, filepath.Join(h.secrets, "default", account), map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": h.ca.pem})
	}
	put(t, h.files, map[string][]byte{"e.yaml": []byte(sliceOf("c1", "10.1.0.1"))})
	h.ctx, h.end = context.WithCancel(context.Background())
	return h
}

func (h *held) options() Options {
	o := Options{BundlePath: h.path, XDSAddress: "127.0.0.1:0", AdminAddress: "127.0.0.1:0", Watch: true, Poll: 10 * time.Millisecond, Drain: 10 * time.Millisecond,
		TLSCert: filepath.Join(h.own, "crt"), TLSKey: filepath.Join(h.own, "key"), TLSCA: filepath.Join(h.own, "ca"), Endpoints: h.files, SecretsDir: h.secrets}
	o.open = openers{stall: 20 * time.Millisecond,
		bundle:    func(path string) (*bundle.Bundle, error) { h.bundle.pass(); return bundle.ReadToServe(path) },
		endpoints: func(path string) (endpointUpdate, error) { h.endpoints.pass(); return readEndpoints(path) },
		identity:  func(path string, most int64) ([]byte, error) { h.identity.pass(); return regular.ReadFile(path, most) },
		secrets: func(root string) (secret.Folder, error) {
			f, err := secret.OpenFolder(root)
			return gated{f, "default/other", &h.secret, &h.failing}, err
		},
	}
	return o
}

// run starts the server. It returns when proxies may come.
func (h *held) run() {
	h.t.Helper()
	o := h.options()
	h.t.Cleanup(func() {
		h.end()
		for _, g := range []*gate{&h.bundle, &h.endpoints, &h.identity, &h.secret} {
			g.open()
		}
	})
	ready := make(chan struct{})
	o.Ready = func(x, a net.Addr) { h.xds, h.admin = x.String(), a.String(); close(ready) }
	go func() { h.ended <- Run(h.ctx, o) }()
	select {
	case <-ready:
	case err := <-h.ended:
		h.t.Fatal(err)
	}
}

// classes is a bundle with a class for each of the workloads; the domain is that of one virtual host.
func (h *held) classes(domain string) *bundle.Bundle {
	h.t.Helper()
	set := []*bundle.Set{{Resources: append(without(base(1), "80/a"), vhs("80", "a", domain))}}
	in := bundle.Input{Compiler: "test", EnvoyMin: "1.36"}
	for account, app := range map[string]string{"sa": "a", "other": "b"} {
		in.Selectors = append(in.Selectors, bundle.Selector{ID: app, Labels: map[string]string{"app": app}})
		in.Classes = append(in.Classes, bundle.Class{ID: app, Namespace: "default", Selectors: []string{app}, ServiceAccounts: []string{account}, Sets: set})
	}
	b, err := bundle.Seal(in)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// proxy connects as a workload.
func (h *held) proxy(id, app, account string) *proxy {
	h.t.Helper()
	crt, key := h.ca.issue(id, time.Hour)
	p := connect(h.t, dial(h.t, h.ca, h.xds, crt, key))
	n := node(map[string]any{"app": app})
	n.Metadata.Fields["SERVICE_ACCOUNT"].Kind = nil
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType, Node: n})
	p.ack(p.want("lds +l"))
	return p
}

// page is what the admin address answers.
func (h *held) page(path string) (code int, text string) {
	h.t.Helper()
	promptly(h.t, path, func() {
		r, err := http.Get("http://" + h.admin + path)
		if err != nil {
			h.t.Error(err)
			return
		}
		defer func() { _ = r.Body.Close() }()
		b, _ := io.ReadAll(r.Body)
		code, text = r.StatusCode, string(b)
	})
	return code, text
}

// hangs is the problem of a read that does not come back.
const hangs = "hangs since"

// shows waits until all pages show a problem of something that is followed; "": none.
func (h *held) shows(what, problem string) {
	h.t.Helper()
	in, code := "meshc_watch_failing", http.StatusServiceUnavailable
	if problem == hangs {
		in = "meshc_watch_stalled"
	}
	if problem == "" {
		code = http.StatusOK
	}
	metric := fmt.Sprintf("%s{watch=%q} %d", in, what, int(truth(problem != "")))
	eventually(h.t, what+" shows "+problem, func() bool {
		readyz, ready := h.page("/readyz")
		watchz, reason := h.page("/watchz")
		_, metrics := h.page("/metrics")
		_, status := h.page("/status")
		return readyz == http.StatusOK && watchz == code && strings.Contains(ready, problem) && strings.Contains(reason, problem) &&
			strings.Contains(ready, "warning: no newer "+what+": ") == (problem != "") && strings.Contains(metrics, metric) &&
			strings.Contains(metrics, `meshc_watch_last_success_timestamp_seconds{watch="`+what+`"}`) &&
			strings.Contains(status, `"stalledSince"`) == (problem == hangs) && (problem == hangs || strings.Contains(status, problem))
	})
}

// serves tells whether the proxies of the first workload get all that they ask for.
func (h *held) serves() {
	h.t.Helper()
	p := h.proxy(rightID, "a", "sa")
	p.ask("default", "ROOTCA")
	p.secretsOf("default", "ROOTCA")
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.ack(p.want("cds +c1 +c2"))
}

// stops tells whether the server ends when it is told to.
func (h *held) stops() {
	h.t.Helper()
	h.end()
	select {
	case err := <-h.ended:
		if err != nil {
			h.t.Error(err)
		}
	case <-time.After(20 * time.Second):
		h.t.Error("the server does not end")
	}
}

// A read that hangs costs what is read, and nothing else: the server serves on, says which read hangs, ends when it is
// told to, and goes on when the read comes back.
func TestReadsThatHang(t *testing.T) {
	for what, cut := range map[string]func(h *held) *gate{
		"bundle": func(h *held) *gate {
			h.bundle.close()
			if err := h.classes("new").WriteDir(h.path); err != nil {
				h.t.Fatal(err)
			}
			return &h.bundle
		},
		"endpoints": func(h *held) *gate {
			h.endpoints.close()
			put(h.t, h.files, map[string][]byte{"e.yaml": []byte(sliceOf("c1", "10.1.0.2", "10.1.0.3"))})
			return &h.endpoints
		},
		"identity": func(h *held) *gate {
			h.identity.close()
			crt, key := h.ca.issue("spiffe://td/ns/meshc/sa/server", 2*time.Hour)
			put(h.t, h.own, map[string][]byte{"crt": crt, "key": key})
			return &h.identity
		},
		"secrets": func(h *held) *gate {
			h.secret.close()
			p := h.proxy(otherID, "b", "other")
			p.ask("default", "ROOTCA")
			p.quiet()
			return &h.secret
		},
	} {
		for _, back := range []bool{true, false} {
			t.Run(what, func(t *testing.T) {
				h := prepare(t)
				h.run()
				h.serves()
				h.shows(what, "")
				g := cut(h)
				h.shows(what, hangs)
				h.serves()
				if back {
					g.open()
					h.shows(what, "")
				}
				h.stops()
			})
		}
	}
}

// What hangs when the server starts keeps it from nothing that it has without.
func TestStartWhileReadsHang(t *testing.T) {
	t.Run("endpoints", func(t *testing.T) {
		h := prepare(t)
		h.endpoints.close()
		h.run()
		h.serves()
		h.endpoints.open()
		h.shows("endpoints", "")
		h.stops()
	})
	for what, g := range map[string]func(*held) *gate{"bundle": func(h *held) *gate { return &h.bundle }, "identity": func(h *held) *gate { return &h.identity }} {
		t.Run(what, func(t *testing.T) {
			h := prepare(t)
			g(h).close()
			h.end() // there is nothing to serve with, but it ends
			promptly(t, "the server", func() {
				if err := Run(h.ctx, h.options()); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			g(h).open()
		})
	}
}

// What can be read no more, or is no regular file, is shown where a read that hangs is, and costs as little.
func TestReadsThatFail(t *testing.T) {
	h := prepare(t)
	h.run()
	p := h.proxy(otherID, "b", "other")
	p.ask("default")
	p.secretsOf("default")
	h.failing.Store(&fs.PathError{Op: "stat", Path: "default/other/tls.crt", Err: fs.ErrPermission})
	h.shows("secrets", "permission denied")
	h.serves()
	h.failing.Store(nil)
	h.shows("secrets", "")
	p.quiet()

	pipe(t, filepath.Join(h.secrets, "default", "other", "tls.crt"))
	h.shows("secrets", "named pipe")
	h.serves()

	if err := os.Rename(h.path, h.path+".old"); err != nil {
		t.Fatal(err)
	}
	pipe(t, h.path)
	h.shows("bundle", "named pipe")
	h.serves()
	if err := errors.Join(os.Remove(h.path), h.classes("new").WriteDir(h.path)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next bundle", func() bool { _, s := h.page("/status"); return strings.Contains(s, h.classes("new").Digest.String()) })
	h.stops()
}
