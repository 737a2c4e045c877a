//go:build linux

package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

// identified starts a repository whose workloads have identities in the trust domain mesh.test, once called old.test.
func identified(settings string) manifests {
	m := manifests{}
	m.add("mesh.yaml", `
apiVersion: v1
kind: Namespace
metadata: {name: lab, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: mesh.test
    trustDomainAliases: [old.test]
%s`, indented(settings, 4))
	return m
}

func indented(text string, by int) string {
	out := ""
	for line := range strings.Lines(strings.TrimPrefix(text, "\n")) {
		out += strings.Repeat(" ", by) + strings.TrimRight(line, "\n") + "\n"
	}
	return out
}

// workload adds a pod of the service account of its name and, when it has ports, a Service of the same name. Ports are
// name:service port:container port.
func (m manifests) workload(kind, name, ip, vip string, ports ...string) {
	var pod, service, slice string
	for _, p := range ports {
		f := strings.Split(p, ":")
		pod += fmt.Sprintf("    - {name: %s, containerPort: %s}\n", f[0], f[2])
		service += fmt.Sprintf("  - {name: %s, port: %s, targetPort: %s}\n", f[0], f[1], f[2])
		slice += fmt.Sprintf("- {name: %s, port: %s, protocol: TCP}\n", f[0], f[2])
	}
	mode, proxy := "", ""
	if kind == "sidecar" {
		mode, proxy = ", security.istio.io/tlsMode: istio", "  - {name: istio-proxy, image: \"envoyproxy/envoy:v1.40.0\"}\n"
	}
	m.add("observed.yaml", `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: lab, labels: {app: %[1]s%[2]s}, annotations: {sidecar.istio.io/inject: "%[3]t"}}
spec:
  serviceAccountName: %[1]s
  containers:
  - name: app
    image: registry.example.com/echo:1
    ports:
%[4]s%[5]sstatus:
  phase: Running
  podIP: %[6]s
  podIPs: [{ip: %[6]s}]
  conditions: [{type: Ready, status: "True"}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[1]s, namespace: lab}
`, name, mode, kind == "sidecar", pod, proxy, ip)
	if vip == "" {
		return
	}
	m.add("services.yaml", `
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: lab}
spec:
  clusterIP: %[2]s
  selector: {app: %[1]s}
  ports:
%[3]s---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: lab, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports:
%[4]sendpoints:
- addresses: [%[5]s]
  conditions: {ready: true}
  targetRef: {kind: Pod, name: %[1]s, namespace: lab}
`, name, vip, service, slice, ip)
}

// fileUnread finds in the server's status that its bundle or its folder of secrets could not be read.
var fileUnread = regexp.MustCompile(`"name": "(bundle|secrets)",[^}]*"error"`)

// runSecured runs a lab with certificates.
func runSecured(t *testing.T, m manifests, spec Spec) *Lab {
	t.Helper()
	spec.Source, spec.TrustDomain = m.write(t), "mesh.test"
	l := run(t, spec)
	t.Cleanup(func() {
		c := clientIn(l.net.hub, nil)
		defer c.CloseIdleConnections()
		r, err := Do(context.Background(), c, Request{URL: "http://" + serverAdmin + "/status"})
		// The API server of a test may have gone by now; what is read from files has not.
		if err != nil || fileUnread.MatchString(r.Body) {
			t.Errorf("the server's status: %v, %v", r, err)
		}
	})
	return l
}

