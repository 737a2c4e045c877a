package re2

// maxRune is the last character that Envoy's RE2 knows.
const maxRune = 0xff

// class makes a node of ranges, without what is beyond Latin-1. A class of one character, or of the two cases of an ASCII
// letter, is a literal.
func class(ranges []rune) *node {
	var kept []rune
	for i := 0; i < len(ranges) && ranges[i] <= maxRune; i += 2 {
		kept = append(kept, ranges[i], min(ranges[i+1], maxRune))
	}
	switch {
	case len(kept) == 0:
		return &node{op: opNoMatch}
	case len(kept) == 2 && kept[0] == kept[1]:
		return &node{op: opLiteral, runes: kept[:1]}
	case len(kept) == 4 && kept[0] == kept[1] && kept[2] == kept[3] && 'A' <= kept[0] && kept[0] <= 'Z' && kept[2] == kept[0]+'a'-'A':
		return &node{op: opLiteral, runes: kept[2:3], fold: true}
	}
	return &node{op: opClass, runes: kept}
}

// foldsASCII tells whether a class has the same ASCII letters in both cases.
func foldsASCII(ranges []rune) bool {
	var upper, lower uint32
	for i := 0; i < len(ranges); i += 2 {
		upper |= letters(ranges[i], ranges[i+1], 'A')
		lower |= letters(ranges[i], ranges[i+1], 'a')
	}
	return upper == lower
}

// letters are those of the 26 from first on that lie in a range, as bits.
func letters(lo, hi, first rune) uint32 {
	lo, hi = max(lo, first), min(hi, first+25)
	if lo > hi {
		return 0
	}
	return (1<<(hi-lo+1) - 1) << (lo - first)
}

// class makes the program of a class: one instruction for each range. Where both cases of the letters are in it, those in
// upper case need none of their own.
func (c *compiler) class(ranges []rune) frag {
	if len(ranges) == 2 && ranges[0] == 0 && ranges[1] == maxRune {
		return c.wholeByte()
	}
	folds := foldsASCII(ranges)
	var out frag
	for i := 0; i < len(ranges); i += 2 {
		if lo, hi := ranges[i], ranges[i+1]; !folds || lo < 'A' || 'Z' < hi {
			out = c.either(out, c.byteRange())
		}
	}
	return out
}
