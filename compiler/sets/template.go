package sets

import (
	"fmt"
	"regexp"
	"strings"
)

// PathPrefix has the paths that Envoy's path_separated_prefix takes: the text itself, and what goes on behind it with a slash.
func PathPrefix(text string, ignoreCase bool) Strings {
	return Exact(text, ignoreCase).Or(Prefix(text+"/", ignoreCase))
}

const (
	oneSegment   = `[a-zA-Z0-9\-._~%!$&'()+,;:@=]+`
	manySegments = `[a-zA-Z0-9\-._~%!$&'()+,;:@=/]*`
)

// Template has the paths that a URI template of Envoy takes: * stands for a segment, ** for any rest, {NAME} for a segment and
// {NAME=PATTERN} for what its pattern takes.
func Template(template string) (Strings, error) {
	var b strings.Builder
	for rest := template; rest != ""; {
		i := strings.IndexAny(rest, "*{}")
		if i < 0 {
			i = len(rest)
		}
		b.WriteString(regexp.QuoteMeta(rest[:i]))
		rest = rest[i:]
		switch {
		case rest == "":
		case strings.HasPrefix(rest, "**"):
			b.WriteString(manySegments)
			rest = rest[2:]
		case rest[0] == '*':
			b.WriteString(oneSegment)
			rest = rest[1:]
		case rest[0] == '{':
			variable, behind, closed := strings.Cut(rest[1:], "}")
			if !closed || strings.Contains(variable, "{") {
				return Strings{}, fmt.Errorf("URI template %s: a brace is not closed", template)
			}
			_, inner, given := strings.Cut(variable, "=")
			if !given {
				inner = "*"
			}
			b.WriteString(templatePattern(inner))
			rest = behind
		default:
			return Strings{}, fmt.Errorf("URI template %s: a brace is not opened", template)
		}
	}
	return Regex(b.String())
}

// templatePattern turns the pattern of a variable, which has no braces, into a regular expression.
func templatePattern(s string) string {
	many := strings.Split(s, "**")
	for i, part := range many {
		one := strings.Split(part, "*")
		for k := range one {
			one[k] = regexp.QuoteMeta(one[k])
		}
		many[i] = strings.Join(one, oneSegment)
	}
	return strings.Join(many, manySegments)
}