// mtls is a mesh in which one workload has each mode.
func mtls() manifests {
	m := identified("enableTracing: false")
	m.workload("sidecar", "client", "10.9.0.9", "", "http:80:8080")
	m.workload("sidecar", "strict", "10.9.1.1", "10.96.9.1", "http:80:8080", "http-both:81:8081", "http-plain:82:8082", "tcp-echo:9000:9000")
	m.workload("sidecar", "permissive", "10.9.1.2", "10.96.9.2", "http:80:8080", "tcp-echo:9000:9000")
	m.workload("sidecar", "disabled", "10.9.1.3", "10.96.9.3", "http:80:8080", "tcp-echo:9000:9000")
	m.add("identity.yaml", `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: lab}
spec:
  selector: {matchLabels: {app: strict}}
  mtls: {mode: STRICT}
  portLevelMtls: {8081: {mode: PERMISSIVE}, 8082: {mode: DISABLE}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: disabled, namespace: lab}
spec:
  selector: {matchLabels: {app: disabled}}
  mtls: {mode: DISABLE}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: strict, namespace: lab}
spec:
  host: strict
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}
`)
	return m
}

func TestMutualTLS(t *testing.T) {
	require(t)
	l := runSecured(t, mtls(), Spec{Visitors: map[string]netip.Addr{"stranger": netip.MustParseAddr("10.9.8.8")}})
	t.Run("modes", func(t *testing.T) { testModes(t, l) })
	t.Run("certificates of callers", func(t *testing.T) { testCallers(t, l) })
	t.Run("certificates of the called", func(t *testing.T) { testCalled(t, l) })
	t.Run("rotation", func(t *testing.T) { testRotation(t, l) })
}

const clientID = "URI=spiffe://mesh.test/ns/lab/sa/client"

func testModes(t *testing.T, l *Lab) {
	for _, c := range []struct {
		name, service, pod string
		stranger, mutual   bool // plaintext is taken; the mesh's own calls are mutual TLS
	}{
		{"STRICT", "strict", "10.9.1.1:8080", false, true},
		{"port level PERMISSIVE", "strict:81", "10.9.1.1:8081", true, true},
		{"port level DISABLE", "strict:82", "10.9.1.1:8082", true, false},
		{"PERMISSIVE", "permissive", "10.9.1.2:8080", true, true},
		{"DISABLE", "disabled", "10.9.1.3:8080", true, false},
	} {
		r := ask(t, l, Request{URL: "http://" + c.service + "/"})
		if r.Status != 200 || strings.Contains(r.Echo.Headers["x-forwarded-client-cert"], clientID) != c.mutual {
			t.Errorf("%s, from the mesh: %d %s", c.name, r.Status, r.Body)
		}
		r, err := l.Get(context.Background(), "stranger", "http://"+c.pod+"/", "x-forwarded-client-cert", clientID)
		if (err == nil) != c.stranger || err == nil && (r.Status != 200 || strings.Contains(r.Body, "spiffe")) {
			t.Errorf("%s, plaintext from outside: %v, %v", c.name, r, err)
		}
	}
	for pod, want := range map[string]bool{"10.9.1.1:9000": false, "10.9.1.2:9000": true, "10.9.1.3:9000": true} {
		got, err := speak(l, "stranger", pod)
		if (err == nil) != want {
			t.Errorf("TCP %s, plaintext from outside: %q, %v", pod, got, err)
		}
	}
	for _, s := range []string{"strict", "permissive", "disabled"} {
		if got, err := speak(l, "client", s+":9000"); got != s+" v1 hello" {
			t.Errorf("TCP %s from the mesh: %q, %v", s, got, err)
		}
	}
}

