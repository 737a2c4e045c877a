package secret

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"strings"
)

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
		} else if depth < deepest && (holdsKey(hexText(r.of(s)), depth) || packedHolds(s, r, depth)) {
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
		if holdsKey(string(out[:n]), depth) {
			return true
		}
	}
	return false
}

// hexText returns the text whose hex a run holds, from its first digit or its second; "" if it holds none.
func hexText(r string) string {
	const long = 2 * longText
	for len(r) >= long {
		end := strings.IndexFunc(r, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", c) })
		if end < 0 {
			end = len(r)
		}
		for skip := range 2 {
			digits := r[min(skip, end):end]
			text, err := hex.DecodeString(digits[:len(digits)/2*2])
			if err == nil && len(text) >= longText && textual(text[:longText]) {
				return string(text)
			}
		}
		r = r[min(end+1, len(r)):]
	}
	return ""
}

// gzipped is how base64 of what gzip has packed begins; what stands before it in a run belongs to something else.
const gzipped = "H4sI"

// mostUnpacked is how much of a packed text is looked at: keys are small.
const mostUnpacked = 1 << 16

// packedHolds tells whether in a run begins the base64 of a text with a key that gzip has packed.
func packedHolds(s string, r run, depth int) bool {
	at := strings.Index(r.of(s), gzipped)
	if at < 0 {
		return false
	}
	r.start += at
	var joined strings.Builder
	for _, x := range follow(s, r, 0) {
		joined.WriteString(strings.TrimRight(x.of(s), "="))
	}
	packed := make([]byte, joined.Len())
	z, err := gzip.NewReader(bytes.NewReader(packed[:decode(packed, joined.String())]))
	if err != nil {
		return false
	}
	text, _ := io.ReadAll(io.LimitReader(z, mostUnpacked)) // what comes before a fault counts
	return holdsKey(string(text), depth)
}

// holdsKey tells whether there is a key in a text that was encoded.
func holdsKey(text string, depth int) bool {
	for _, x := range find(text, depth+1) {
		if x.Kind == Key {
			return true
		}
	}
	return false
}

// textual tells whether bytes are text.
func textual(b []byte) bool {
	text := 0
	for _, c := range b {
		if c >= ' ' && c < 0x7f || c == '\n' || c == '\r' || c == '\t' {
			text++
		}
	}
	return text*10 >= len(b)*9
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
	n := decode(b[:], r)
	return n > 16 && textual(b[:n])
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
