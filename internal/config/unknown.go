package config

import (
	"fmt"
	"regexp"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/suggest"
)

// ownCode has the form of the codes that meshc has itself; others are those of policies.
var ownCode = regexp.MustCompile(`(?i)^(MESHC[-0-9]|IST[0-9])`)

// IsOwnCode tells whether a code has the form of those of meshc itself.
func IsOwnCode(code string) bool { return ownCode.MatchString(code) }

// UnknownCodes reports the codes in severity that nothing has: what was to be raised or silenced is not. A code that only
// a policy can have may be that of one which another run has.
func (c Config) UnknownCodes(known func(code string) bool, all []string) diag.List {
	var l diag.List
	for _, n := range c.codes {
		if known(n.Value) {
			continue
		}
		d := finding(c.File, n, "MESHC1801", fmt.Sprintf("severity names the code %s, which nothing has: the line does nothing", n.Value), UnknownCodeHelp(n.Value, all))
		if !IsOwnCode(n.Value) {
			d.Severity = diag.Warning
		}
		l.Add(d)
	}
	return l
}

// UnknownCodeHelp says which code was meant by one that does not exist.
func UnknownCodeHelp(code string, all []string) string {
	if n := suggest.Word(code, all); n != "" {
		return "Did you mean " + n + "?"
	}
	return "meshc explain knows the codes of meshc; those of policies stand in their METADATA."
}
