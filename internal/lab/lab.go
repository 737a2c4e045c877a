//go:build linux

// Package lab runs a repository for real: every pod of it in a network namespace of its own, with a small application,
// a stock Envoy as its own user and the redirect rules that injection installs, fed by the real server over ADS. Tests
// send requests from one of the namespaces and look at what comes back.
//
// Nothing of it touches the host. The namespaces have no names and live as long as the threads of this process that hold
// them; a bridge in one more namespace joins them. The server listens on the loopback interface of that one, each proxy
// speaks to the loopback interface of its own, and a relay in this process carries the ADS streams between and notes what
// was sent. The virtual IP of a service belongs to no one: only interception can answer for it.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/spiffetest"
)

const (
	serverADS   = "127.0.0.1:18000" // in the hub's namespace
	serverAdmin = "127.0.0.1:18001"
	relayADS    = "127.0.0.1:15010" // in the namespace of each proxy
	envoyAdmin  = "127.0.0.1:15000" // likewise
)

// Spec describes a lab.
type Spec struct {
	Source          string   // directory of manifests; its Pods with addresses are run
	Meshc           string   // the compiler and server; when empty that of the variable MESHC, else built from this module
	Echo            string   // the application; built from this module when empty
	Envoy           string   // the proxy; found by FindEnvoy when empty
	Compiled        string   // directory that the server compiles itself, in the place of Source, which then says what runs
	StateOfTheWorld bool     // proxies ask with api_type GRPC
	CompileFlags    []string // more flags for meshc compile
	// Visitors are hosts outside the mesh to send requests from, by name, without an application or a proxy.
	Visitors   map[string]netip.Addr
	ServeFlags []string // more flags for meshc serve
	// Beside starts what the server needs on its own host, before it is started, and returns flags for it.
	Beside func(listen func(address string) (net.Listener, error)) (flags []string, err error)
	// TrustDomain gives every workload a certificate of it, and has the server hand it out over mutual TLS. What the
	// server sends is then not seen by Pushes and Rejections. Empty: no certificates, plaintext ADS.
	TrustDomain string
	// Agent has an agent at a socket hand out the certificates, not the server, whose own it hands out, too.
	Agent bool
	// Proxy is what starts the proxy of a workload, in the place of an Envoy with a bootstrap of the lab's, which is at
	// program: that proxy finds the addresses of Doors in its own namespace. What it writes may go to the folder.
	Proxy func(w *Workload, program, folder string) (*exec.Cmd, error)
	Doors map[string]string // addresses in the namespace of each proxy → in that of the server

	hold func(*Workload) bool // of workloads that are not started yet
}

// Lab is a running repository.
type Lab struct {
	spec      Spec
	dir       string
	net       *network
	relay     *relay
	repo      *repository
	bundle    string
	ads       atomic.Pointer[string] // where new streams go
	processes []*process
	ca        *authority     // nil: workloads have no certificates
	tunnels   []net.Listener // in place of the relay, where they have
	agents    map[string]*agent

	serverAgent *spiffetest.Agent // nil: the server has its identity from files

	mu      sync.Mutex
	members map[string]*member
	closed  bool
}

// member is a workload that runs.
type member struct {
	*Workload
	ns    *namespace // nil: the host's
	admin string     // address of Envoy's admin interface, seen from the namespace
}

