package diag

import (
	"regexp"
	"strings"
)

// hidden stands for a line of the input that is not shown.
const hidden = "(not shown: it may hold a key)"

// keyLike is what keys look like on one line: the marker of PEM, a private member of a JSON Web Key, a long run of
// base64.
var keyLike = regexp.MustCompile(`PRIVATE KEY|["'\s{,](d|k|p|q|dp|dq|qi)["']?\s*:\s*["']?[A-Za-z0-9_-]{8,}|[A-Za-z0-9+/_=-]{64,}`)

// mayHoldKey tells whether a line, counted from 0, must not be shown: logs of CI are read by many. Nothing of a Secret is.
func mayHoldKey(lines []string, at int) bool {
	if keyLike.MatchString(lines[at]) {
		return true
	}
	isSecret := func(line string) bool {
		k, v, ok := strings.Cut(strings.TrimLeft(line, " -{"), ":")
		v, _, _ = strings.Cut(strings.TrimSpace(v), " ")
		return ok && strings.Trim(k, `"'`) == "kind" && strings.Trim(v, `"',}`) == "Secret"
	}
	for i := at; i >= 0 && !strings.HasPrefix(lines[i], "---"); i-- {
		if isSecret(lines[i]) {
			return true
		}
	}
	for _, line := range lines[at+1:] {
		if strings.HasPrefix(line, "---") {
			break
		}
		if isSecret(line) {
			return true
		}
	}
	return strings.Contains(lines[at], "Secret") && strings.Contains(lines[at], "kind") // in one line, as JSON
}
