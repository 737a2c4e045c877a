package lua

import "regexp"

// numberForm are the numbers of LuaJIT: decimal, hexadecimal and binary, and those of its foreign functions.
var numberForm = regexp.MustCompile(`(?i)^(([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?i?|0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(p[-+]?[0-9]+)?i?|0b[01]+i?|([0-9]+|0x[0-9a-f]+|0b[01]+)u?ll)$`)

// number reads all that could be part of a number, and fails if it is none.
func (l *lexer) number() string {
	start, exponent := l.pos, byte('e')
	if l.peek(0) == '0' && l.peek(1)|0x20 == 'x' {
		exponent = 'p'
	}
	for last := byte(0); ; l.pos++ {
		c := l.peek(0)
		if !ident(c) && c != '.' && (c != '-' && c != '+' || last|0x20 != exponent) {
			break
		}
		last = c
	}
	text := l.text[start:l.pos]
	if !numberForm.MatchString(text) {
		l.fail("malformed number near '%s'", text)
	}
	return text
}