// Start compiles the source, serves it, starts every workload and returns when all proxies are ready.
func Start(ctx context.Context, spec Spec) (*Lab, error) {
	if err := Unavailable(); err != nil {
		return nil, err
	}
	l := &Lab{spec: spec, members: map[string]*member{}}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// prepare makes the folder of the lab, finds the programs it runs, reads the source and compiles it.
func (l *Lab) prepare(ctx context.Context) (err error) {
	if l.dir, err = StateDir(); err != nil {
		return err
	}
	if err := l.tools(ctx); err != nil {
		return err
	}
	if l.repo, err = readRepository(l.spec.Source); err != nil {
		return err
	}
	l.bundle = filepath.Join(l.dir, "bundle.tar.gz")
	return l.compile(ctx, l.spec.Source)
}

func (l *Lab) start(ctx context.Context) (err error) {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	if l.net, err = newNetwork(); err != nil {
		return err
	}
	if l.spec.TrustDomain != "" {
		flags, err := l.identities()
		if err != nil {
			return err
		}
		l.spec.ServeFlags = slices.Concat(flags, l.spec.ServeFlags)
	}
	if l.spec.Beside != nil {
		flags, err := l.spec.Beside(l.net.hub.listen)
		if err != nil {
			return err
		}
		l.spec.ServeFlags = slices.Concat(flags, l.spec.ServeFlags)
	}
	if err := l.serve(ctx, l.net.hub, serverADS, serverAdmin); err != nil {
		return err
	}
	for _, w := range l.repo.workloads {
		if l.spec.hold != nil && l.spec.hold(w) {
			continue
		}
		if err := l.startWorkload(w); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.spec.Visitors)) {
		if err := l.visit(name, l.spec.Visitors[name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.members)) {
		m := l.members[name]
		if m.Sidecar || m.Gateway {
			if err := l.waitReady(ctx, name+".envoy", m.ns, m.admin, "/ready"); err != nil {
				return err
			}
		}
	}
	return nil
}

// serve starts the server in a namespace, and the relay.
func (l *Lab) serve(ctx context.Context, ns *namespace, ads, admin string) (err error) {
	if err := l.startServer(ctx, ns, ads, admin); err != nil {
		return err
	}
	l.ads.Store(&ads)
	l.relay, err = newRelay(func(ctx context.Context, _ string) (net.Conn, error) { return ns.dial(ctx, "tcp", *l.ads.Load()) })
	return err
}

func (l *Lab) startServer(ctx context.Context, ns *namespace, ads, admin string) error {
	from := []string{l.bundle, "--watch"}
	if l.spec.Compiled != "" {
		from = []string{"--compile", l.spec.Compiled, "--poll", "500ms"}
	}
	args := slices.Concat([]string{"serve"}, from, []string{"--xds-address", ads, "--admin-address", admin}, l.spec.ServeFlags)
	name := "server"
	if ads != serverADS {
		name = "replica"
	}
	if err := l.launch(ns, name, 0, exec.Command(l.spec.Meshc, args...)); err != nil {
		return err
	}
	return l.waitReady(ctx, name, ns, admin, "/readyz")
}

// tools finds or builds the programs. They are run by other users, so an Envoy in a private folder is copied.
func (l *Lab) tools(ctx context.Context) (err error) {
	if l.spec.Envoy == "" {
		if l.spec.Envoy, err = FindEnvoy(); err != nil {
			return err
		}
	}
	if l.spec.Envoy, err = shared(l.spec.Envoy, l.dir); err != nil {
		return err
	}
	if l.spec.Meshc == "" {
		l.spec.Meshc = os.Getenv("MESHC")
	}
	if l.spec.Meshc == "" && l.spec.Source != "" {
		if l.spec.Meshc, err = Build(ctx, "cmd/meshc", l.dir); err != nil {
			return err
		}
	}
	if l.spec.Echo == "" {
		l.spec.Echo, err = Build(ctx, "internal/lab/echo", l.dir)
	}
	return err
}

func (l *Lab) compile(ctx context.Context, source string) error {
	args := append([]string{"compile", source, "-o", l.bundle}, l.spec.CompileFlags...)
	if out, err := exec.CommandContext(ctx, l.spec.Meshc, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("lab: meshc %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Apply compiles another state of the repository over the bundle that is served. Workloads stay as they are.
func (l *Lab) Apply(ctx context.Context, source string) error { return l.compile(ctx, source) }

func (l *Lab) startWorkload(w *Workload) error {
	if _, twice := l.members[w.Name]; twice {
		return fmt.Errorf("lab: two pods are called %s", w.Name)
	}
	ns, err := l.net.attach(w.Name, w.Addresses)
	if err != nil {
		return err
	}
	m := &member{Workload: w, ns: ns, admin: envoyAdmin}
	l.members[w.Name] = m
	if !w.Gateway {
		if err := l.startApp(m, AppUID, l.repo.hosts(m.Namespace), ""); err != nil {
			return err
		}
	}
	if !w.Sidecar && !w.Gateway {
		return nil
	}
	if w.Sidecar {
		err = intercept(ns)
	} else {
		err = allowLowPorts(ns)
	}
	if err != nil {
		return err
	}
	if l.spec.Proxy != nil {
		return l.startProxy(m)
	}
	ads, err := ns.listen(relayADS)
	if err != nil {
		return err
	}
	if l.ca == nil {
		go l.relay.server.Serve(ads)
	} else {
		l.tunnels = append(l.tunnels, ads)
		go l.tunnel(ads, func() (net.Conn, error) { return l.net.hub.dial(context.Background(), "tcp", serverADS) })
	}
	o := bootstrap.Options{XDSAddress: relayADS, AdminAddress: m.admin, TLS: l.clientTLS(w)}
	if l.spec.Agent {
		if err := l.startAgent(w); err != nil {
			return err
		}
		o.AgentSocket = l.agentSocket(w)
	}
	return l.startEnvoy(m, ProxyUID, o)
}

// startProxy starts the proxy of a workload in the way that the lab is told.
func (l *Lab) startProxy(m *member) error {
	for at, to := range l.spec.Doors {
		in, err := m.ns.listen(at)
		if err != nil {
			return err
		}
		l.tunnels = append(l.tunnels, in)
		go l.tunnel(in, func() (net.Conn, error) { return l.net.hub.dial(context.Background(), "tcp", to) })
	}
	folder := filepath.Join(l.dir, m.Name+".proxy")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	cmd, err := l.spec.Proxy(m.Workload, l.spec.Envoy, folder)
	if err != nil {
		return err
	}
	return l.launchProxy(m.ns, m.Name, folder, cmd)
}

// launchProxy starts a proxy as its user, who gets its folder.
func (l *Lab) launchProxy(ns *namespace, name, folder string, cmd *exec.Cmd) error {
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, ProxyUID, ProxyUID))
	})
	if err != nil {
		return err
	}
	return l.launch(ns, name+".envoy", ProxyUID, cmd)
}