// speak sends a line over TCP and reads the answer.
func speak(l *Lab, from, address string) (string, error) {
	c, err := l.Dial(context.Background(), from, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintln(c, "hello")
	s, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(s), err
}

// overTLS sends a request to a pod past all proxies but the pod's own.
func overTLS(l *Lab, address string, conf *tls.Config) (int, error) {
	c, err := l.Dial(context.Background(), "stranger", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	conf.InsecureSkipVerify = true // it is the other end that is tested
	s := tls.Client(c, conf)
	fmt.Fprintf(s, "GET / HTTP/1.1\r\nHost: strict\r\nConnection: close\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(s), nil)
	if err != nil {
		return 0, err
	}
	return r.StatusCode, r.Body.Close()
}

func testCallers(t *testing.T, l *Lab) {
	other, err := newAuthority("other")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		by   *authority
		id   string
		want bool
	}{
		{"of the mesh", l.ca, "spiffe://mesh.test/ns/lab/sa/client", true},
		{"of an alias of the trust domain", l.ca, "spiffe://old.test/ns/lab/sa/client", true},
		{"of another trust domain", l.ca, "spiffe://evil.test/ns/lab/sa/client", false},
		{"of a trust domain that begins alike", l.ca, "spiffe://mesh.test.evil/ns/lab/sa/client", false},
		{"of another CA", other, "spiffe://mesh.test/ns/lab/sa/client", false},
		{"without a SPIFFE ID", l.ca, "https://mesh.test/ns/lab/sa/client", false},
		{"expired", l.ca, "spiffe://mesh.test/ns/lab/sa/client", false},
		{"none", nil, "", false},
	} {
		conf := &tls.Config{NextProtos: []string{"istio-http/1.1"}}
		if c.by != nil {
			expires := time.Now().Add(time.Hour)
			if c.name == "expired" {
				expires = time.Now().Add(-time.Minute)
			}
			crt, key, err := c.by.issueUntil(c.id, expires)
			if err != nil {
				t.Fatal(err)
			}
			pair, err := tls.X509KeyPair(crt, key)
			if err != nil {
				t.Fatal(err)
			}
			conf.Certificates = []tls.Certificate{pair}
		}
		for _, address := range []string{"10.9.1.1:8080", "10.9.1.2:8080"} {
			if got, err := overTLS(l, address, conf.Clone()); (got == 200) != c.want {
				t.Errorf("%s, certificate %s: %d, %v", address, c.name, got, err)
			}
		}
		old := conf.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if got, _ := overTLS(l, "10.9.1.1:8080", old); got != 0 {
			t.Errorf("TLS 1.1, certificate %s: %d", c.name, got)
		}
	}
}

// testCalled gives the called workload another certificate by rotation, which its callers then judge.
func testCalled(t *testing.T, l *Lab) {
	w := l.members["strict"].Workload
	other, err := newAuthority("other")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, td, id string
		by           *authority
		want         int
	}{
		{"another service account", "mesh.test", "ns/lab/sa/other", l.ca, 503},
		{"an alias of the trust domain", "old.test", "ns/lab/sa/strict", l.ca, 200},
		{"another trust domain", "evil.test", "ns/lab/sa/strict", l.ca, 503},
		{"its own again", "mesh.test", "ns/lab/sa/strict", l.ca, 200},
		{"another CA", "mesh.test", "ns/lab/sa/strict", other, 503},
		{"its own at last", "mesh.test", "ns/lab/sa/strict", l.ca, 200},
	} {
		if err := l.identify(l.secretFolder(w), c.by, c.td, c.id, l.ca); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			r, err := l.Get(context.Background(), "client", "http://strict/")
			if err == nil && r.Status != c.want {
				err = fmt.Errorf("certificate of %s: %d %s, want %d", c.name, r.Status, r.Body, c.want)
			}
			return err
		})
	}
}

// serial is the certificate that a workload shows to callers.
func serial(l *Lab, address string) (string, error) {
	c, err := l.Dial(context.Background(), "stranger", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	var got *x509.Certificate
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, VerifyConnection: func(s tls.ConnectionState) error {
		got = s.PeerCertificates[0]
		return nil
	}})
	err = s.Handshake()
	if got == nil {
		return "", fmt.Errorf("no certificate: %w", err)
	}
	return got.SerialNumber.String(), nil
}

