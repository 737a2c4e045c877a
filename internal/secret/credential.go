package secret

import (
	"regexp"
	"strings"
)

var (
	// webToken is a JSON Web Token with a signature, or an encrypted one.
	webToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){2,4}`)
	// scheme is the value of an Authorization header that is worth hiding: no placeholder, no parameter of a challenge. In a
	// marshaled message any byte may stand before it.
	scheme = regexp.MustCompile(`(?i)(bearer|basic)[ \t+]+([A-Za-z0-9._~+/-]{16,}=*)`)
	// parameter is the first one of a challenge, realm="…".
	parameter = regexp.MustCompile(`^[a-z_-]+=$`)
	// wordKey is a key that says of itself that it is one.
	wordKey = regexp.MustCompile(`AGE-SECRET-KEY-1[A-Za-z0-9]{16,}`)
)

// credentials returns bearer tokens, passwords of the Basic scheme and web tokens.
func credentials(s string) [][]run {
	var out [][]run
	for _, m := range webToken.FindAllStringIndex(s, -1) {
		first, rest, _ := strings.Cut(s[m[0]:m[1]], ".")
		if strings.Contains(plain(first), `"alg"`) && len(rest) > 16 {
			out = append(out, []run{{m[0], m[1]}})
		}
	}
	for _, m := range scheme.FindAllStringSubmatchIndex(s, -1) {
		value := s[m[4]:m[5]]
		password := strings.Contains(plain(value), ":")
		if !parameter.MatchString(value) && (password || strings.EqualFold(s[m[2]:m[3]], "bearer")) {
			out = append(out, []run{{m[4], m[5]}})
		}
	}
	return out
}

// plain is what base64 says.
func plain(s string) string {
	b := make([]byte, len(s))
	return string(b[:decode(b, s)])
}

// wordKeys returns keys that begin with a word.
func wordKeys(s string) [][]run {
	var out [][]run
	for _, m := range wordKey.FindAllStringIndex(s, -1) {
		out = append(out, []run{{m[0], m[1]}})
	}
	return out
}
