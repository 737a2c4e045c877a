package cel

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is what a token is: an operator or a word of the language is its own text.
type kind string

// Tokens that are not written as what they are.
const (
	end     kind = "the end"
	name    kind = "a name"
	literal kind = "a literal"
)

type token struct {
	kind kind
	text string
	at   int // column, from 1
}

func (t token) String() string {
	if t.kind == end {
		return string(end)
	}
	return strconv.Quote(t.text)
}

// syntaxError ends reading; Check recovers it.
type syntaxError struct {
	at   int
	what string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.at, e.what) }

func fail(at int, format string, args ...any) {
	panic(&syntaxError{at, fmt.Sprintf(format, args...)})
}

var (
	space      = regexp.MustCompile(`^([ \t\r\n\f]+|//[^\n]*)+`)
	word       = regexp.MustCompile(`^[A-Za-z_][A-Za-z_0-9]*`)
	quotedName = regexp.MustCompile("^`[A-Za-z0-9_./ -]+`")
	double     = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?[eE][-+]?[0-9]+|[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?)`)
	integer    = regexp.MustCompile(`^(0x[0-9A-Fa-f]+|[0-9]+)[uU]?`)
	text       = regexp.MustCompile(`^[bB]?[rR]?("""|'''|"|')`)
	escape     = regexp.MustCompile(`^\\([abfnrtv"'\\?` + "`" + `]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})`)
)

// lexer reads tokens.
type lexer struct {
	source string
	pos    int
}

func (l *lexer) next() token {
	l.pos += len(space.FindString(l.source[l.pos:]))
	rest, t := l.source[l.pos:], token{at: utf8.RuneCountInString(l.source[:l.pos]) + 1}
	switch {
	case rest == "":
		t.kind = end
		return t
	case text.MatchString(rest):
		t.kind, t.text = literal, rest[:quotedEnd(rest, t.at)]
	case word.MatchString(rest):
		t.kind, t.text = name, word.FindString(rest)
		switch t.text {
		case "true", "false", "null":
			t.kind = literal
		case "in":
			t.kind = "in"
		}
	case quotedName.MatchString(rest):
		t.kind, t.text = "`", quotedName.FindString(rest)
	case double.MatchString(rest):
		t.kind, t.text = literal, double.FindString(rest)
	case integer.MatchString(rest):
		t.kind, t.text = literal, integer.FindString(rest)
	default:
		t.text = operatorAt(rest)
		t.kind = kind(t.text)
	}
	l.pos += len(t.text)
	return t
}

func operatorAt(rest string) string {
	for _, op := range [...]string{"==", "!=", "<=", ">=", "&&", "||"} {
		if strings.HasPrefix(rest, op) {
			return op
		}
	}
	_, size := utf8.DecodeRuneInString(rest)
	return rest[:size]
}

// quotedEnd is where a text in quotes ends.
func quotedEnd(s string, at int) int {
	open := text.FindString(s)
	quote := strings.TrimLeft(open, "bBrR")
	raw := strings.ContainsAny(open[:len(open)-len(quote)], "rR")
	for i := len(open); i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], quote):
			if raw && s[i-1] == '\\' {
				fail(at, "the text ends behind a backslash")
			}
			return i + len(quote)
		case len(quote) == 1 && (s[i] == '\n' || s[i] == '\r'):
			fail(at, "the text does not end in its line")
		case s[i] == '\\' && !raw:
			i += escapeEnd(s[i:], strings.ContainsAny(open[:1], "bB"), at)
		default:
			i++
		}
	}
	fail(at, "the text does not end")
	return 0
}

// escapeEnd is where an escape ends. Bytes have none of characters.
func escapeEnd(s string, isBytes bool, at int) int {
	e := escape.FindString(s)
	if e == "" {
		fail(at, "the text has an escape that is none")
	}
	if e[1] == 'u' || e[1] == 'U' {
		n, err := strconv.ParseUint(e[2:], 16, 32)
		if isBytes || err != nil || !utf8.ValidRune(rune(n)) {
			fail(at, "the text has an escape of no character")
		}
	}
	return len(e)
}

// plainText is the value of a text; false: it is none, or has escapes that only this language knows.
func plainText(t token) (string, bool) {
	open := text.FindString(t.text)
	quote := strings.TrimLeft(open, "bBrR")
	if open == "" {
		return "", false
	}
	value := t.text[len(open) : len(t.text)-len(quote)]
	if strings.ContainsAny(open[:len(open)-len(quote)], "rR") || !strings.Contains(value, "\\") {
		return value, true
	}
	value = strings.NewReplacer(`\\`, `\\`, `\'`, `'`, `\"`, `\"`, `"`, `\"`, "\n", `\n`).Replace(value)
	value, err := strconv.Unquote(`"` + value + `"`)
	return value, err == nil
}

// number checks an integer, which a sign may precede.
func number(t token, negative bool) {
	switch {
	case !integer.MatchString(t.text) || integer.FindString(t.text) != t.text:
		return
	case strings.HasSuffix(strings.ToLower(t.text), "u"):
		if _, err := strconv.ParseUint(strings.TrimPrefix(t.text[:len(t.text)-1], "0x"), base(t.text), 64); err != nil {
			fail(t.at, "the number %s is too large", t.text)
		}
		return
	}
	sign := ""
	if negative {
		sign = "-"
	}
	digits := strings.TrimPrefix(t.text, "0x")
	if _, err := strconv.ParseInt(sign+digits, base(t.text), 64); err != nil {
		fail(t.at, "the number %s is too large", t.text)
	}
}

func base(s string) int {
	if strings.HasPrefix(s, "0x") {
		return 16
	}
	return 10
}