// testRotation changes certificates and then the CA on both sides while requests run, each on a connection of its own.
func testRotation(t *testing.T, l *Lab) {
	next, err := newAuthority("next")
	if err != nil {
		t.Fatal(err)
	}
	ld := startLoad(t, l, "client", Request{URL: "http://strict/"}, 4)
	for i, step := range []struct {
		by    *authority
		roots []*authority
	}{
		{l.ca, []*authority{l.ca}}, {l.ca, []*authority{l.ca}},
		{l.ca, []*authority{l.ca, next}}, {next, []*authority{l.ca, next}}, {next, []*authority{next}},
	} {
		before, err := serial(l, "10.9.1.1:8080")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"client", "strict"} {
			w := l.members[name].Workload
			if err := l.identify(l.secretFolder(w), step.by, "mesh.test", "ns/lab/sa/"+name, step.roots...); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, func() error {
			now, err := serial(l, "10.9.1.1:8080")
			if err == nil && now == before {
				err = fmt.Errorf("step %d: the old certificate is still in use", i)
			}
			return err
		})
		time.Sleep(300 * time.Millisecond) // the caller has its own from the same round; requests by the new ones
	}
	n := 0
	for _, c := range ld.seen() {
		n += c
	}
	if failed := ld.end(); len(failed) > 0 || n < 100 {
		t.Errorf("%d requests answered, %d failed: %.2000v", n, len(failed), failed)
	}
}

// With agents on the nodes, as SPIRE's, no other has the keys: they serve both ends of the connection to the server, too.
// What they rotate takes effect by itself.
func TestAgent(t *testing.T) {
	require(t)
	m := identified("defaultConfig: {proxyMetadata: {MESHC_IDENTITY: spire}}")
	m.workload("sidecar", "client", "10.9.0.9", "", "http:80:8080")
	m.workload("sidecar", "web", "10.9.1.1", "10.96.9.1", "http:80:8080")
	m.add("strict.yaml", `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: lab}
spec: {mtls: {mode: STRICT}}
`)
	l := runSecured(t, m, Spec{Agent: true, Visitors: map[string]netip.Addr{"stranger": netip.MustParseAddr("10.9.8.8")}})
	call := func() error {
		r, err := l.Get(context.Background(), "client", "http://web/")
		if err == nil && (r.Status != 200 || !strings.Contains(r.Echo.Headers["x-forwarded-client-cert"], clientID)) {
			err = fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	before, err := serial(l, "10.9.1.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	w := l.members["web"].Workload
	if err := l.identify(l.secretFolder(w), l.ca, "mesh.test", "ns/lab/sa/web"); err != nil {
		t.Fatal(err)
	}
	l.agents["web"].rotate()
	eventually(t, func() error {
		now, err := serial(l, "10.9.1.1:8080")
		if err == nil && now == before {
			err = fmt.Errorf("the old certificate is still in use")
		}
		return err
	})
	if err := call(); err != nil {
		t.Error(err)
	}
	testNextCA(t, l)
	if err := call(); err != nil {
		t.Error(err)
	}
	if b, err := l.Admin(context.Background(), "web", "/config_dump?resource=dynamic_active_secrets"); err != nil || strings.Contains(b, "xds-grpc") {
		t.Errorf("secrets by another way: %v %s", err, b)
	}
}

// testNextCA has the agents hand out identities of another CA, of which alone the server then takes callers, and starts the
// server again: its proxies come back by what they have now.
func testNextCA(t *testing.T, l *Lab) {
	next, err := newAuthority("next")
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range l.agents {
		if err := l.identify(l.secretFolder(l.members[name].Workload), next, "mesh.test", "ns/lab/sa/"+name, l.ca, next); err != nil {
			t.Fatal(err)
		}
		a.rotate()
	}
	if err := l.identifyServer(next, next); err != nil {
		t.Fatal(err)
	}
	if err := l.RestartServer(context.Background(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	c := clientIn(l.net.hub, nil)
	defer c.CloseIdleConnections()
	eventually(t, func() error {
		r, err := Do(context.Background(), c, Request{URL: "http://" + serverAdmin + "/status"})
		if err == nil && (strings.Count(r.Body, `"synced": true`) != len(l.agents) || !strings.Contains(r.Body, "spiffe://mesh.test/"+serverIdentity)) {
			err = fmt.Errorf("not all proxies are back: %s", r.Body)
		}
		return err
	})
}
