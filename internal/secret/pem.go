package secret

import (
	"regexp"
	"strings"
)

// The markers of PEM, of PGP and of SSH, also where spaces became plus signs or went away, and what stands between a
// marker and the body: Proc-Type, DEK-Info, Comment.
var (
	beginMark = regexp.MustCompile(`-{4,5} ?BEGIN[A-Z0-9\s+_]{0,40}PRIVATE[\s+_]*KEY[A-Z\s+_]{0,12}-{4,5}|Private-Lines:\s*[0-9]+`)
	endMark   = regexp.MustCompile(`-{4,5} ?END[A-Z0-9\s+_]{0,40}PRIVATE[\s+_]*KEY[A-Z\s+_]{0,12}-{4,5}`)
	keyHeader = regexp.MustCompile(`^\s*(?:[A-Za-z][A-Za-z-]*: ?[^\n]*\n\s*)+`)
)

// longestPEM bounds how far the end of a block may be from its beginning.
const longestPEM = 64 << 10

// pemKeys returns the blocks of PEM with a body, each as the runs of its markers and lines. Either marker may be cut off.
func pemKeys(s string) [][]run {
	if !strings.Contains(s, "PRIVATE") && !strings.Contains(s, "Private-Lines") {
		return nil
	}
	var out [][]run
	begins, ends := marks(beginMark, s), marks(endMark, s)
	for i, m := range begins {
		for len(ends) > 0 && ends[0].start < m.end {
			out = append(out, before(s, ends[0]))
			ends = ends[1:]
		}
		limit := min(len(s), m.end+longestPEM)
		if i+1 < len(begins) {
			limit = min(limit, begins[i+1].start)
		}
		if len(ends) > 0 && ends[0].end <= limit {
			if isBody(s[m.end:ends[0].start]) {
				out = append(out, append(append([]run{m}, runs(s, m.end, ends[0].start)...), ends[0]))
			}
			ends = ends[1:]
			continue
		}
		out = append(out, after(s[:limit], m))
	}
	for _, e := range ends {
		out = append(out, before(s, e))
	}
	return out
}

func marks(form *regexp.Regexp, s string) []run {
	var out []run
	for _, m := range form.FindAllStringIndex(s, -1) {
		out = append(out, run{m[0], m[1]})
	}
	return out
}

// keyLine tells whether a run can be the first line of a key rather than a word of a text that mentions keys.
func keyLine(r string) bool {
	return len(r) >= shortLine || len(r) > 1 && r[0] == 'M' && r[1] >= 'A' && r[1] <= 'P' || strings.HasPrefix(r, "b3Bl")
}

// isBody tells whether what stands between two markers is a body, and not a word between two mentions.
func isBody(s string) bool {
	s = s[len(keyHeader.FindString(s)):]
	plain := strings.Trim(s, " \t")
	lines := len(plain) > 2 && plain[0] == '\n' && plain[len(plain)-1] == '\n'
	for _, r := range runs(s, 0, len(s)) {
		if lines || keyLine(r.of(s)) {
			return true
		}
	}
	return false
}

// after returns a marker and the lines behind it, none if it is a mere mention.
func after(s string, mark run) []run {
	from := mark.end + len(keyHeader.FindString(s[mark.end:]))
	first := nextRun(s, from)
	if _, near := gap(s[from:first.start]); !near || !keyLine(first.of(s)) {
		return nil
	}
	_, letters, _ := privateBase64(first.of(s))
	return append([]run{mark}, follow(s, first, letters)...)
}

// before returns the lines before the end of a block, and the end; none if it is a mere mention.
func before(s string, mark run) []run {
	out := []run{mark}
	for at := mark.start; ; {
		end := at
		for end > 0 && !letter(s[end-1]) && s[end-1] != '=' {
			end--
		}
		start := end
		for start > 0 && (letter(s[start-1]) || s[start-1] == '=') {
			start--
		}
		line := s[start:end]
		if _, near := gap(s[end:at]); !near || line == "" || len(out) > 1 && !goesOn(s[end:at], line, 0) {
			break
		}
		out = append([]run{{start, end}}, out...)
		at = start
	}
	if len(out) == 1 || len(out) == 2 && !keyLine(out[0].of(s)) {
		return nil
	}
	return out
}
