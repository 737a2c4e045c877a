//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// packed is the way of a machine: its archive is made by the command, and unpacked in the folder of its proxy.
type packed struct {
	meshc string
	group string // file of the WorkloadGroup
	at    map[string]string
}

// start unpacks the archive of a workload and starts what the unit of systemd starts.
func (p *packed) start(w *Workload, envoy, folder string) (*exec.Cmd, error) {
	archive := filepath.Join(folder, "machine.tar.gz")
	bundle := filepath.Join(filepath.Dir(folder), "bundle.tar.gz")
	args := []string{"bootstrap", bundle, "--workload", w.Namespace + "/" + w.Name, "--xds", relayADS, "--identity", "none", "--vm", "--vm-exclude-inbound-ports", "22,9000", "--all-statistics", "-o", archive}
	if w.Name == "web" {
		args = append(args, "--vm-group", p.group)
	}
	if out, err := exec.Command(p.meshc, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("meshc bootstrap --vm: %w: %s", err, out)
	}
	if out, err := exec.Command("tar", "-C", folder, "-xzf", archive).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("tar: %w: %s", err, out)
	}
	p.at[w.Name] = folder
	argv := strings.Fields(p.unit(w.Name, "meshc-proxy", "ExecStart")[0])
	return exec.Command(envoy, append(argv[1:], "--concurrency", "1")...), nil
}

// unit are the values of a key in a unit of a machine, with the paths as they are in the lab.
func (p *packed) unit(name, unit, key string) (out []string) {
	text, _ := os.ReadFile(filepath.Join(p.at[name], "etc/systemd/system", unit+".service"))
	for _, m := range regexp.MustCompile(`(?m)^`+key+`=-?(.*)$`).FindAllStringSubmatch(string(text), -1) {
		out = append(out, strings.ReplaceAll(m[1], "/etc/", p.at[name]+"/etc/"))
	}
	return out
}

// A machine is in the mesh by its archive alone: its proxy starts from it, its rules have connections come and go through the proxy and
// leave those of SSH alone, the probe of its WorkloadGroup is answered, and without the rules it is as it was before.
func TestMachine(t *testing.T) {
	require(t)
	group := filepath.Join(t.TempDir(), "group.yaml")
	if err := os.WriteFile(group, []byte("apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: web, namespace: lab}\nspec:\n  template: {serviceAccount: default}\n  probe: {tcpSocket: {port: 8080}, periodSeconds: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := injectedMesh()
	spec := built(t, Spec{Source: m.write(t), Doors: map[string]string{relayADS: serverADS}, Visitors: map[string]netip.Addr{"kubelet": netip.MustParseAddr("10.9.8.8")}})
	p := &packed{meshc: spec.Meshc, group: group, at: map[string]string{}}
	spec.Proxy = p.start
	l := run(t, spec)
	ctx := context.Background()
	for _, name := range []string{"client", "web"} {
		ns := l.members[name].ns
		if err := ns.run("iptables", "-t", "nat", "-F"); err != nil { // the lab's own rules, which are not those of the archive
			t.Fatal(err)
		}
		for range 2 { // as after a restart
			if err := ns.run(strings.Fields(p.unit(name, "meshc-interception", "ExecStart")[0])...); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, func() error {
		r, err := l.Get(ctx, "client", "http://web/hello")
		if err == nil && (r.Status != http.StatusOK || !strings.HasPrefix(r.Echo.Peer, "127.0.0.6:")) {
			err = fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return err
	})
	if got, err := speak(l, "kubelet", "10.9.1.1:9000"); err != nil || !strings.Contains(got, "web") {
		t.Errorf("a port that is left alone: %q, %v", got, err)
	}
	probe := func(want int) {
		t.Helper()
		eventually(t, func() error {
			r, err := l.Get(ctx, "kubelet", "http://10.9.1.1:15020/app-health/web/readyz")
			if err == nil && r.Status != want {
				err = fmt.Errorf("the probe is answered with %d %s, not %d", r.Status, r.Body, want)
			}
			return err
		})
	}
	probe(http.StatusOK)
	for _, command := range p.unit("web", "meshc-interception", "ExecStop") {
		if err := l.members["web"].ns.run(strings.Fields(command)...); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := l.Get(ctx, "kubelet", "http://10.9.1.1:8080/"); err != nil || !strings.HasPrefix(r.Echo.Peer, "10.9.8.8:") {
		t.Errorf("without the rules the application is called by %+v, %v", r, err)
	}
	if err := l.kill("web.app"); err != nil {
		t.Fatal(err)
	}
	probe(http.StatusServiceUnavailable)
}
