package intercept_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/intercept"
)

// with reads settings as the command line or annotations have them.
func with(t *testing.T, of map[string]string) intercept.Settings {
	t.Helper()
	s := intercept.Default()
	for _, o := range intercept.Options {
		if v, ok := of[o.Flag]; ok {
			if err := o.Set(&s, v); err != nil {
				t.Fatalf("%s=%s: %v", o.Flag, v, err)
			}
		}
	}
	return s
}

// every is a value for each setting.
var every = map[string]string{
	"include-inbound-ports": "8080,9090", "exclude-inbound-ports": "22", "include-outbound-ranges": "10.0.0.0/8,fd00::/8", "exclude-outbound-ranges": "10.1.2.3,fd00::1/128",
	"include-outbound-ports": "9000", "exclude-outbound-ports": "3306", "exclude-interfaces": "eth1", "reroute-interfaces": "tap0",
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name     string
		of       map[string]string
		six      bool
		has, not []string
	}{
		{name: "all", has: []string{"-A MESH_INBOUND -p tcp -j MESH_IN_REDIRECT", "-A MESH_OUTBOUND_CHOICE -p tcp -j MESH_REDIRECT", "-A MESH_INBOUND -p tcp --dport 15021 -j RETURN"}, not: []string{"udp", "15053"}},
		{name: "some ports", of: map[string]string{"include-inbound-ports": "8080"}, has: []string{"-A MESH_INBOUND -p tcp --dport 8080 -j MESH_IN_REDIRECT"}, not: []string{"-A MESH_INBOUND -p tcp -j MESH_IN_REDIRECT"}},
		{name: "no port", of: map[string]string{"include-inbound-ports": ""}, not: []string{"-A MESH_INBOUND -p tcp -j MESH_IN_REDIRECT", "--dport 8080"}},
		{name: "ranges", of: every, has: []string{"-d 10.0.0.0/8 -j MESH_REDIRECT", "-d 10.1.2.3/32 -j RETURN", "-A MESH_OUTPUT -p tcp --dport 3306 -j RETURN", "-i tap0 -j MESH_OUTBOUND_CHOICE"}, not: []string{"fd00"}},
		{name: "ranges of IPv6", six: true, of: every, has: []string{"-d fd00::/8 -j MESH_REDIRECT", "-d fd00::1/128 -j RETURN", "-s ::6/128"}, not: []string{"10.0.0.0/8", "127.0.0"}},
	} {
		text := with(t, c.of).IPTables(c.six, "")
		for _, line := range c.has {
			if !strings.Contains(text, line) {
				t.Errorf("%s: no %q in\n%s", c.name, line, text)
			}
		}
		for _, line := range c.not {
			if strings.Contains(text, line) {
				t.Errorf("%s: %q in\n%s", c.name, line, text)
			}
		}
	}
}

// A connection that is excluded has to be left alone before one is taken that is included.
func TestExclusionsGoFirst(t *testing.T) {
	text := with(t, every).IPTables(false, "")
	for _, pair := range [][2]string{{"-d 10.1.2.3/32 -j RETURN", "-d 10.0.0.0/8 -j MESH_REDIRECT"}, {"--dport 22 -j RETURN", "--dport 8080 -j MESH_IN_REDIRECT"}, {"-d 10.1.2.3/32 -j RETURN", "--dport 9000 -j MESH_REDIRECT"}} {
		if a, b := strings.Index(text, pair[0]), strings.Index(text, pair[1]); a < 0 || b < a {
			t.Errorf("%q is not before %q in\n%s", pair[0], pair[1], text)
		}
	}
}

// What the arguments say is what the settings were.
func TestArgs(t *testing.T) {
	if got := intercept.Default().Args(); len(got) != 0 {
		t.Errorf("the default is said: %v", got)
	}
	s := with(t, every)
	s.DNS = true
	back := map[string]string{}
	for _, a := range s.Args() {
		k, v, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		back[k] = v
	}
	_, dns := back["dns"]
	again := with(t, back)
	again.DNS = dns
	if s.IPTables(false, "") != again.IPTables(false, "") || s.NFT(true) != again.NFT(true) {
		t.Errorf("%v gives other rules", s.Args())
	}
}

