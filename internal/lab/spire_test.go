//go:build linux

package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshc/meshc/internal/clustertest"
)

// kubelet is what SPIRE's agent sees of a node: pods that run there, each with one container, and the cgroups that tell
// which process is in which. The names of both are made from the name of the pod.
type kubelet struct {
	root string // of the cgroups
	pods []corev1.Pod
}

// newKubelet has a subtree of cgroups of its own, as version 2 has them. The test is skipped where nobody may make one.
func newKubelet(t *testing.T) *kubelet {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	err = errors.New("no cgroups of version 2 are mounted")
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(line, " - ")
		if strings.HasPrefix(after, "cgroup2 ") {
			k := &kubelet{root: filepath.Join(strings.Fields(before)[4], fmt.Sprintf("meshc-%d", os.Getpid()))}
			if err = os.Mkdir(k.root, 0o755); err == nil {
				t.Cleanup(func() { k.clean(t) })
				return k
			}
		}
	}
	lacks(t, err)
	return nil
}

// clean removes the cgroups, which are empty when the lab has ended.
func (k *kubelet) clean(t *testing.T) {
	for _, pattern := range []string{"*/*", "*", ""} {
		found, err := filepath.Glob(filepath.Join(k.root, pattern))
		for _, dir := range found {
			if s, e := os.Stat(dir); e == nil && s.IsDir() {
				err = errors.Join(err, os.Remove(dir))
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// run notes a pod as one that runs, and returns the cgroup of its container.
func (k *kubelet) run(t *testing.T, namespace, account, name string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(namespace + "/" + name))
	container, uid := hex.EncodeToString(sum[:]), fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	k.pods = append(k.pods, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid)},
		Spec:       corev1.PodSpec{ServiceAccountName: account, NodeName: "node"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "istio-proxy", ContainerID: "containerd://" + container, Image: "envoy", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
	})
	dir := filepath.Join(k.root, "pod"+uid, container)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve answers as kubelet's read-only port does, and returns that port.
func (k *kubelet) serve(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: k.pods})
	if err != nil {
		t.Fatal(err)
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pods", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
	s := &http.Server{Handler: mux}
	go func() { _ = s.Serve(at) }()
	t.Cleanup(func() { _ = s.Close() })
	_, port, _ := net.SplitHostPort(at.Addr().String())
	return port
}

// spire is a server of SPIRE and its agent on the one node.
type spire struct {
	t             *testing.T
	server, agent string // programs
	dir           string
	port          string // of the server
	running       *exec.Cmd
}

func (s *spire) path(name string) string { return filepath.Join(s.dir, name) }

func (s *spire) write(name, text string) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

// ask runs the server's client.
func (s *spire) ask(args ...string) (string, error) {
	out, err := exec.Command(s.server, append(args, "-socketPath", s.path("server.sock"))...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("spire-server %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func (s *spire) must(args ...string) string {
	s.t.Helper()
	out, err := s.ask(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// start runs a program of SPIRE until the test ends.
func (s *spire) start(program, conf string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(program, "run", "-config", conf)
	log, err := os.OpenFile(conf+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// It would die with the thread that has started it, which belongs to a goroutine that may end.
	if err := (*namespace)(nil).within(cmd.Start); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.stop(cmd) })
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("%s: %s", program, tail(conf+".log"))
		}
	})
	return cmd
}

func (s *spire) stop(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// startServer runs the server, whose certificates live half a minute.
func (s *spire) startServer() {
	s.t.Helper()
	_, s.port, _ = net.SplitHostPort(clustertest.Free(s.t))
	s.start(s.server, s.write("server.conf", fmt.Sprintf(`
server {
  bind_address = "127.0.0.1"
  bind_port = "%[2]s"
  socket_path = "%[1]s/server.sock"
  trust_domain = "mesh.test"
  data_dir = "%[1]s/server"
  log_level = "INFO"
  default_x509_svid_ttl = "30s"
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3", connection_string = "%[1]s/server.sqlite3" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
}
`, s.dir, s.port)))
	eventually(s.t, func() error {
		_, err := s.ask("healthcheck")
		return err
	})
}

// startAgent runs the agent of a node that bears an alias, and asks kubelet at a port what runs there.
func (s *spire) startAgent(alias, kubelet string) {
	s.t.Helper()
	_, token, _ := strings.Cut(strings.TrimSpace(s.must("token", "generate", "-spiffeID", alias)), "Token: ")
	s.write("bundle.pem", s.must("bundle", "show"))
	s.write("agent.conf", fmt.Sprintf(`
agent {
  data_dir = "%[1]s/agent"
  log_level = "INFO"
  server_address = "127.0.0.1"
  server_port = "%[2]s"
  socket_path = "%[1]s/agent.sock"
  trust_bundle_path = "%[1]s/bundle.pem"
  trust_domain = "mesh.test"
  join_token = "%[3]s"
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { directory = "%[1]s/agent" } }
  WorkloadAttestor "k8s" { plugin_data { kubelet_read_only_port = %[4]s } }
}
`, s.dir, s.port, token, kubelet))
	if err := os.MkdirAll(s.path("agent"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.restart()
}

// restart runs the agent anew.
func (s *spire) restart() {
	s.t.Helper()
	if s.running != nil {
		s.stop(s.running)
	}
	s.running = s.start(s.agent, s.path("agent.conf"))
	eventually(s.t, func() error {
		c, err := net.Dial("unix", s.path("agent.sock"))
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

// The recipe of docs/identity.md with SPIRE itself: the entries that meshc writes are enough for the server and the proxies,
// which SPIRE's agent knows by the pods that they run in. Policies see who calls; what the agent rotates takes effect
// while requests run, and while the agent is away everything goes on.
func TestSPIRE(t *testing.T) {
	require(t)
	s := &spire{t: t, dir: openFolder(t)}
	s.server, s.agent = clustertest.SPIRE(t)
	m := identified("defaultConfig: {proxyMetadata: {MESHC_IDENTITY: spire}}")
	m.workload("sidecar", "client", "10.9.0.9", "", "http:80:8080")
	m.workload("sidecar", "other", "10.9.0.8", "", "http:80:8080")
	m.workload("sidecar", "web", "10.9.1.1", "10.96.9.1", "http:80:8080")
	m.add("strict.yaml", `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: lab}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: lab}
spec:
  selector: {matchLabels: {app: web}}
  rules: [{from: [{source: {principals: [mesh.test/ns/lab/sa/client]}}]}]
`)
	const node, meshc = "spiffe://mesh.test/k8s-nodes", "spiffe://mesh.test/" + serverIdentity
	k, spec := newKubelet(t), built(t, Spec{Source: m.write(t)})
	program := spec.Meshc
	cgroups := map[string]string{}
	for _, pod := range []string{"client", "other", "web"} {
		cgroups[pod] = k.run(t, "lab", pod, pod)
	}
	s.startServer()
	entries, err := exec.Command(program, "identities", spec.Source, "--parent", node).Output()
	if err != nil {
		t.Fatal(err)
	}
	s.must("entry", "create", "-data", s.write("entries.json", string(entries)))

	// The server is a process of a pod as well.
	spec.Meshc = s.write("meshc", "#!/bin/sh\n[ \"$1\" != serve ] || echo $$ > "+k.run(t, "istio-system", "meshc", "meshc-0")+"/cgroup.procs\nexec "+program+" \"$@\"\n")
	if err := os.Chmod(spec.Meshc, 0o755); err != nil {
		t.Fatal(err)
	}
	s.startAgent(node, k.serve(t))
	spec.ServeFlags = []string{"--spiffe-socket", s.path("agent.sock")}
	spec.Doors = map[string]string{relayADS: serverADS}
	spec.Visitors = map[string]netip.Addr{"stranger": netip.MustParseAddr("10.9.8.8")}
	spec.Proxy = func(w *Workload, envoy, folder string) (*exec.Cmd, error) {
		file := filepath.Join(folder, "envoy.json")
		out, err := exec.Command(program, "bootstrap", filepath.Join(filepath.Dir(folder), "bundle.tar.gz"), "--workload", w.Namespace+"/"+w.Name, "--name", w.Name, "--ip", w.Addresses[0].String(),
			"--xds", relayADS, "--identity", "spire", "--agent-socket", s.path("agent.sock"), "--server-spiffe", meshc, "-o", file).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		dir, err := os.Open(cgroups[w.Name])
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = dir.Close() })
		cmd := exec.Command(envoy, "--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		return cmd, nil
	}
	l := run(t, spec)
	t.Cleanup(func() { _ = l.Close() }) // before the cgroups are removed
	testSPIRE(t, l, s)
}

func testSPIRE(t *testing.T, l *Lab, s *spire) {
	ctx := context.Background()
	if r, err := l.Get(ctx, "client", "http://web/"); err != nil || r.Status != 200 || !strings.Contains(r.Echo.Headers["x-forwarded-client-cert"], clientID) {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := l.Get(ctx, "other", "http://web/"); err != nil || r.Status != 403 {
		t.Errorf("another account: %+v, %v", r, err)
	}
	ld := startLoad(t, l, "client", Request{URL: "http://web/", Headers: map[string]string{"connection": "close"}}, 2)
	var seen []string
	rotated := func() {
		t.Helper()
		eventually(t, func() error {
			now, err := serial(l, "10.9.1.1:8080")
			if err == nil && slices.Contains(seen, now) {
				err = errors.New("the old certificate is still in use")
			}
			if err == nil {
				seen = append(seen, now)
			}
			return err
		})
	}
	rotated()
	rotated()
	s.restart()
	rotated()
	if failed := ld.end(); len(failed) > 0 {
		t.Errorf("%d requests failed: %.2000v", len(failed), failed)
	}
	if r, err := l.Get(ctx, "other", "http://web/"); err != nil || r.Status != 403 {
		t.Errorf("another account, later: %+v, %v", r, err)
	}
}
