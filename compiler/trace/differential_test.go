package trace_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/trace/match"
)

// The decisions of this package about random requests under random policies, lowered by the compiler, must be those of a
// real Envoy that runs the same filters. ENVOY names its binary; without one the test is skipped.
func TestDecisionsAreThoseOfEnvoy(t *testing.T) {
	binary := findEnvoy(t)
	for _, d := range draws(t) {
		t.Run(d.name, func(t *testing.T) { decisionsAreThoseOfEnvoy(t, binary, d) })
	}
}

func decisionsAreThoseOfEnvoy(t *testing.T, binary string, d draw) {
	listeners, requests := 80/d.share, 150 // with all, 12,000 decisions
	fixture := newFixture(t)
	random := rand.New(rand.NewPCG(d.seed, 2))
	ports := freePorts(t, listeners+1)
	var cases []*listenerCase
	for i := range listeners {
		in := fixture.inbound(random, ports[i])
		filters, findings := security.HTTPAuthFilters(in)
		if findings.HasErrors() {
			t.Fatalf("policies %d do not compile: %v", i, findings)
		}
		cases = append(cases, &listenerCase{port: ports[i], tls: i%2 == 1, filters: filters, policies: in})
	}
	fixture.start(t, binary, cases, ports[listeners])
	var group sync.WaitGroup
	denied, unauthorized := make([]int, listeners), make([]int, listeners)
	for i, c := range cases {
		r := rand.New(rand.NewPCG(d.seed+3, uint64(i)))
		group.Add(1)
		go func() {
			defer group.Done()
			for range requests {
				q := fixture.request(r, c)
				want, err := c.decide(q.call, fixture.tokens)
				if err != nil {
					t.Errorf("listener %d: %v", i, err)
					return
				}
				got, err := q.send()
				if err != nil {
					t.Errorf("listener %d: %s %s: %v", i, q.call.Method, q.call.Path, err)
					return
				}
				switch got {
				case http.StatusForbidden:
					denied[i]++
				case http.StatusUnauthorized:
					unauthorized[i]++
				}
				if got != want {
					t.Errorf("listener %d: Envoy answers %d, not %d\nrequest: %s\npolicies: %s", i, got, want, q, c)
					return
				}
			}
		}()
	}
	group.Wait()
	no, bad := 0, 0
	for i := range listeners {
		no, bad = no+denied[i], bad+unauthorized[i]
	}
	t.Logf("%d requests: %d allowed, %d denied, %d with a bad token", listeners*requests, listeners*requests-no-bad, no, bad)
	if d.share == 1 && (no == 0 || bad == 0 || no+bad >= listeners*requests) {
		t.Errorf("the requests do not tell policies apart: %d denied, %d with a bad token", no, bad)
	}
}

// listenerCase is one listener with its own policies.
type listenerCase struct {
	port     uint16
	tls      bool
	filters  []*hcmv3.HttpFilter
	policies *mesh.Inbound
}

func (c *listenerCase) String() string {
	var b strings.Builder
	for _, p := range c.policies.AuthorizationPolicies {
		fmt.Fprintln(&b, p.Spec)
	}
	for _, p := range c.policies.RequestAuthentications {
		fmt.Fprintln(&b, p.Spec)
	}
	return b.String()
}

// decide runs the filters over a call and returns the status that Envoy should answer with.
func (c *listenerCase) decide(call *match.Call, tokens map[string]match.Token) (int, error) {
	for _, f := range c.filters {
		var jwt jwtv3.JwtAuthentication
		var rbac httprbacv3.RBAC
		switch {
		case f.GetTypedConfig().UnmarshalTo(&jwt) == nil:
			if status, err := match.VerifyTokens(&jwt, call, tokens); err != nil || status != 0 {
				return status, err
			}
		case f.GetTypedConfig().UnmarshalTo(&rbac) == nil:
			v, err := match.Authorize(rbac.GetRules(), call)
			if err != nil || !v.Allowed {
				return http.StatusForbidden, err
			}
		default:
			return 0, fmt.Errorf("filter %s", f.GetName())
		}
	}
	return http.StatusOK, nil
}

// query is one request, as Envoy gets it and as this package sees it.
type query struct {
	call   *match.Call
	client *http.Client
	req    *http.Request
}

func (q *query) String() string {
	return fmt.Sprintf("%s %s host %s from %s (%s) as %v to %s sni %q headers %v", q.req.Method, q.req.URL.RequestURI(), q.req.Host,
		q.call.Source, q.call.Remote, q.call.Principals, q.call.Destination, q.call.SNI, q.req.Header)
}

func (q *query) send() (int, error) {
	resp, err := q.client.Do(q.req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func findEnvoy(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("ENVOY")
	if found, _ := filepath.Glob("../../.cache/envoy-*/envoy"); binary == "" && len(found) > 0 {
		binary, _ = filepath.Abs(found[0])
	}
	if binary == "" {
		binary, _ = exec.LookPath("envoy")
	}
	if binary == "" && os.Getenv("MESHC_REQUIRE_ALL") != "" {
		t.Fatal("no Envoy: make tools fetches it")
	}
	if binary == "" {
		t.Skip("skipped: no Envoy; set ENVOY to its binary")
	}
	return binary
}

func freePorts(t *testing.T, n int) []uint16 {
	t.Helper()
	var out []uint16
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, netip.MustParseAddrPort(l.Addr().String()).Port())
	}
	return out
}

// start runs Envoy until the test ends and waits for it to be ready.
func (w *fixture) start(t *testing.T, binary string, cases []*listenerCase, admin uint16) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, w.bootstrap(t, cases, admin), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() { stop(); <-done })
	for range 600 {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", admin))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-done:
			done <- err
			t.Fatalf("Envoy ended: %v\n%s", err, output.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("Envoy does not get ready")
}