func (l *Lab) visit(name string, address netip.Addr) error {
	w := &Workload{Name: name, Namespace: "outside", Addresses: []netip.Addr{address}}
	ns, err := l.net.attach(name, w.Addresses)
	if err == nil {
		l.members[name] = &member{Workload: w, ns: ns}
	}
	return err
}

// startApp starts the application of a workload. Listen is the address it opens its ports at, empty for all.
func (l *Lab) startApp(m *member, uid uint32, names map[string]string, listen string) error {
	hosts := filepath.Join(l.dir, m.Name+".hosts")
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintln(&b, names[name], name)
	}
	if err := os.WriteFile(hosts, []byte(b.String()), 0o644); err != nil {
		return err
	}
	version := m.Labels["version"]
	if version == "" {
		version = "v1"
	}
	cmd := exec.Command(l.spec.Echo, "-name", m.App(), "-version", version, "-ip", m.Addresses[0].String(), "-hosts", hosts, "-listen", listen,
		"-http", strings.Join(m.HTTP, ","), "-tcp", strings.Join(m.TCP, ","), "-tls", strings.Join(m.TLS, ","), "-certificate", m.Certificate, "-calls", m.Calls)
	if err := l.launch(m.ns, m.Name+".app", uid, cmd); err != nil {
		return err
	}
	if listen == "" {
		listen = "127.0.0.1"
	}
	return l.waitListening(m, listen)
}

