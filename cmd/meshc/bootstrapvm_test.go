package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/delivery/machine"
)

const legacyGroup = `apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: legacy, namespace: shop}
spec:
  template: {serviceAccount: legacy, labels: {app: legacy}}
  probe: {httpGet: {path: /ok, port: 8080}, timeoutSeconds: 3}
`

// unpacked reads an archive: texts by name, and the names in their order.
func unpacked(t *testing.T, archive []byte) (texts map[string]string, order []string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	texts = map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return texts, order
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o644 || h.Uid != 0 || h.ModTime.Unix() != 0 || filepath.IsAbs(h.Name) {
			t.Errorf("%+v", h)
		}
		texts[h.Name], order = string(text), append(order, h.Name)
	}
}

// The archive for a machine holds what it needs, the same bytes each time; systemd takes its units.
func TestBootstrapForMachine(t *testing.T) {
	dir := t.TempDir()
	group := filepath.Join(dir, "group.yaml")
	if err := os.WriteFile(group, []byte(legacyGroup), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"bootstrap", "--name", "legacy-1", "-n", "shop", "--ip", "10.2.0.4", "--label", "app=legacy", "--service-account", "legacy", "--xds", "meshc.istio-system.svc:18000", "--identity", "spire",
		"--server-spiffe", "spiffe://cluster.local/ns/istio-system/sa/meshc", "--vm", "--vm-host", "meshc.istio-system.svc=10.0.0.5", "--vm-group", group, "--vm-exclude-outbound-ranges", "169.254.169.254"}
	archive := meshc(t, "", args...)
	if again := meshc(t, "", args...); !bytes.Equal(archive, again) {
		t.Error("the archive is another the second time")
	}
	texts, order := unpacked(t, archive)
	if want := []string{machine.ReadmeFile, machine.BootstrapFile, machine.HostsFile, machine.RulesFile, machine.InterceptionUnit, machine.ProxyUnit, machine.UsersFile}; !slices.Equal(order, want) {
		t.Fatalf("the archive has %v", order)
	}
	for name, wants := range map[string][]string{
		machine.BootstrapFile:    {"/app-health/legacy/readyz", "sidecar~10.2.0.4~legacy-1.shop~shop.svc.cluster.local", `"prefixRewrite": "/ok"`},
		machine.HostsFile:        {"10.0.0.5\tmeshc.istio-system.svc\n"},
		machine.RulesFile:        {"tcp dport 22 return", "ip daddr 169.254.169.254", "table ip6 meshc"},
		machine.ReadmeFile:       {"spiffe://TRUST-DOMAIN/ns/shop/sa/legacy", "unix:uid:1337", "/run/spire/agent-sockets/spire-agent.sock"},
		machine.InterceptionUnit: {"/usr/sbin/nft --file /etc/meshc/rules.nft"},
		machine.ProxyUnit:        {"ExecStart=/usr/local/bin/envoy --config-path /etc/meshc/envoy.json"},
	} {
		for _, want := range wants {
			if !strings.Contains(texts[name], want) {
				t.Errorf("%s has no %q:\n%s", name, want, texts[name])
			}
		}
	}
	verifyUnits(t, dir, texts)
	gateway := meshc(t, "", "bootstrap", "--gateway", "--name", "edge", "-n", "shop", "--ip", "10.2.0.5", "--vm")
	if texts, order := unpacked(t, gateway); slices.Contains(order, machine.RulesFile) || !strings.Contains(texts[machine.ProxyUnit], "CAP_NET_BIND_SERVICE") {
		t.Errorf("a gateway has %v", order)
	}
}

// verifyUnits has systemd read units, where it is there.
func verifyUnits(t *testing.T, dir string, texts map[string]string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return
	}
	var files []string
	for _, name := range []string{machine.ProxyUnit, machine.InterceptionUnit} {
		file := filepath.Join(dir, filepath.Base(name))
		text := strings.ReplaceAll(texts[name], "/usr/local/bin/envoy", "/bin/true")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/usr/sbin/nft", "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	out, _ := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "meshc-") {
			t.Error(line)
		}
	}
}

func TestBadMachines(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"give --vm, too", []string{"--vm-envoy", "/x"}},
		{"NAME=ADDRESS", []string{"--vm", "--vm-host", "a\nb=10.0.0.1"}},
		{"NAME=ADDRESS", []string{"--vm", "--vm-host", "meshc"}},
		{"absolute", []string{"--vm", "--vm-envoy", "envoy"}},
		{"absolute", []string{"--vm", "--vm-envoy", "/x\nExecStartPre=/bin/sh"}},
		{"no port", []string{"--vm", "--vm-exclude-inbound-ports", "ssh"}},
		{"no WorkloadGroup", []string{"--vm", "--vm-group", file("a.yaml", "kind: Service\nmetadata: {name: x}\n")}},
		{"no probe", []string{"--vm", "--vm-group", file("b.yaml", "kind: WorkloadGroup\nmetadata: {name: x}\nspec: {}\n")}},
		{"runs a program", []string{"--vm", "--vm-group", file("c.yaml", strings.Replace(legacyGroup, "httpGet: {path: /ok, port: 8080}", "exec: {command: [x]}", 1))}},
		{"another host", []string{"--vm", "--vm-group", file("d.yaml", strings.Replace(legacyGroup, "path: /ok,", "path: /ok, host: example.com,", 1))}},
		{"at no port", []string{"--vm", "--vm-group", file("e.yaml", strings.Replace(legacyGroup, "port: 8080", "port: http", 1))}},
		{"in the namespace bank", []string{"--vm", "--vm-group", file("f.yaml", strings.Replace(legacyGroup, "namespace: shop", "namespace: bank", 1))}},
		{"2 WorkloadGroups", []string{"--vm", "--vm-group", file("g.yaml", legacyGroup+"---\n"+legacyGroup)}},
		{"less than none", []string{"--vm", "--vm-group", file("h.yaml", strings.Replace(legacyGroup, "timeoutSeconds: 3", "timeoutSeconds: -3", 1))}},
		{"no YAML of objects", []string{"--vm", "--vm-group", file("i.yaml", "hello\n")}},
		{"no such file", []string{"--vm", "--vm-group", filepath.Join(dir, "none")}},
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), append([]string{"bootstrap", "--name", "a", "-n", "shop", "--ip", "10.0.0.1"}, c.args...), strings.NewReader(""), &out, &errs)
		if code != 2 || !strings.Contains(errs.String(), c.says) || out.Len() > 0 {
			t.Errorf("%v: %d %s", c.args, code, errs.String())
		}
	}
}
