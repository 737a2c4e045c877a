package server

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/spiffetest"

	"github.com/meshc/meshc/server/ads"
)

// What a stream is given passes through one function: no other makes an entitlement, reads a view, or loads a secret.
func TestOneFunctionEntitles(t *testing.T) {
	only := map[string]string{ // what → the function that may
		"literal entitlement": "entitle", "call view": "entitle", "call NewStream": "newSession", "call secret": "lookUp", "call lookUp": "step", "literal ViewChange": "show", "call classFor": "judge", "call mayHave": "classFor", "call mayBeGiven": "permitted",
	}
	found := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			saw := func(what string) {
				if by, ok := only[what]; ok {
					found[what] = true
					if fn.Name.Name != by {
						t.Errorf("%s: %s in %s: only %s may", file, what, fn.Name.Name, by)
					}
				}
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					if id, ok := n.Type.(*ast.Ident); ok && len(n.Elts) > 0 {
						saw("literal " + id.Name)
					}
					if sel, ok := n.Type.(*ast.SelectorExpr); ok {
						saw("literal " + sel.Sel.Name)
					}
				case *ast.CallExpr:
					if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
						saw("call " + sel.Sel.Name)
					}
				case *ast.AssignStmt:
					for _, l := range n.Lhs {
						if sel, ok := l.(*ast.SelectorExpr); ok {
							saw("set " + sel.Sel.Name)
						}
					}
				}
				return true
			})
		}
	}
	for what := range only {
		if !found[what] {
			t.Errorf("nothing does %q: this test looks for the wrong names", what)
		}
	}
}

// walker is a client of either mode that takes all it gets.
type walker struct {
	send func(url string, names []string, n *corev3.Node) error

	mu  sync.Mutex
	got []byte // all responses, encoded
}

func (w *walker) take(m proto.Message, err error) bool {
	if err != nil {
		return false
	}
	b, _ := proto.Marshal(m)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, b...)
	return true
}

// has tells whether something came.
func (w *walker) has(text []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.got, text)
}

func walk(t testing.TB, c discoveryv3.AggregatedDiscoveryServiceClient, delta bool) *walker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &walker{send: func(string, []string, *corev3.Node) error { return nil }}
	if delta {
		st, err := c.DeltaAggregatedResources(ctx)
		if err != nil {
			return w
		}
		w.send = func(url string, names []string, n *corev3.Node) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			return st.Send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: url, ResourceNamesSubscribe: names})
		}
		go func() {
			for r, err := st.Recv(); w.take(r, err); r, err = st.Recv() {
				w.mu.Lock()
				_ = st.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce})
				w.mu.Unlock()
			}
		}()
		return w
	}
	st, err := c.StreamAggregatedResources(ctx)
	if err != nil {
		return w
	}
	asked := map[string][]string{}
	w.send = func(url string, names []string, n *corev3.Node) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		asked[url] = names
		return st.Send(&discoveryv3.DiscoveryRequest{Node: n, TypeUrl: url, ResourceNames: names})
	}
	go func() {
		for r, err := st.Recv(); w.take(r, err); r, err = st.Recv() {
			w.mu.Lock()
			_ = st.Send(&discoveryv3.DiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce, VersionInfo: r.VersionInfo, ResourceNames: asked[r.TypeUrl]})
			w.mu.Unlock()
		}
	}()
	return w
}

// ask asks for all that a proxy asks for.
func (w *walker) ask(n *corev3.Node) {
	for _, x := range []struct {
		url   string
		names []string
	}{{bundle.ClusterType, nil}, {bundle.EndpointsType, []string{"c1", "bank"}}, {ads.SecretType, []string{"default", "kubernetes://web"}}, {bundle.ListenerType, nil}} {
		_ = w.send(x.url, x.names, n) // the server may have ended the stream
	}
}

