// Package show makes text fit to be shown: on a terminal, in the log of a CI, in a report that a browser renders. It hides
// secrets, and it makes visible what would steer the reader or the reader's program instead of being read.
//
// Values, as names and messages, go through Text or Line one by one. A whole output goes through a Writer, which is the
// last to see it and trusts nobody before it. Where a character is replaced it is by its escape in JSON, so that output
// in JSON keeps its meaning.
package show

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/meshc/meshc/internal/secret"
)

// Text hides the secrets in a value and makes its control characters visible. Line breaks and tabs stay.
func Text(s string) string { return Visible(secret.Redact(s)) }

// Line is Text for a value that is shown within a line: a line break becomes a space.
func Line(s string) string { return OneLine(Text(s)) }

// OneLine replaces line breaks by spaces.
func OneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(s)
}

// Visible escapes what is not meant to be read: control characters but line breaks and tabs, characters without a shape of
// their own, such as those that turn the direction of writing, bytes that are no UTF-8, and the beginning of ##[command],
// which CI systems obey wherever it stands in a log.
func Visible(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, hidden(r):
			b.WriteString(escape(r))
		case r == '#' && command(s[i:]):
			b.WriteString("#" + escape('#'))
			n = len("##")
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// plain tells whether there is nothing to escape in a text of ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < ' ' && c != '\n' && c != '\t' || c == '#' && command(s[i:]) {
			return false
		}
	}
	return true
}

// command tells whether a text begins with a command to GitHub's runner, Azure Pipelines or TeamCity.
func command(s string) bool {
	for _, c := range [...]string{"##[", "##vso[", "##teamcity["} {
		if strings.HasPrefix(s, c) {
			return true
		}
	}
	return false
}

// hidden tells whether a character is none that people see as such. Joiners are needed to write some languages.
func hidden(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r == 0x200c || r == 0x200d:
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// escape writes a character as JSON does.
func escape(r rune) string {
	if r <= 0xffff {
		return fmt.Sprintf(`\u%04x`, r)
	}
	r -= 0x10000
	return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
}

// Count puts a noun behind a number: 1 proxy, 2 proxies. The noun is a regular one.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
