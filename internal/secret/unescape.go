package secret

import (
	"strconv"
	"strings"
)

// text is a text without its escapes. at gives the place of each byte of plain in the original, and its length at the
// end; nil: the text had no escapes.
type text struct {
	original, plain string
	at              []int
}

// unescape undoes what JSON, Go, YAML, XML and URLs do to a text, nested ones too: all that stands for a letter, a line
// break or a quotation mark becomes one. It is for finding only, so a text that happens to look escaped does no harm.
func unescape(s string) *text {
	if !strings.ContainsAny(s, `\%&`) {
		return &text{original: s, plain: s}
	}
	b, at := make([]byte, 0, len(s)), make([]int, 0, len(s)+1)
	for i := 0; i < len(s); {
		c, n := s[i], 0
		switch c {
		case '\\':
			c, n = backslash(s[i:])
		case '%':
			c, n = percent(s[i:])
		case '&':
			c, n = entity(s[i:])
		}
		if n == 0 {
			c, n = s[i], 1
		}
		b, at = append(b, c), append(at, i)
		i += n
	}
	return &text{original: s, plain: string(b), at: append(at, len(s))}
}

// place is where a byte of the unescaped text begins in the original.
func (t *text) place(i int) int {
	if t.at == nil {
		return i
	}
	return t.at[i]
}

// spans turns ranges that belong together into places of the original, joined where nothing between them is structure.
func (t *text) spans(ranges []run, k Kind) []Span {
	var out []Span
	for _, r := range ranges {
		x := Span{t.place(r.start), t.place(r.end), k}
		if n := len(out); n > 0 && !structural(t.original[out[n-1].End:x.Start]) {
			out[n-1].End = x.End
			continue
		}
		out = append(out, x)
	}
	return out
}

// structural tells whether text holds a quotation mark that is not escaped, or a bracket of XML.
func structural(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case '<', '>':
			return true
		case '"':
			if i == 0 || s[i-1] != '\\' {
				return true
			}
		}
	}
	return false
}

// backslash reads one escape, which may be escaped itself: \n, \\n, \u000a, \x0a, \/ and \".
func backslash(s string) (c byte, n int) {
	n = len(s) - len(strings.TrimLeft(s, `\`))
	if n == len(s) {
		return '\\', n
	}
	switch s[n] {
	case 'n', 'r', '\n':
		return '\n', n + 1
	case 't':
		return '\t', n + 1
	case '/', '"', '\'':
		return s[n], n + 1
	case 'u':
		if c, ok := code(s, n+1, 4, 16); ok {
			return c, n + 5
		}
	case 'x':
		if c, ok := code(s, n+1, 2, 16); ok {
			return c, n + 3
		}
	}
	return '\\', n
}

// percent reads %0A, and %250A.
func percent(s string) (c byte, n int) {
	n = 1
	for strings.HasPrefix(s[n:], "25") {
		n += 2
	}
	if c, ok := code(s, n, 2, 16); ok {
		return c, n + 2
	}
	if n > 1 {
		return '%', n
	}
	return 0, 0
}

// entity reads &#10;, &#xA;, &quot; and the like, and those after &amp;.
func entity(s string) (c byte, n int) {
	n = 1
	for strings.HasPrefix(s[n:], "amp;") {
		n += len("amp;")
	}
	end := strings.IndexByte(s[n:min(len(s), n+8)], ';')
	if end > 0 {
		base, digits, ok := 10, "", false
		if digits, ok = strings.CutPrefix(s[n:n+end], "#"); ok {
			if hex, ok := strings.CutPrefix(strings.ToLower(digits), "x"); ok {
				base, digits = 16, hex
			}
			if c, ok := code(digits, 0, len(digits), base); ok {
				return c, n + end + 1
			}
		}
		switch s[n : n+end] {
		case "quot":
			return '"', n + end + 1
		case "apos":
			return '\'', n + end + 1
		case "lt":
			return '<', n + end + 1
		case "gt":
			return '>', n + end + 1
		}
	}
	if n > 1 {
		return '&', n
	}
	return 0, 0
}

// code reads the digits of a character of ASCII.
func code(s string, at, digits, base int) (byte, bool) {
	if at+digits > len(s) || digits == 0 {
		return 0, false
	}
	v, err := strconv.ParseUint(s[at:at+digits], base, 32)
	return byte(v), err == nil && v < 0x80 //nolint:gosec // below 0x80
}
