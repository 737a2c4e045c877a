package meshgen

import (
	"bytes"
	"fmt"
	"strings"
)

// Largest are changes that the page of documentation shows at once.
func Largest() []Change { return []Change{RegistryOnly, NoPolicies, RuleInEach} }

// Page is the page of documentation with the comment of meshc diff -o markdown on changes of a mesh, all at once.
func Page(services int, changes []Change, comment []byte) []byte {
	var names []string
	for _, c := range changes {
		names = append(names, c.means())
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `# The comment on a change of everything
What `+"`meshc diff -o markdown`"+` says of a mesh of %d services, with a policy for each of them and strict mutual TLS, when a change does all this at once: %s. Like everything for a comment on a pull request it fits into
one, the gravest first; each line unfolds. What more than eight objects of one kind do alike is one line, with one of them in full, and says how many there are; `+"`meshc diff`"+` without `+"`-o markdown`"+` shows each.
The page is made by `+"`go run ./internal/bench -comment docs/largest-change.md`"+`.

---

`, services, strings.Join(names, "; "))
	b.Write(bytes.TrimSpace(comment))
	b.WriteByte('\n')
	return b.Bytes()
}

// means says what a change does.
func (c Change) means() string {
	switch c {
	case RegistryOnly:
		return "what is in no registry may no more be called (`REGISTRY_ONLY`)"
	case NoPolicies:
		return "every AuthorizationPolicy is removed"
	case Permissive:
		return "plain text is taken beside mutual TLS (`PERMISSIVE`)"
	case RuleInEach:
		return "every VirtualService has one rule more, before the others"
	case Timeouts:
		return "every timeout is another"
	}
	return string(c)
}