// testMesh is a mesh with a server, in which something comes to be that one class may have only.
type testMesh struct {
	t         *testing.T
	srv       *Server
	addr      string
	ca, other *authority
	dir       string            // of secrets
	files     string            // of the server's identity
	agent     *spiffetest.Agent // that the server has its identity from in place of the files; nil: none
	source    *source
	key       []byte // of the credential, the newest
}

const (
	vault                 = "vault of the bank"          // in its cluster
	compiledIn, seenLater = "10.66.66.66", "10.77.77.77" // its endpoints, of the bundle and live
)

// classes makes a bundle of the classes, with the bank or without.
func (c *testMesh) classes(bank bool, list ...bundle.Class) *bundle.Bundle {
	rs := append(base(1), naming(c.t, "kubernetes://web"))
	plan := &endpoint.Plan{Site: &endpoint.Site{Cluster: "Kubernetes"}, Clients: []*endpoint.Client{{}}}
	service := func(name, address string) {
		plan.Services = append(plan.Services, &endpoint.Service{Namespace: "default", Name: name, Hostname: name, Kubernetes: true, Selector: map[string]string{"app": name},
			Ports: []endpoint.Port{{Number: 80, Name: "http", Target: 8080, Declared: []*endpoint.Endpoint{{Address: address, Port: 8080, Ready: true}}}}})
	}
	service("c1", "10.0.9.9")
	if bank {
		service("bank", compiledIn)
		rs = append(rs, resource(bundle.ClusterType, "bank", &clusterv3.Cluster{Name: "bank", AltStatName: vault}), eds("bank"))
	}
	for _, r := range rs {
		for i, s := range plan.Services {
			if r.Type == bundle.EndpointsType && r.Name == s.Name {
				r.Join = &endpoint.Join{Services: []int{i}}
			}
		}
	}
	in := bundle.Input{Compiler: "test", EnvoyMin: "1.36", Plan: plan, Selectors: []bundle.Selector{{ID: "a", Labels: map[string]string{"app": "a"}}, {ID: "z", Labels: map[string]string{"app": "z"}}}}
	for _, class := range list {
		class.Namespace = "default"
		class.Sets = []*bundle.Set{{Resources: rs}}
		in.Classes = append(in.Classes, class)
	}
	b, err := bundle.Seal(in)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// open is a bundle in which whoever can be somebody is.
func (c *testMesh) open() *bundle.Bundle {
	all := []string{"sa", "other"}
	return c.classes(false, bundle.Class{ID: "a", Selectors: []string{"a"}, ServiceAccounts: all}, bundle.Class{ID: "z", Selectors: []string{"z"}, ServiceAccounts: all},
		bundle.Class{ID: "gw", Gateway: true, Selectors: []string{"a"}, ServiceAccounts: all})
}

// closed is one in which a single class has the bank, and there is no other.
func (c *testMesh) closed() *bundle.Bundle {
	return c.classes(true, bundle.Class{ID: "a", Selectors: []string{"a"}, ServiceAccounts: []string{"sa"}})
}

// build starts a server of the open bundle, which trusts both authorities.
func build(t *testing.T, agent bool) *testMesh {
	c := &testMesh{t: t, ca: newAuthority(t), other: newAuthority(t), dir: t.TempDir(), files: t.TempDir()}
	for _, account := range []string{"sa", "other"} {
		crt, key := c.ca.issue("spiffe://td/ns/default/sa/"+account, time.Hour)
		put(t, filepath.Join(c.dir, "default", account), map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": c.ca.pem})
	}
	c.rotate()
	both := append(append([]byte{}, c.ca.pem...), c.other.pem...)
	file := filepath.Join(t.TempDir(), "endpoints.yaml")
	o := Options{TrustDomains: []string{"td"}, SecretsDir: c.dir, Endpoints: file, AckTimeout: 50 * time.Millisecond, Grace: -1}
	if agent {
		o.SPIFFESocket = socketPath(t)
		c.agent = startAgent(t, o.SPIFFESocket)
		give(t, c.agent, c.ca, time.Hour, both, nil)
	} else {
		crt, key := c.ca.issue("spiffe://td/ns/meshc/sa/server", time.Hour)
		put(t, c.files, map[string][]byte{"crt": crt, "key": key, "ca": both})
		o.TLSCert, o.TLSKey, o.TLSCA = filepath.Join(c.files, "crt"), filepath.Join(c.files, "key"), filepath.Join(c.files, "ca")
	}
	c.srv = New(c.open(), o)
	c.source = &source{t, c.srv, file}
	c.source.tell(sliceOf("c1", "10.0.0.1"))
	c.addr = serveADS(t, c.srv)
	ready(t, c.srv, http.StatusOK, "ok\n")
	return c
}

// rotate makes another key of the credential.
func (c *testMesh) rotate() {
	crt, key := c.ca.issue("spiffe://td/ns/default/sa/web", time.Hour)
	put(c.t, filepath.Join(c.dir, "default", "kubernetes", "web"), map[string][]byte{"tls.crt": crt, "tls.key": key})
	c.key = key
}

// distrust takes the second authority out of the server's roots.
func (c *testMesh) distrust() {
	c.t.Helper()
	if c.agent != nil {
		before := c.srv.own.latest()
		give(c.t, c.agent, c.ca, time.Hour, c.ca.pem, nil)
		eventually(c.t, "another identity", func() bool { return c.srv.own.latest() != before })
		return
	}
	put(c.t, c.files, map[string][]byte{"ca": c.ca.pem})
	if err := c.srv.own.(*identityFiles).refresh(); err != nil {
		c.t.Fatal(err)
	}
}

// turn is a way in which a stream comes to be led to something.
type turn struct {
	start func(*testMesh) // before there are streams
	turn  func(*testMesh) // what changes while they are open
}

// turns end with a mesh in which the bank, its endpoints and the newest key are only for the class a, of the service
// account sa, by a certificate of the first authority.
func turns() map[string]turn {
	nothing := func(*testMesh) {}
	revoke := func(c *testMesh) {
		c.distrust()
		c.srv.Switch(c.closed())
	}
	return map[string]turn{
		"connect": {revoke, func(c *testMesh) { c.rotate(); c.srv.rotate() }},
		"switch":  {nothing, func(c *testMesh) { c.distrust(); c.rotate(); c.srv.Switch(c.closed()) }},
		"switch and back": {nothing, func(c *testMesh) {
			revoke(c)
			c.srv.Switch(c.open())
			c.srv.rotate()
			c.rotate()
			c.srv.Switch(c.closed())
		}},
		"renewed certificate": {nothing, func(c *testMesh) {
			c.distrust()
			c.srv.reprove()
			c.rotate()
			c.srv.Switch(c.closed())
			c.srv.rotate()
			c.source.tell(sliceOf("c1", "10.0.0.2"), sliceOf("bank", seenLater))
		}},
		"endpoints": {nothing, func(c *testMesh) {
			revoke(c)
			c.source.tell(sliceOf("c1", "10.0.0.2"), sliceOf("bank", seenLater))
			c.rotate()
		}},
		"endpoints, another generation": {nothing, func(c *testMesh) {
			revoke(c)
			for i := range 5000 {
				c.srv.base().reg.Add(ads.Endpoints, "c1", fmt.Sprint("old ", i), nil, nil)
			}
			c.source.tell(sliceOf("c1", "10.0.0.2"), sliceOf("bank", seenLater))
			c.rotate()
		}},
		"rotation": {nothing, func(c *testMesh) { revoke(c); c.rotate(); c.srv.rotate() }},
	}
}

// However a stream comes to be led to something, and whatever it says in later requests, it gets what its caller may have
// and nothing else.
func TestNoWayAround(t *testing.T) {
	for name, turn := range turns() {
		for _, agent := range []bool{true, false} {
			for _, delta := range []bool{true, false} {
				t.Run(fmt.Sprint(name, ", agent ", agent, ", delta ", delta), func(t *testing.T) {
					t.Parallel()
					testNoWayAround(t, turn, agent, delta)
				})
			}
		}
	}
}

func testNoWayAround(t *testing.T, turn turn, agent, delta bool) {
	c := build(t, agent)
	turn.start(c)
	type guest struct {
		spoof
		*walker
		later *corev3.Node // of later requests
	}
	right := spoofs(c.ca, c.other)[0]
	var guests []guest
	for _, s := range spoofs(c.ca, c.other) {
		g := guest{s, walk(t, dial(t, c.ca, c.addr, s.crt, s.key), delta), s.node}
		g.ask(s.node)
		guests = append(guests, g)
		// The same words later, on a stream that began with the right ones.
		g = guest{right, walk(t, dial(t, c.ca, c.addr, right.crt, right.key), delta), s.node}
		g.name = "right, then " + s.name
		g.ask(right.node)
		guests = append(guests, g)
	}
	for _, g := range guests {
		if g.code == codes.OK {
			eventually(t, g.name+" gets its key", func() bool { return g.has(keyLine(c.key)) })
		}
	}
	turn.turn(c)
	c.srv.rotate()
	for _, g := range guests {
		g.ask(g.later)
	}
	for _, g := range guests {
		if g.code == codes.OK {
			for _, want := range [][]byte{keyLine(c.key), []byte(vault)} {
				eventually(t, g.name+" gets what is new", func() bool { return g.has(want) })
			}
		}
	}
	time.Sleep(100 * time.Millisecond)
	for _, g := range guests {
		for what, text := range map[string][]byte{"the key": keyLine(c.key), "a cluster": []byte(vault), "endpoints": []byte(compiledIn), "live endpoints": []byte(seenLater)} {
			if g.code != codes.OK && g.has(text) {
				t.Errorf("%s gets %s", g.name, what)
			}
		}
	}
}

// keyLine is a line in the middle of a key.
func keyLine(pem []byte) []byte { return bytes.Split(pem, []byte("\n"))[1] }

// A proxy whose class is gone keeps its configuration and goes on to get its own identity, but no newer credential; one
// whose Envoy is too old for the new bundle gets what its class has there.
func TestSecretsAfterASwitch(t *testing.T) {
	for name, x := range map[string]struct {
		next func(c *testMesh) *bundle.Bundle
		want string // why there is no credential after the next rotation; "": there is
	}{
		"class gone": {func(c *testMesh) *bundle.Bundle {
			return c.classes(true, bundle.Class{ID: "z", Selectors: []string{"z"}})
		}, "no class"},
		"account not of the class": {func(c *testMesh) *bundle.Bundle {
			return c.classes(true, bundle.Class{ID: "a", Selectors: []string{"a"}, ServiceAccounts: []string{"other"}})
		}, "run as other"},
		"too old":                      {func(c *testMesh) *bundle.Bundle { return tooNew(c.closed()) }, ""},
		"too old, and no longer named": {func(c *testMesh) *bundle.Bundle { return tooNew(sealed(c.t, base(1)...)) }, errNotNamed.Error()},
		"still its":                    {(*testMesh).closed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := build(t, false)
			crt, key := c.ca.issue(rightID, time.Hour)
			p := connect(t, dial(t, c.ca, c.addr, crt, key))
			n := node(map[string]any{"app": "a"})
			n.UserAgentVersionType = &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{Version: &typev3.SemanticVersion{MajorNumber: 1, MinorNumber: 36}}}
			p.send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: ads.SecretType, ResourceNamesSubscribe: []string{"default", "kubernetes://web"}})
			p.secretsOf("default", "kubernetes://web")
			c.srv.Switch(x.next(c))
			c.rotate()
			crt, key = c.ca.issue(rightID, 2*time.Hour)
			put(t, filepath.Join(c.dir, "default", "sa"), map[string][]byte{"tls.crt": crt, "tls.key": key})
			c.srv.rotate()
			wants := []string{"default"}
			if x.want == "" {
				wants = append(wants, "kubernetes://web")
			}
			for name, s := range p.secretsOf(wants...) {
				if want := map[string][]byte{"default": key, "kubernetes://web": c.key}[name]; !bytes.Equal(s.GetTlsCertificate().GetPrivateKey().GetInlineBytes(), want) {
					t.Errorf("%s is not the new one", name)
				}
			}
			p.quiet()
			p.ask("kubernetes://web") // asked for again, as when a listener comes back
			if x.want == "" {
				p.secretsOf("kubernetes://web")
			}
			p.quiet()
			if why := c.srv.Status().Nodes[0].MissingSecrets["kubernetes://web"]; (why == "") != (x.want == "") || !strings.Contains(why, x.want) {
				t.Errorf("/status says %q", why)
			}
		})
	}
}

