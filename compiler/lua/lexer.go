package lua

import (
	"fmt"
	"strings"
)

// kind is what a token is: an operator or a keyword is its own text.
type kind string

// Tokens that are not written as what they are.
const (
	tokenEnd    kind = "<eof>"
	tokenName   kind = "<name>"
	tokenNumber kind = "<number>"
	tokenString kind = "<string>"
)

// token is one word of a chunk.
type token struct {
	kind kind
	text string // of a name, and of a number
	line int
}

func (t token) String() string {
	if t.kind == tokenName || t.kind == tokenNumber {
		return t.text
	}
	return string(t.kind)
}

// syntaxError ends reading; Check recovers it.
type syntaxError struct {
	line int
	what string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// lexer reads tokens.
type lexer struct {
	text string
	pos  int
	line int
}

func (l *lexer) fail(format string, args ...any) {
	panic(&syntaxError{l.line, fmt.Sprintf(format, args...)})
}

// newLexer skips a byte order mark and a first line of a shell. C ends a text at its first zero byte.
func newLexer(text string) *lexer {
	text, _, _ = strings.Cut(text, "\x00")
	l := &lexer{text: strings.TrimPrefix(text, "\uFEFF"), line: 1}
	if l.peek(0) == '#' {
		l.skipLine()
	}
	return l
}

// peek is a byte ahead; 0 is the end.
func (l *lexer) peek(ahead int) byte {
	if l.pos+ahead >= len(l.text) {
		return 0
	}
	return l.text[l.pos+ahead]
}

func (l *lexer) skipLine() {
	for c := l.peek(0); c != 0 && c != '\n' && c != '\r'; c = l.peek(0) {
		l.pos++
	}
}

// newline skips a line break, one or two bytes.
func (l *lexer) newline() {
	c := l.peek(0)
	l.pos++
	if n := l.peek(0); (n == '\n' || n == '\r') && n != c {
		l.pos++
	}
	l.line++
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// ident tells whether a byte can be part of a name; those beyond ASCII can.
func ident(c byte) bool {
	return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c >= 0x80
}

// next reads a token.
func (l *lexer) next() token {
	l.blank()
	c, t := l.peek(0), token{line: l.line}
	switch {
	case l.pos >= len(l.text):
		t.kind = tokenEnd
	case digit(c), c == '.' && digit(l.peek(1)):
		t.kind, t.text = tokenNumber, l.number()
	case ident(c):
		start := l.pos
		for ident(l.peek(0)) {
			l.pos++
		}
		t.kind, t.text = tokenName, l.text[start:l.pos]
		if keyword(t.text) {
			t.kind = kind(t.text)
		}
	case c == '"', c == '\'':
		l.quoted(c)
		t.kind = tokenString
	case c == '[' && l.long("string"):
		t.kind = tokenString
	default:
		t.kind = l.operator()
	}
	return t
}

// blank skips what stands between tokens.
func (l *lexer) blank() {
	for {
		switch c := l.peek(0); {
		case c == '\n', c == '\r':
			l.newline()
		case c == ' ', c == '\t', c == '\v', c == '\f':
			l.pos++
		case c == '-' && l.peek(1) == '-':
			l.pos += 2
			if l.peek(0) != '[' || !l.long("comment") {
				l.skipLine()
			}
		default:
			return
		}
	}
}

// long skips a text in long brackets, as [==[ … ]==]; false: there is none here.
func (l *lexer) long(what string) bool {
	level := 1
	for l.peek(level) == '=' {
		level++
	}
	if l.peek(level) != '[' {
		if level > 1 && what == "string" {
			l.fail("invalid long string delimiter")
		}
		return false
	}
	end := "]" + l.text[l.pos+1:l.pos+level] + "]"
	l.pos += level + 1
	for !strings.HasPrefix(l.text[l.pos:], end) {
		switch l.peek(0) {
		case 0:
			l.fail("unfinished long %s", what)
		case '\n', '\r':
			l.newline()
		default:
			l.pos++
		}
	}
	l.pos += len(end)
	return true
}

func (l *lexer) quoted(quote byte) {
	l.pos++
	for {
		switch c := l.peek(0); c {
		case 0, '\n', '\r':
			l.fail("unfinished string")
		case '\\':
			l.pos++
			l.escape()
		default:
			l.pos++
			if c == quote {
				return
			}
		}
	}
}

// escape reads what follows a backslash.
func (l *lexer) escape() {
	c := l.peek(0)
	switch {
	case c == '\n', c == '\r':
		l.newline()
		return
	case c == 0:
		return
	case digit(c):
		value := 0
		for i := 0; i < 3 && digit(l.peek(0)); i++ {
			value = value*10 + int(l.peek(0)-'0')
			l.pos++
		}
		if value > 255 {
			l.fail("invalid escape sequence")
		}
		return
	case !strings.ContainsRune(`abfnrtvxuz\"'`, rune(c)):
		l.fail("invalid escape sequence")
	}
	l.pos++
	switch c {
	case 'x':
		if !hex(l.peek(0)) || !hex(l.peek(1)) {
			l.fail("invalid escape sequence")
		}
		l.pos += 2
	case 'u':
		l.codePoint()
	case 'z':
		for c := l.peek(0); c == ' ' || '\t' <= c && c <= '\r'; c = l.peek(0) {
			if c == '\n' || c == '\r' {
				l.newline()
			} else {
				l.pos++
			}
		}
	}
}

func hex(c byte) bool { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// codePoint reads {XXX} of a Unicode character.
func (l *lexer) codePoint() {
	digits, _, closed := strings.Cut(l.text[l.pos:], "}")
	digits, opened := strings.CutPrefix(digits, "{")
	value := 0
	for i := range len(digits) {
		if !hex(digits[i]) || value > 0x10ffff {
			l.fail("invalid escape sequence")
		}
		d := int(digits[i] | 0x20)
		if value = value*16 + d - '0'; d >= 'a' {
			value += '0' - 'a' + 10
		}
	}
	if !opened || !closed || digits == "" || value > 0x10ffff || 0xd800 <= value && value < 0xe000 {
		l.fail("invalid escape sequence")
	}
	l.pos += len(digits) + 2
}

// operator reads an operator, the longest that stands here.
func (l *lexer) operator() kind {
	for _, op := range [...]string{"...", "..", "==", "<=", ">=", "~=", "::"} {
		if strings.HasPrefix(l.text[l.pos:], op) {
			l.pos += len(op)
			return kind(op)
		}
	}
	l.pos++
	return kind(l.text[l.pos-1 : l.pos])
}

func keyword(s string) bool {
	switch s {
	case "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not", "or", "repeat",
		"return", "then", "true", "until", "while":
		return true
	}
	return false
}
