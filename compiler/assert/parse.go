package assert

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/sets"
)

// Kinds of statements.
const (
	access    = "access"    // only these callers get through with such requests
	encrypted = "encrypted" // connections are mutual TLS
	retried   = "retried"   // requests of some methods are not retried
	egress    = "egress"    // what leaves the mesh
)

// claim is a statement as it is read.
type claim struct {
	kind    string
	callers []string // patterns: who may, who is meant; none: everybody
	nobody  bool     // access: callers are those who may not
	methods []string
	path    string // with stars; "": any
	servers []string
	between bool     // only calls between namespaces
	hosts   []string // that may be called outside
}

var forms = []struct {
	re   *regexp.Regexp
	read func(m []string) claim
}{
	{regexp.MustCompile(`^only (.+?) (?:may|can) (?:reach|call) (.+)$`), func(m []string) claim {
		return claim{kind: access, callers: list(m[1]), servers: list(m[2])}
	}},
	{regexp.MustCompile(`^only (.+?) (?:reach|reaches|call|calls) (.+)$`), func(m []string) claim {
		return claim{kind: access, callers: list(m[1]), servers: list(m[2])}
	}},
	{regexp.MustCompile(`^only (.+?) may (?:([A-Z][A-Z,]*) ?)?((?:/|\*)\S*)? ?at (.+)$`), func(m []string) claim {
		return claim{kind: access, callers: list(m[1]), methods: list(m[2]), path: m[3], servers: list(m[4])}
	}},
	{regexp.MustCompile(`^nobody(?: in| from)?(?: (\S.*?))? may (?:([A-Z][A-Z,]*) ?)?((?:/|\*)\S*)? ?at (.+)$`), func(m []string) claim {
		return claim{kind: access, nobody: true, callers: list(m[1]), methods: list(m[2]), path: m[3], servers: list(m[4])}
	}},
	{regexp.MustCompile(`^nobody(?: in| from)?(?: (\S.*?))? (?:reaches|calls) (.+)$`), func(m []string) claim {
		return claim{kind: access, nobody: true, callers: list(m[1]), servers: list(m[2])}
	}},
	{regexp.MustCompile(`^every call(?: from (.+?))?(?: to (.+?))?( between namespaces)? is (?:mutual TLS|mTLS)$`), func(m []string) claim {
		return claim{kind: encrypted, callers: list(m[1]), servers: list(m[2]), between: m[3] != ""}
	}},
	{regexp.MustCompile(`^no (?:retry|retries) on ([A-Z][A-Z,]*)(?: from (.+?))?(?: (?:to|at) (.+))?$`), func(m []string) claim {
		return claim{kind: retried, methods: list(m[1]), callers: list(m[2]), servers: list(m[3])}
	}},
	{regexp.MustCompile(`^nothing(?: (?:in|from) (.+?))? leaves the mesh(?: but to (.+))?$`), func(m []string) claim {
		return claim{kind: egress, callers: list(m[1]), hosts: list(m[2])}
	}},
}

// list splits at commas and "and".
func list(s string) (out []string) {
	for _, x := range strings.FieldsFunc(strings.ReplaceAll(s, " and ", ","), func(r rune) bool { return r == ',' }) {
		if x = strings.TrimSpace(x); x != "" && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

const help = `write one of
  only CALLERS may [METHODS] [PATH] at SERVERS
  only CALLERS reach SERVERS
  nobody [CALLERS] reaches SERVERS
  nobody [CALLERS] may [METHODS] [PATH] at SERVERS
  every call [from CALLERS] [to SERVERS] [between namespaces] is mutual TLS
  no retry on METHODS [from CALLERS] [to SERVERS]
  nothing [from CALLERS] leaves the mesh [but to HOSTS]`

// Check tells whether a text is a statement; the error says how statements are written.
func Check(text string) error {
	_, err := parse(text)
	return err
}

func parse(text string) (claim, error) {
	text = strings.Join(strings.Fields(text), " ")
	for _, f := range forms {
		m := f.re.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		c := f.read(m)
		for i, p := range c.callers {
			if bare, ok := strings.CutPrefix(p, `"gateway `); ok && strings.HasSuffix(bare, `"`) { // as calls write it
				p = "gateway " + strings.TrimSuffix(bare, `"`)
				c.callers[i] = p
			}
			if strings.Contains(p, " ") && !strings.HasPrefix(p, "gateway ") {
				return c, fmt.Errorf("%q is no caller: name NAMESPACE/NAME with stars, \"gateway NAMESPACE/NAME\" or outside", p)
			}
		}
		for _, p := range slices.Concat(c.servers, c.hosts) {
			if strings.ContainsAny(p, " \"'") {
				return c, fmt.Errorf("%q is no name", p)
			}
		}
		return c, nil
	}
	return claim{}, fmt.Errorf("%q is no statement: %s", text, help)
}

// pathSet has the paths that a pattern with stars takes.
func pathSet(pattern string) sets.Strings {
	if pattern == "" {
		return sets.AnyString()
	}
	parts := strings.Split(pattern, "*")
	switch {
	case len(parts) == 1:
		return sets.Exact(pattern, false)
	case len(parts) == 2 && parts[1] == "":
		return sets.Prefix(parts[0], false)
	}
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	s, err := sets.Regex("(?s)" + strings.Join(parts, ".*"))
	if err != nil {
		panic("assert: " + err.Error()) // quoted text and stars
	}
	return s
}