// waitListening waits until the application has opened its ports, seen from inside its namespace.
func (l *Lab) waitListening(m *member, host string) error {
	for _, p := range slices.Concat(m.HTTP, m.TCP, m.TLS) {
		if err := l.pollWhile(context.Background(), m.Name+".app", func() error {
			c, err := m.ns.dial(context.Background(), "tcp", net.JoinHostPort(host, p))
			if err == nil {
				c.Close()
			}
			return err
		}); err != nil {
			return fmt.Errorf("lab: application %s: %w: %s", m.Name, err, tail(filepath.Join(l.dir, m.Name+".app.log")))
		}
	}
	return nil
}

// startEnvoy starts the proxy of a workload; o says how it is reached.
func (l *Lab) startEnvoy(m *member, uid uint32, o bootstrap.Options) error {
	o.Gateway, o.Name, o.Namespace, o.Addresses, o.Labels, o.ServiceAccount = m.Gateway, m.Name, m.Namespace, m.Addresses, m.Labels, m.ServiceAccount
	o.StateOfTheWorld = l.spec.StateOfTheWorld
	o.Statistics.All = true // tests ask for many
	var rest string
	o.Region, rest, _ = strings.Cut(strings.ReplaceAll(m.Locality, ".", "/"), "/")
	o.Zone, o.SubZone, _ = strings.Cut(rest, "/")
	o.Network, o.ClusterID = m.Labels["topology.istio.io/network"], m.Labels["topology.istio.io/cluster"]
	b, err := bootstrap.New(o)
	if err != nil {
		return err
	}
	text, err := bootstrap.JSON(b)
	if err != nil {
		return err
	}
	file := filepath.Join(l.dir, m.Name+".envoy.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	cmd := exec.Command(l.spec.Envoy, "--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning",
		// What an old listener or filter chain has open it may finish, and every answer asks the client to connect anew.
		"--drain-time-s", "45", "--drain-strategy", "immediate",
		"--file-flush-interval-msec", "100") // of access logs
	return l.launch(m.ns, m.Name+".envoy", uid, cmd)
}

// Workloads lists what runs.
func (l *Lab) Workloads() []*Workload { return l.repo.workloads }

// Log returns the end of a process log: "server", "POD.envoy", "POD.app".
func (l *Lab) Log(name string) string { return tail(filepath.Join(l.dir, name+".log")) }

// Pushes lists the responses that the server has sent to the proxies since the lab began.
func (l *Lab) Pushes() []Push {
	l.relay.mu.Lock()
	defer l.relay.mu.Unlock()
	return slices.Clone(l.relay.pushes)
}

// Rejections lists the responses that proxies refused.
func (l *Lab) Rejections() []Rejection {
	l.relay.mu.Lock()
	defer l.relay.mu.Unlock()
	return slices.Clone(l.relay.rejections)
}

// Close stops everything. It can be called more than once.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	for _, p := range l.processes {
		p.cmd.Process.Kill()
	}
	for _, p := range l.processes {
		<-p.done
	}
	if l.relay != nil {
		l.relay.close()
	}
	if l.serverAgent != nil {
		l.serverAgent.Stop()
	}
	for _, t := range l.tunnels {
		t.Close()
	}
	for _, m := range l.members {
		m.ns.close()
	}
	if l.net != nil {
		l.net.hub.close()
	}
	if os.Getenv("MESHC_LAB_KEEP") != "" || l.dir == "" {
		return nil
	}
	return os.RemoveAll(l.dir)
}

func writeSysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+name, []byte(value), 0o644)
}

// member finds a workload by pod name.
func (l *Lab) member(name string) (*member, error) {
	m, ok := l.members[name]
	if !ok {
		return nil, fmt.Errorf("lab: no pod is called %s; there are %s", name, strings.Join(slices.Sorted(maps.Keys(l.members)), ", "))
	}
	return m, nil
}

func (l *Lab) resolve(m *member, host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	if ip, ok := l.repo.hosts(m.Namespace)[host]; ok {
		return ip
	}
	return ""
}
