package intercept_test

import (
	"testing"

	"github.com/meshc/meshc/internal/intercept"
)

// TestProbe: where a connection goes that tells whether the rules are in force is what the rules take, and nothing if they take nothing.
func TestProbe(t *testing.T) {
	for _, c := range []struct {
		set       map[string]string
		four, six string
	}{
		{nil, "192.0.2.1:9", "[2001:db8::1]:9"},
		{map[string]string{"exclude-outbound-ports": "9"}, "192.0.2.1:10", "[2001:db8::1]:10"},
		{map[string]string{"exclude-outbound-ranges": "192.0.2.0/24"}, "198.51.100.1:9", "[2001:db8::1]:9"},
		{map[string]string{"include-outbound-ranges": "10.96.0.0/16"}, "10.96.0.1:9", ""},
		{map[string]string{"include-outbound-ranges": "10.96.0.7/32,fd00::/8"}, "10.96.0.7:9", "[fd00::1]:9"},
		{map[string]string{"include-outbound-ranges": ""}, "", ""},
		{map[string]string{"include-outbound-ranges": "", "include-outbound-ports": "443"}, "192.0.2.1:443", "[2001:db8::1]:443"},
		{map[string]string{"include-outbound-ranges": "127.0.0.0/8"}, "", ""},
		{map[string]string{"include-outbound-ranges": "10.0.0.0/8", "exclude-outbound-ranges": "10.0.0.0/8"}, "", ""},
	} {
		s := with(t, c.set)
		for six, want := range map[bool]string{false: c.four, true: c.six} {
			got, ok := s.Probe(six)
			if text := got.String(); ok != (want != "") || ok && text != want {
				t.Errorf("%v, IPv6 %v: %s, %v; want %q", c.set, six, text, ok, want)
			}
		}
	}
	s := intercept.Default()
	s.DNS = true
	if got, ok := s.Probe(false); !ok || got.String() != "192.0.2.1:9" {
		t.Errorf("with DNS: %v", got)
	}
}