func TestBadValues(t *testing.T) {
	for _, c := range [][2]string{
		{"include-inbound-ports", "http"}, {"exclude-inbound-ports", "0"}, {"exclude-inbound-ports", "65536"}, {"exclude-inbound-ports", "*"}, {"include-outbound-ranges", "10.0.0.0/33"},
		{"exclude-outbound-ranges", "10.0.0.0/8 -j ACCEPT"}, {"exclude-outbound-ranges", "*"}, {"include-outbound-ranges", "::ffff:10.0.0.1"}, {"exclude-interfaces", "eth0\n-A OUTPUT"}, {"exclude-interfaces", "-j"},
		{"reroute-interfaces", `tap0"`}, {"exclude-interfaces", "a-name-beyond-fifteen"},
	} {
		s := intercept.Default()
		i := slices.IndexFunc(intercept.Options, func(o intercept.Option) bool { return o.Flag == c[0] })
		if err := intercept.Options[i].Set(&s, c[1]); err == nil {
			t.Errorf("%s=%q is taken", c[0], c[1])
		}
	}
}

// The kernel takes every rule, twice as well as once, and keeps the same ones.
func TestKernelTakesThem(t *testing.T) {
	s := with(t, every)
	s.DNS = true
	for _, c := range []struct {
		text, load, list string
		tools            []string
	}{
		{s.IPTables(false, ""), "iptables-restore --noflush", "iptables-save -t nat", []string{"unshare", "iptables-restore"}},
		{s.IPTables(true, ""), "ip6tables-restore --noflush", "ip6tables-save -t nat", []string{"unshare", "ip6tables-restore"}},
		{s.NFT(false), "nft -f -", "nft list ruleset", []string{"unshare", "nft"}},
		{s.NFT(true), "nft -f -", "nft list ruleset", []string{"unshare", "nft"}},
	} {
		unable := os.Geteuid() != 0
		for _, tool := range c.tools {
			_, err := exec.LookPath(tool)
			unable = unable || err != nil
		}
		if unable {
			if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
				t.Errorf("%s cannot be tried here", c.load)
			}
			t.Logf("skipped: %s needs root and %v", c.load, c.tools)
			continue
		}
		cmd := exec.Command("unshare", "--net", "sh", "-ec", `r=$(cat); printf '%s\n' "$r" | `+c.load+`; `+c.list+` > "$0"; printf '%s\n' "$r" | `+c.load+`; `+c.list, t.TempDir()+"/once")
		cmd.Stdin = strings.NewReader(c.text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s\n%s", c.load, err, out, c.text)
			continue
		}
		if n := strings.Count(string(out), "MESH_OUTBOUND_CHOICE"); n < 3 {
			t.Errorf("%s: the chain is not there:\n%s", c.load, out)
		}
	}
}

// TestAgain: rules of iptables that are installed again are there once, whatever was there before, and rules of others stay.
func TestAgain(t *testing.T) {
	const before = `*nat
-A PREROUTING -p tcp -j MESH_INBOUND
-A PREROUTING -p tcp -j MESH_INBOUND
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -p udp -j MESH_DNS
-A OUTPUT -p tcp -j MESH_OUTPUT
-A OUTPUT -p tcp -j MESH_OUTPUT_OF_OTHERS
-A MESH_OUTPUT -p tcp -j MESH_OUTBOUND_CHOICE
COMMIT
`
	var gone []string
	for _, line := range strings.Split(intercept.Default().IPTables(false, before), "\n") {
		if strings.HasPrefix(line, "-D") {
			gone = append(gone, line)
		}
	}
	want := []string{"-D PREROUTING -p tcp -j MESH_INBOUND", "-D PREROUTING -p tcp -j MESH_INBOUND", "-D OUTPUT -p udp -j MESH_DNS", "-D OUTPUT -p tcp -j MESH_OUTPUT"}
	if !slices.Equal(gone, want) {
		t.Errorf("%q, not %q", gone, want)
	}
}

// TestLookups: names are asked of the proxy by UDP, at which it answers; by TCP they are sent as all else is, and the proxy asks where
// the pod would.
func TestLookups(t *testing.T) {
	s := intercept.Default()
	s.DNS = true
	text := s.IPTables(false, "")
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "15053") && !strings.Contains(line, "-p udp --dport 53 -m owner ! --uid-owner 1337") {
			t.Errorf("%s leads to where only UDP from others than the proxy is answered", line)
		}
		if strings.Contains(line, "-p tcp") && strings.Contains(line, "53 ") {
			t.Errorf("%s is about TCP", line)
		}
	}
	if !strings.Contains(text, "-A OUTPUT -p udp -j MESH_DNS") || strings.Contains(intercept.Default().IPTables(false, ""), "-j MESH_DNS") {
		t.Errorf("look-ups of names go:\n%s", text)
	}
}
