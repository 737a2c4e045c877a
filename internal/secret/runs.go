package secret

import "strings"

// run is a range of bytes of a text.
type run struct{ start, end int }

// of returns the text of the run.
func (r run) of(s string) string { return s[r.start:r.end] }

// letter tells whether a byte can be one of base64, in either alphabet, without the padding.
func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_'
}

// nextRun returns the next run of letters, with the padding behind it, at or after from; empty at the end.
func nextRun(s string, from int) run {
	i := from
	for i < len(s) && !letter(s[i]) {
		i++
	}
	j := i
	for j < len(s) && letter(s[j]) {
		j++
	}
	for k := 0; k < 2 && j > i && j < len(s) && s[j] == '='; k++ {
		j++
	}
	return run{i, j}
}

// runs lists the runs of letters between two places.
func runs(s string, from, to int) []run {
	var out []run
	for r := nextRun(s[:to], from); r.start < r.end; r = nextRun(s[:to], r.end) {
		out = append(out, r)
	}
	return out
}

// longRuns calls f with each run of at least n letters until f says false. It looks at every nth byte first.
func longRuns(s string, n int, f func(run) bool) {
	for i := n - 1; i < len(s); {
		if !letter(s[i]) {
			i += n
			continue
		}
		start, end := i, i
		for start > 0 && letter(s[start-1]) {
			start--
		}
		for end < len(s) && letter(s[end]) {
			end++
		}
		if end-start >= n && !f(run{start, end}) {
			return
		}
		i = end + n
	}
}

// A line of a key after the first one has so many letters; what is shorter is a word of the text around it.
const shortLine = 12

// follow returns the runs that go on with a value of base64 from its first run: as many letters as are wanted, or as long
// as there is more like it if that is not known (0).
func follow(s string, first run, letters int) []run {
	var out []run
	for r := first; ; {
		if n := len(strings.TrimRight(r.of(s), "=")); letters > 0 && n >= letters {
			r.end = r.start + letters
			for r.end < len(s) && s[r.end] == '=' {
				r.end++
			}
			return append(out, r)
		} else if letters > 0 {
			letters -= n
		}
		out = append(out, r)
		next := nextRun(s, r.end)
		if next.start == next.end || s[r.end-1] == '=' || !goesOn(s[r.end:next.start], next.of(s), letters) {
			return out
		}
		r = next
	}
}

// goesOn tells whether a run behind a gap can be the next line of a value, of which so many letters are missing.
func goesOn(between, line string, letters int) bool {
	marks, ok := gap(between)
	switch {
	case !ok:
		return false
	case letters > 0 && len(strings.TrimRight(line, "=")) == letters: // the last line
		return true
	case len(line) < shortLine:
		return false
	case len(line) >= longText:
		return true
	}
	return mixed(line) && (marks == 0 || strings.ContainsAny(line, "0123456789"))
}

// mixed tells whether a run has small and capital letters.
func mixed(r string) bool {
	small, capital := false, false
	for i := range len(r) {
		small = small || r[i] >= 'a' && r[i] <= 'z'
		capital = capital || r[i] >= 'A' && r[i] <= 'Z'
		if small && capital {
			return true
		}
	}
	return false
}

// gap tells whether what lies between two runs may lie between two lines of one value: a line break and indentation, and
// what lists and string constants put around lines, which are counted.
func gap(s string) (marks int, ok bool) {
	const longest, most = 120, 16
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c == '-': // control characters lie between the strings of a marshaled message
		case strings.IndexByte(`"',\.|>*#;()[]`, c) >= 0:
			marks++
		default:
			return 0, false
		}
	}
	return marks, marks <= most && len(s) <= longest
}
