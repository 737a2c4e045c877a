package secret

import (
	"regexp"
	"strings"
)

// jwkMember is a member of a JSON Web Key that is secret, written as JSON, YAML or Go does.
var jwkMember = regexp.MustCompile(`(?:^|["'\s{,\[])(d|p|q|dp|dq|qi|k)\\*["']?\s*[:=]\s*\\*["']?([A-Za-z0-9_+/-]{8,}={0,2})`)

// jwkReach is how far from such a member the type of the key may stand.
const jwkReach = 8 << 10

// PrivateJWK tells whether a JSON Web Key, as decoded, is no public one: it has a private member, or is a shared secret.
func PrivateJWK(key map[string]any) bool {
	for _, m := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
		if _, ok := key[m]; ok {
			return true
		}
	}
	return key["kty"] == "oct"
}

// jwkMembers returns the values of private members of JSON Web Keys. A member k is one of a shared key only.
func jwkMembers(s string) [][]run {
	if !strings.Contains(s, "kty") {
		return nil
	}
	var out [][]run
	for at := 0; ; {
		m := jwkMember.FindStringSubmatchIndex(s[at:])
		if m == nil {
			return out
		}
		name, value := run{at + m[2], at + m[3]}, run{at + m[4], at + m[5]}
		near := s[max(0, name.start-jwkReach):min(len(s), value.end+jwkReach)]
		if strings.Contains(near, "kty") && (name.of(s) != "k" || strings.Contains(near, "oct")) {
			out = append(out, []run{value})
		}
		at = value.end
	}
}
