package re2

import "unicode"

// literal makes nodes of a string. Where case is ignored, RE2 marks ASCII letters, in lower case; Latin-1 has no other case
// for it.
func literal(runes []rune, fold bool) *node {
	out := &node{op: opLiteral, fold: fold}
	for _, r := range runes {
		if fold && r <= unicode.MaxASCII {
			r = unicode.ToLower(r)
		}
		out.runes = append(out.runes, r)
	}
	return out
}
