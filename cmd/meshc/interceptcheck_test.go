//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInterceptCheck: without rules the check ends with the reason, with those of either kind it ends well, and one that began before
// they were there waits for them.
func TestInterceptCheck(t *testing.T) {
	for _, tool := range []string{"unshare", "ip", "setpriv", "iptables-restore"} {
		if _, err := exec.LookPath(tool); err != nil || os.Geteuid() != 0 {
			if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
				t.Fatalf("this needs root and %s", tool)
			}
			t.Skipf("this needs root and %s", tool)
		}
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "meshc"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const pod = `ip link set lo up; ip link add pod type veth peer name node; ip addr add 10.9.0.1/24 dev pod; ip link set pod up; ip link set node up; ip route add default via 10.9.0.2
app="setpriv --reuid 65534 --regid 65534 --clear-groups ./meshc intercept"
`
	for name, c := range map[string]struct{ script, want string }{
		"no rules":    {`! $app --check 600ms`, "are not redirected: one to 192.0.2.1:9 does not come to port 15001"},
		"nftables":    {`./meshc intercept --with nftables; $app --check 10s`, "go through the proxy\n"},
		"iptables":    {`./meshc intercept --with iptables; $app --check 10s`, "go through the proxy\n"},
		"excluded":    {`./meshc intercept --exclude-outbound-ports 9; $app --exclude-outbound-ports 9 --check 10s`, "go through the proxy\n"},
		"nothing":     {`$app --include-outbound-ranges '' --check 1s`, "nothing to check"},
		"no route":    {`ip route del default; $app --check 1s`, "nothing to check"},
		"the proxy":   {`! setpriv --reuid 1337 --regid 1337 --clear-groups ./meshc intercept --check 1s`, "check as another user"},
		"twice":       {`for i in 1 2 3; do ./meshc intercept --dns --with iptables; done; iptables-save -t nat | grep -c -- '-j MESH_INBOUND\|-j MESH_OUTPUT\|-j MESH_DNS'`, "\n3\n"},
		"later rules": {`$app --check 20s & sleep 0.5; ./meshc intercept --with nftables; wait $!`, "go through the proxy\n"},
	} {
		cmd := exec.Command("unshare", "--net", "sh", "-ec", pod+c.script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
