package security

import (
	"regexp"
	"strings"
	"testing"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"pgregory.net/rapid"
)

// matches judges a StringMatcher as Envoy does: a regex must match the whole string.
func matches(m *matcherv3.StringMatcher, s string) bool {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return s == p.Exact
	case *matcherv3.StringMatcher_Prefix:
		return strings.HasPrefix(s, p.Prefix)
	case *matcherv3.StringMatcher_Suffix:
		return strings.HasSuffix(s, p.Suffix)
	case *matcherv3.StringMatcher_SafeRegex:
		return regexp.MustCompile("^(?:" + p.SafeRegex.Regex + ")$").MatchString(s)
	}
	return false
}

// hostile holds the characters that mean something to a regular expression, a path or a SPIFFE identity.
var hostile = rapid.StringOfN(rapid.RuneFrom([]rune(`ab.*+?()[]{}|^$\/-:%"'`+"\n")), 0, 12, -1)

func plain(t *rapid.T, label string) string {
	return strings.ReplaceAll(hostile.Draw(t, label), "*", "")
}

func TestStringMatchersAcceptExactlyTheIntendedSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, s := plain(t, "value"), hostile.Draw(t, "input")
		around := plain(t, "around")
		if v == "" {
			v = "x"
		}
		for _, in := range []string{s, v, v + around, around + v, around + v + around} {
			for pattern, want := range map[string]bool{
				v: in == v, v + "*": strings.HasPrefix(in, v), "*" + v: strings.HasSuffix(in, v), "*": in != "",
			} {
				m := rbacString(pattern)
				if err := m.ValidateAll(); err != nil {
					t.Fatalf("%q: Envoy refuses the matcher: %v", pattern, err)
				}
				if got := matches(m, in); got != want {
					t.Fatalf("%q on %q: %v, want %v (%v)", pattern, in, got, want, m)
				}
			}
		}
	})
}

func TestPrincipalMatchersAcceptExactlyTheIntendedSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, s, around := plain(t, "value"), hostile.Draw(t, "input"), plain(t, "around")
		if v == "" {
			v = "x"
		}
		const scheme = "spiffe://"
		for _, in := range []string{s, v, scheme + v, scheme + v + around, scheme + around + v, "http://" + v} {
			id, ok := strings.CutPrefix(in, scheme)
			for pattern, want := range map[string]bool{
				v: ok && id == v, v + "*": ok && strings.HasPrefix(id, v), "*" + v: ok && strings.HasSuffix(id, v), "*": in != "",
			} {
				if got := matches(rbacSPIFFE(pattern), in); got != want {
					t.Fatalf("%q on %q: %v, want %v", pattern, in, got, want)
				}
			}
		}
	})
}

func TestIdentityPatternsStayWithinTheirPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment := func(label string) string {
			s := strings.NewReplacer("/", "", "\n", "").Replace(plain(t, label))
			if s == "" {
				s = "x"
			}
			return s
		}
		ns, other, sa := segment("ns"), segment("other"), segment("sa")
		id := "spiffe://cluster.local/ns/" + other + "/sa/" + sa
		if got, want := matches(rbacNamespace(ns), id), ns == other; got != want {
			t.Fatalf("namespace %q on %s: %v", ns, id, got)
		}
		if got, want := matches(rbacNamespace(ns+"*"), id), strings.HasPrefix(other, ns); got != want {
			t.Fatalf("namespace %q* on %s: %v", ns, id, got)
		}
		if got, want := matches(rbacServiceAccount(ns, sa), id), ns == other; got != want {
			t.Fatalf("service account %q/%q on %s: %v", ns, sa, id, got)
		}
		if matches(rbacServiceAccount(other, sa+"x"), id) {
			t.Fatalf("service account %qx on %s", sa, id)
		}
		td := "spiffe://" + other + "/ns/a/sa/b"
		if got, want := matches(rbacTrustDomain(ns), td), ns == other; got != want {
			t.Fatalf("trust domain %q on %s: %v", ns, td, got)
		}
		if got, want := matches(rbacTrustDomain("*"+ns), td), strings.HasSuffix(other, ns); got != want {
			t.Fatalf("trust domain *%q on %s: %v", ns, td, got)
		}
	})
}

func TestPathTemplate(t *testing.T) {
	for in, want := range map[string]string{
		"/foo/{*}/bar/{**}": "/foo/*/bar/**",
		"/store/{**}/cart":  "/store/**/cart",
		"/{*}":              "/*",
		"/{**}/{*}":         "",
		"/{**}/{**}":        "",
		"/a{*}":             "",
		"/a*/{*}":           "",
		"/{x}/{*}":          "",
		"{*}":               "",
		"//{*}":             "",
		"/a b/{*}":          "",
		"/a\n/{*}":          "",
	} {
		got, err := pathTemplate(in)
		if (err == nil) != (want != "") || err == nil && got.PathTemplate != want {
			t.Errorf("%q: %v, %v; want %q", in, got.GetPathTemplate(), err, want)
		}
	}
}

func TestValuesThatEnvoyWouldRefuse(t *testing.T) {
	for _, v := range []string{"", "10.0.0.0/33", "10.0.0", "::g", "fe80::1%eth0", "a"} {
		if _, err := rbacCIDR(v); err == nil {
			t.Errorf("CIDR %q passes", v)
		}
	}
	if c, err := rbacCIDR("10.1.2.3/8"); err != nil || c.AddressPrefix != "10.0.0.0" || c.PrefixLen.Value != 8 {
		t.Errorf("10.1.2.3/8: %v, %v", c, err)
	}
	if c, err := rbacCIDR("::ffff:10.1.2.3"); err != nil || c.AddressPrefix != "10.1.2.3" || c.PrefixLen.Value != 32 {
		t.Errorf("IPv4 within IPv6: %v, %v", c, err)
	}
	for _, v := range []string{"", "0", "65536", "-1", "http", "80 "} {
		if _, err := rbacPort(v); err == nil {
			t.Errorf("port %q passes", v)
		}
	}
	for _, v := range []string{"", ":", "a b", "a\r\nb", "ä", "a:b"} {
		if _, err := rbacHeaderName(v); err == nil {
			t.Errorf("header %q passes", v)
		}
	}
	for _, v := range []string{"p", "p[]", "p[a", "p[a]b", "pa]"} {
		if got, err := bracketed(v, "p"); err == nil {
			t.Errorf("%q passes as %v", v, got)
		}
	}
	for v, want := range map[string]string{"p[a]": "a", "p[a][b]": "a b", "p[https://x/y.z]": "https://x/y.z", "p[a[b]c]": "a[b]c", "p[a][]": "a][", "p[a]b[c]": "a]b[c"} {
		if got, err := bracketed(v, "p"); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q is %v, %v; want %s", v, got, err, want)
		}
	}
}
