//go:build linux

package lab

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// interceptor is an Envoy that knows only where connections wanted to go: outbound to the virtual IP 10.96.0.1 it leads
// to the other workload, inbound to the application.
const interceptor = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 15000}}}
static_resources:
  listeners:
  - name: virtualOutbound
    use_original_dst: true
    address: {socket_address: {address: 0.0.0.0, port_value: 15001}}
    filter_chains: [{filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: blackhole, cluster: nowhere}}]}]
  - name: 10.96.0.1_80
    bind_to_port: false
    address: {socket_address: {address: 10.96.0.1, port_value: 80}}
    filter_chains: [{filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: out, cluster: peer}}]}]
  - name: virtualInbound
    address: {socket_address: {address: 0.0.0.0, port_value: 15006}}
    listener_filters: [{name: od, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}]
    filter_chains: [{filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: in, cluster: app}}]}]
  clusters:
  - {name: nowhere, type: STATIC}
  - {name: peer, type: STATIC, load_assignment: {cluster_name: peer, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.1.0.2, port_value: 8080}}}}]}]}}
  - {name: app, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, upstream_bind_config: {source_address: {address: 127.0.0.6, port_value: 0}}}
`

// The lab's own foundation, without the compiler: a connection to a virtual IP that nobody has goes through the
// sender's proxy and the receiver's proxy to the application, and the application's port is not reachable past them.
func TestInterception(t *testing.T) {
	require(t)
	ctx := context.Background()
	l := &Lab{spec: built(t, Spec{}), members: map[string]*member{}, repo: &repository{}}
	t.Cleanup(func() { l.Close() })
	var err error
	if l.dir, err = StateDir(); err != nil {
		t.Fatal(err)
	}
	if err := l.tools(ctx); err != nil {
		t.Fatal(err)
	}
	if l.net, err = newNetwork(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(l.dir, "static.yaml")
	if err := os.WriteFile(config, []byte(interceptor), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, ip := range map[string]string{"a": "10.1.0.1", "b": "10.1.0.2"} {
		w := &Workload{Name: name, Namespace: "default", Addresses: []netip.Addr{netip.MustParseAddr(ip)}, HTTP: []string{"8080"}}
		if err := l.startWorkload(w); err != nil {
			t.Fatal(err)
		}
		m := l.members[name]
		if err := intercept(m.ns); err != nil {
			t.Fatal(err)
		}
		if err := l.launch(m.ns, name+".envoy", ProxyUID, exec.Command(l.spec.Envoy, "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")); err != nil {
			t.Fatal(err)
		}
		if err := l.waitReady(ctx, name+".envoy", m.ns, "127.0.0.1:15000", "/ready"); err != nil {
			t.Fatal(err)
		}
	}
	r, err := l.Get(ctx, "a", "http://10.96.0.1/hello?x=1")
	if err != nil {
		t.Fatal(err)
	}
	if r.Echo.Name != "b" || r.Echo.Path != "/hello?x=1" || !strings.HasPrefix(r.Echo.Peer, "127.0.0.6:") {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	for _, stat := range []struct{ of, name string }{{"a", "tcp.out.downstream_cx_total: 1"}, {"b", "tcp.in.downstream_cx_total: 1"}} {
		if s, err := l.Admin(ctx, stat.of, "/stats?filter=downstream_cx_total"); err != nil || !strings.Contains(s, stat.name) {
			t.Errorf("%s: want %s, got %s, %v", stat.of, stat.name, s, err)
		}
	}
}
