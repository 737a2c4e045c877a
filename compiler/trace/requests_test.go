package trace_test

import (
	"bufio"
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
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/internal/envoytest"
)

// Walks of random requests to random gateways must end as the requests do at a real Envoy that runs the same configuration:
// repeated headers, escapes, dots, slashes and case in paths, queries, hosts with ports and X-Forwarded-For.
func TestRequestsEndAsAtEnvoy(t *testing.T) {
	binary := findEnvoy(t)
	for _, d := range draws(t) {
		t.Run(d.name, func(t *testing.T) { requestsEndAsAtEnvoy(t, binary, d) })
	}
}

func requestsEndAsAtEnvoy(t *testing.T, binary string, d draw) {
	requests := 1250 / d.share // with all eight, 10,000
	for i, normalization := range []string{"NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"} {
		t.Run(fmt.Sprintf("%s-%d", normalization, i), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(d.seed, uint64(i)))
			ports := freePorts(t, 2)
			text := randomGateway(r, normalization, i%3, ports[0])
			b := compiled(t, text)
			startBundle(t, binary, b, ports)
			tracer, client := trace.New(b), &rawClient{address: fmt.Sprintf("127.0.0.1:%d", ports[0])}
			ends := map[int]int{}
			for range requests {
				q := randomRequest(r, ports[0])
				result, err := tracer.Walk(q.walk)
				if err != nil {
					t.Fatalf("%s: %v", q, err)
				}
				want := endOf(result)
				got, err := client.send(q)
				if err != nil {
					t.Fatalf("%s: %v", q, err)
				}
				ends[got]++
				if got != want {
					t.Fatalf("Envoy answers %d, and the walk ends with %d\nrequest: %s\n%+v\n%s", got, want, q, result.Path.Outcome, text)
				}
			}
			if d.share == 1 && (len(ends) < 6 || ends[http.StatusForbidden] == 0 || ends[http.StatusNotFound] == 0) {
				t.Errorf("the requests tell nothing apart: %v", ends)
			}
		})
	}
}

// endOf is the status that a client gets at the end of a walk.
func endOf(r *trace.Result) int {
	switch o := r.Path.Outcome; {
	case o == nil:
		return 0
	case o.Verdict == trace.Denied:
		return http.StatusForbidden
	default:
		return o.Status
	}
}

// wildRequest is one request as it goes over the wire, and as it is walked.
type wildRequest struct {
	wire string
	walk trace.Request
}

func (q *wildRequest) String() string { return strings.ReplaceAll(q.wire, "\r\n", " | ") }

func randomRequest(r *rand.Rand, port uint16) *wildRequest {
	var path strings.Builder
	for range 1 + r.IntN(4) {
		path.WriteString("/" + pick(r, "a", "b", "A", "ab", "%61", "%41b", "%2f", "%2F", "..", ".", "", "a%20b", "%2e%2e", "a;b", "a%09b", "%c3%a9", "a%3Fb", "a%23", "a,b", "a=b", "%", "%zz", "%2", "%2e", "...", ".a", `a"b`, `a\b`, "%5cb", "{a}", "a%5Eb", "a^b", "%7e"))
	}
	if r.IntN(3) == 0 {
		path.WriteString("?" + pick(r, "q=1", "q=2", "q", "q=1&q=2", "x=/../a", "q=%31", "q=a%20b"))
	}
	q := &wildRequest{walk: trace.Request{From: "gateway edge/site", Method: pick(r, "GET", "POST", "DELETE"), URL: fmt.Sprintf("http://shop.example:%d%s", port, path.String()),
		Headers: map[string][]string{}, Source: netip.MustParseAddr("127.0.0.1")}}
	host := pick(r, "shop.example", "shop.example", "SHOP.Example", "x.wild.example", fmt.Sprintf("shop.example:%d", port), "shop.example:1", "unknown.example", "shop.example.")
	q.walk.Headers["host"] = []string{host}
	wire := fmt.Sprintf("%s %s HTTP/1.1\r\nhost: %s\r\ncontent-length: 0\r\n", q.walk.Method, path.String(), host)
	for _, name := range []string{"x-role", "x-tier", "accept", "user-agent", "cookie"} {
		for range max(0, r.IntN(5)-2) {
			v := pick(r, "admin", "user", "admin,user", "5", "50", "", "Admin", " admin ", "admin, user", "\"admin\"")
			q.walk.Headers[name] = append(q.walk.Headers[name], strings.TrimSpace(v)) // the parser of HTTP takes the spaces
			wire += name + ": " + v + "\r\n"
		}
	}
	for range max(0, r.IntN(5)-2) {
		v := pick(r, "203.0.113.7", "10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7, 10.0.0.1", "10.0.0.1,,203.0.113.9", "2001:db8::1", "junk", "203.0.113.7:80", "")
		q.walk.Headers["x-forwarded-for"] = append(q.walk.Headers["x-forwarded-for"], v)
		wire += "x-forwarded-for: " + v + "\r\n"
	}
	q.wire = wire + "\r\n"
	return q
}

// randomGateway is a mesh of one gateway: routes that answer with a status of their own, and policies before them.
func randomGateway(r *rand.Rand, normalization string, trusted int, port uint16) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'pathNormalization: {normalization: %s}

    defaultConfig: {gatewayTopology: {numTrustedProxies: %d}}'}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: site, namespace: edge}
