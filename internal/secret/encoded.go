package secret

import "strings"

// longText is how many letters of base64 it takes to look what is inside.
const longText = 40

// encodedKeys returns keys in DER that stand in base64 or hex without markers, and base64 of text that holds a key.
func encodedKeys(s string, depth int) [][]run {
	var out [][]run
	done := 0
	longRuns(s, headLetters, func(r run) bool {
		if r.start < done {
			return true
		}
		var key []run
		if at, letters, ok := privateBase64(r.of(s)); ok {
			key = follow(s, run{r.start + at, r.end}, letters)
		} else if privateHex(r.of(s)) || strings.Contains(r.of(s), openSSH) {
			key = follow(s, r, 0)
		} else if depth < deepest && worthDecoding(r.of(s)) {
			text := follow(s, r, 0)
			done = text[len(text)-1].end
			if textHolds(s, text, depth) {
				key = text
			}
		}
		if len(key) > 0 {
			out = append(out, key)
			done = key[len(key)-1].end
		}
		return true
	})
	return out
}

// openSSH is how every key of OpenSSH begins: openssh-key-v1 in base64.
const openSSH = "b3BlbnNzaC1rZXktdj"

// textHolds tells whether the base64 in the runs is a text with a key. The letters before it may not belong to it, so
// each of the four ways to align it is tried.
func textHolds(s string, text []run, depth int) bool {
	var joined strings.Builder
	for _, r := range text {
		joined.WriteString(strings.TrimRight(r.of(s), "="))
	}
	all := joined.String()
	out := make([]byte, len(all))
	for skip := range 4 {
		if !printable(all, skip) {
			continue
		}
		n := decode(out, all[skip:])
		for _, x := range find(string(out[:n]), depth+1) {
			if x.Kind == Key {
				return true
			}
		}
	}
	return false
}

// worthDecoding tells whether a run may be base64 of text: it is long, and no digest in hex or name in small letters.
func worthDecoding(r string) bool {
	if len(r) < longText || !mixed(r) {
		return false
	}
	for skip := range 4 {
		if printable(r, skip) {
			return true
		}
	}
	return false
}

// printable tells whether base64, read from an offset, is text, by its middle.
func printable(r string, skip int) bool {
	const sample = 64
	from := 0
	if len(r) > 2*sample {
		from = (len(r)/2 - sample/2) / 4 * 4
	}
	r = r[from:]
	r = r[min(skip, len(r)):min(skip+sample, len(r))]
	var b [sample]byte
	n, text := decode(b[:], r), 0
	for _, c := range b[:n] {
		if c >= ' ' && c < 0x7f || c == '\n' || c == '\r' || c == '\t' {
			text++
		}
	}
	return n > 16 && text*10 >= n*9
}

// Opaque tells whether a line has a run of base64 that is too long to say something to people, whatever it is. Digests in
// hex are none.
func Opaque(line string) bool {
	const long = 64
	found := false
	longRuns(line, long, func(r run) bool {
		found = mixed(r.of(line)) && strings.ContainsAny(r.of(line), "0123456789")
		return !found
	})
	return found
}