func tooNew(b *bundle.Bundle) *bundle.Bundle {
	b.EnvoyMin = "1.99"
	return b
}

// The server ends a connection by a certificate of a CA that it does not trust any more; the proxy comes back by its new
// one. While both are trusted, nothing happens.
func TestRootsReplaced(t *testing.T) {
	c := build(t, false)
	crt, key := c.other.issue(rightID, time.Hour)
	p := connect(t, dial(t, c.ca, c.addr, crt, key))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType})
	p.ack(p.want("lds +l"))
	c.srv.reprove()
	p.quiet()
	c.distrust()
	c.srv.reprove()
	p.ended()
	if got := attempt(t, c.ca, c.other, c.addr, rightID); got == codes.OK {
		t.Error("let in again")
	}
	if got := attempt(t, c.ca, c.ca, c.addr, rightID); got != codes.OK {
		t.Errorf("by the new certificate: %v", got)
	}
	if st := c.srv.Status(); len(st.Refused) == 0 || !strings.Contains(st.Refused[0].Reason, "any more") {
		t.Errorf("/status says %v", st.Refused)
	}
}

// No new stream is taken on a connection whose certificate has lost its worth, however young the loss is.
func TestRootsReplacedOnOneConnection(t *testing.T) {
	c := build(t, false)
	crt, key := c.other.issue(rightID, time.Hour)
	ads := dial(t, c.ca, c.addr, crt, key)
	first := walk(t, ads, true)
	first.ask(node(map[string]any{"app": "a"}))
	eventually(t, "the first stream", func() bool { return first.has(keyLine(c.key)) })
	c.distrust()
	c.rotate()
	c.srv.Switch(c.closed())
	second := walk(t, ads, true)
	second.ask(node(map[string]any{"app": "a"}))
	eventually(t, "a refusal of the second", func() bool { return counted(c.srv, `meshc_refused_nodes_total{reason="identity"}`) == "1" })
	for what, w := range map[string]*walker{"the first": first, "the second": second} {
		if w.has(keyLine(c.key)) || w.has([]byte(vault)) {
			t.Errorf("%s stream gets what is new", what)
		}
	}
}

// A running server looks for another identity by itself.
func TestRunFollowsItsRoots(t *testing.T) {
	c := build(t, false)
	path := filepath.Join(t.TempDir(), "b")
	if err := c.closed().WriteDir(path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{BundlePath: path, XDSAddress: "127.0.0.1:0", AdminAddress: "-", TLSCert: filepath.Join(c.files, "crt"), TLSKey: filepath.Join(c.files, "key"), TLSCA: filepath.Join(c.files, "ca"),
			Poll: 20 * time.Millisecond, Drain: time.Millisecond, Ready: func(x, _ net.Addr) { ready <- x.String() }})
	}()
	crt, key := c.other.issue(rightID, time.Hour)
	p := connect(t, dial(t, c.ca, <-ready, crt, key))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType})
	p.ack(p.want("lds +l"))
	if err := os.WriteFile(filepath.Join(c.files, "ca"), c.ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	p.ended()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