spec: {selector: {gate: edge}, servers: [{port: {number: %d, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*.example"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: site, namespace: edge}
spec:
  hosts: [shop.example, "*.wild.example"]
  gateways: [site]
  http:
`, normalization, trusted, port)
	for i := range 40 {
		fmt.Fprintf(&b, "  - {match: [%s], directResponse: {status: %d}}\n", randomMatch(r), 210+i)
	}
	for i, action := range []string{"DENY", "DENY", "ALLOW"} {
		fmt.Fprintf(&b, "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p%d, namespace: edge}\nspec:\n  action: %s\n  rules:\n", i, action)
		for range 3 {
			fmt.Fprintf(&b, "  - %s\n", randomRule(r))
		}
		if action == "ALLOW" {
			b.WriteString("  - to: [{operation: {methods: [GET, POST]}}]\n")
		}
	}
	return b.String()
}

func randomMatch(r *rand.Rand) string {
	var out []string
	if r.IntN(4) > 0 {
		out = append(out, "uri: "+pick(r, `{exact: /a}`, `{exact: /A/b}`, `{prefix: /a}`, `{prefix: /b/}`, `{prefix: /ab}`, `{regex: "/a/.*"}`, `{exact: "/a%20b"}`, `{prefix: "/a%2f"}`, `{prefix: //}`, `{exact: /a/b}`, `{prefix: /a%22}`, `{prefix: "/a;"}`))
		if r.IntN(3) == 0 && !strings.Contains(out[0], "regex") {
			out = append(out, "ignoreUriCase: true")
		}
	}
	if r.IntN(3) == 0 || len(out) == 0 {
		name := pick(r, "x-role", "x-tier", "accept", "user-agent", "cookie")
		out = append(out, pick(r, "headers", "headers", "headers", "headers", "withoutHeaders")+": {"+name+": "+pick(r, `{exact: admin}`, `{prefix: ad}`, `{regex: "adm.*"}`, `{}`, `{exact: "admin,user"}`, `{exact: "user"}`)+"}")
	}
	if r.IntN(4) == 0 {
		out = append(out, "queryParams: {q: "+pick(r, `{exact: "1"}`, `{prefix: "a"}`, `{regex: "[0-9]"}`, `{}`)+"}")
	}
	if r.IntN(4) == 0 {
		out = append(out, "method: {exact: "+pick(r, "GET", "POST")+"}")
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func randomRule(r *rand.Rand) string {
	switch r.IntN(4) {
	case 0:
		return "to: [{operation: {paths: [" + pick(r, `"/a%2fb"`, `"/A*"`, `"*/b"`, `"/b"`, `"/a/{*}"`, `"/a%20b"`) + "]}}]"
	case 1:
		return "when: [{key: 'request.headers[" + pick(r, "x-role", "x-tier", "accept", "cookie") + "]', " + "values: [" + pick(r, `"admin"`, `"ad*"`, `"*in"`, `"user"`, `"admin,user"`) + "]}]"
	case 2:
		return "from: [{source: {remoteIpBlocks: [" + pick(r, `"203.0.113.0/24"`, `"10.0.0.0/8"`, `"2001:db8::/32"`, `"127.0.0.1"`) + "]}}]\n    to: [{operation: {methods: [POST]}}]"
	}
	return "to: [{operation: {hosts: [" + pick(r, `"*.wild.example"`, `"unknown.example"`) + "], methods: [DELETE]}}]"
}

func compiled(t *testing.T, text string) *bundle.Bundle {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mesh.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, found, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Lenient: true})
	if err != nil || r.Bundle == nil {
		t.Fatalf("%v %v\n%s", err, found, text)
	}
	return r.Bundle
}

// startBundle runs an Envoy with what the gateway of a bundle gets; ports are that of the gateway and one for the admin.
func startBundle(t *testing.T, binary string, b *bundle.Bundle, ports []uint16) {
	t.Helper()
	for _, c := range b.Classes {
		if !c.Gateway || c.Namespace != "edge" {
			continue
		}
		rs, err := envoytest.Of(c)
		if err != nil {
			t.Fatal(err)
		}
		boot := &bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{Listeners: rs.Listeners}}
		for _, l := range rs.Listeners {
			inlineRoutes(t, l, rs.Routes)
		}
		run(t, binary, boot, ports[1])
		return
	}
	t.Fatal("the bundle has no gateway")
}

// inlineRoutes puts route configurations into the connection managers that would fetch them.
func inlineRoutes(t *testing.T, l *listenerv3.Listener, routes []*routev3.RouteConfiguration) {
	t.Helper()
	for _, fc := range l.GetFilterChains() {
		for _, f := range fc.GetFilters() {
			m := &hcmv3.HttpConnectionManager{}
			if f.GetTypedConfig().UnmarshalTo(m) != nil {
				continue
			}
			for _, rc := range routes {
				if rc.GetName() == m.GetRds().GetRouteConfigName() {
					rc.Vhds = nil
					m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: rc}
				}
			}
			packed, err := anypb.New(m)
			if err != nil {
				t.Fatal(err)
			}
			f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: packed}
		}
	}
}

// run starts an Envoy until the test ends, and waits for it.
func run(t *testing.T, binary string, boot *bootstrapv3.Bootstrap, admin uint16) {
	t.Helper()
	text, err := protojson.Marshal(boot)
	if err != nil {
		t.Fatal(err)
	}
	text = append([]byte(fmt.Sprintf(`{"admin":{"address":{"socketAddress":{"address":"127.0.0.1","portValue":%d}}},`, admin)), text[1:]...)
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	cmd := exec.Command(binary, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 600 {
		if resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", admin)); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("Envoy does not get ready: %s", output.String())
}

// rawClient sends requests as they are written, over one connection as long as that is kept.
type rawClient struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

func (c *rawClient) send(q *wildRequest) (int, error) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return 0, err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(c.conn, q.wire); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.Close {
		c.conn.Close()
		c.conn = nil
	}
	return resp.StatusCode, err
}
