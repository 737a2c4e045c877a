package pieces

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
)

// thinIndex leaves out of each line of index.json that describes a resource its digest, which follows from its type, name
// and bytes, and its offset, which follows from the lengths before it. It is nil where a line is not as expected.
func thinIndex(index []byte) []byte {
	out := make([]byte, 0, len(index))
	for line := range bytes.Lines(index) {
		l := scanner{rest: line}
		start, ok := l.resource()
		if !ok {
			out = append(out, line...)
			continue
		}
		if !l.literal(`"digest":"`) || len(l.rest) < 64 {
			return nil
		}
		l.rest = l.rest[64:]
		if _, ok := l.number(`","offset":`); !ok || !l.literal(",") {
			return nil
		}
		out = append(append(out, start...), l.rest...)
	}
	return out
}

// fullIndex adds what thinIndex leaves out.
func fullIndex(thin, resources []byte) ([]byte, error) {
	types := bundle.Types()
	out := make([]byte, 0, 2*len(thin))
	offset := 0
	for line := range bytes.Lines(thin) {
		l := scanner{rest: line}
		start, ok := l.resource()
		if !ok {
			out = append(out, line...)
			continue
		}
		tail := l.rest
		length, ok := l.number(`"length":`)
		if !ok || l.kind >= len(types) || length > len(resources)-offset {
			return nil, errors.New("a line of it describes a resource that is not there")
		}
		d := bundle.ResourceDigest(types[l.kind], l.name, resources[offset:offset+length])
		out = append(out, start...)
		out = append(append(append(out, `"digest":"`...), d.Hex()...), `","offset":`...)
		out = append(strconv.AppendInt(out, int64(offset), 10), ',')
		if out = append(out, tail...); len(out) > limit.BundleBytes {
			return nil, errors.New("it is too large")
		}
		offset += length
	}
	return out, nil
}

// scanner reads a line that describes a resource.
type scanner struct {
	rest []byte
	kind int
	name string
}

// resource reads the type and the name, up to the comma behind it, and returns what it read.
func (s *scanner) resource() (start []byte, ok bool) {
	line := s.rest
	if s.kind, ok = s.number(`{"type":`); !ok || !s.literal(`,"name":`) {
		return nil, false
	}
	end := stringEnd(s.rest)
	if end < 0 || json.Unmarshal(s.rest[:end], &s.name) != nil {
		return nil, false
	}
	if s.rest = s.rest[end:]; !s.literal(",") {
		return nil, false
	}
	return line[:len(line)-len(s.rest)], true
}

func (s *scanner) literal(want string) bool {
	rest, ok := bytes.CutPrefix(s.rest, []byte(want))
	if ok {
		s.rest = rest
	}
	return ok
}

// number reads a number of a few digits behind a literal.
func (s *scanner) number(behind string) (n int, ok bool) {
	if !s.literal(behind) {
		return 0, false
	}
	digits := 0
	for digits < len(s.rest) && digits < 10 && '0' <= s.rest[digits] && s.rest[digits] <= '9' {
		n = 10*n + int(s.rest[digits]-'0')
		digits++
	}
	s.rest = s.rest[digits:]
	return n, digits > 0
}

// stringEnd is where a JSON string at the beginning of a text ends.
func stringEnd(text []byte) int {
	if len(text) == 0 || text[0] != '"' {
		return -1
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// mark stands around the number of a digest. JSON has no such byte.
const mark = 0x01

const digestPrefix = "sha256:"

// numberDigests puts numbers in the place of digests that a text has more than once, by their first places, and a table of
// them at its beginning: a set that many classes name has another digest when one resource of it changes. It is nil where
// the text has bytes that no JSON has.
func numberDigests(text []byte) []byte {
	if bytes.IndexByte(text, mark) >= 0 {
		return nil
	}
	count := map[string]int{}
	eachDigest(text, func(_ []byte, digest string) { count[digest]++ })
	number := map[string]int{}
	var table []string
	var body []byte
	rest := eachDigest(text, func(before []byte, digest string) {
		body = append(body, before...)
		if count[digest] < 2 {
			body = append(append(body, digestPrefix...), digest...)
			return
		}
		n, ok := number[digest]
		if !ok {
			n = len(table)
			number[digest], table = n, append(table, digest)
		}
		body = append(strconv.AppendInt(append(body, mark), int64(n), 10), mark)
	})
	out := strconv.AppendInt(nil, int64(len(table)), 10)
	for _, d := range table {
		out = append(append(out, '\n'), d...)
	}
	return slices.Concat(out, []byte("\n"), body, rest)
}

// eachDigest calls f with each digest in a text and what is between it and the one before, and returns what is behind the
// last.
func eachDigest(text []byte, f func(before []byte, digest string)) []byte {
	begin, at := 0, 0
	for {
		i := bytes.Index(text[at:], []byte(digestPrefix))
		if i < 0 {
			return text[begin:]
		}
		start := at + i
		at = start + len(digestPrefix)
		if len(text)-at < 64 || !lowerHex(text[at:at+64]) {
			continue
		}
		f(text[begin:start], string(text[at:at+64]))
		at += 64
		begin = at
	}
}

func lowerHex(s []byte) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// namedDigests puts the digests back.
func namedDigests(thin []byte) ([]byte, error) {
	line, rest, _ := bytes.Cut(thin, []byte("\n"))
	n, err := strconv.Atoi(string(line))
	if err != nil || n < 0 || n > len(thin)/64 {
		return nil, errors.New("it does not begin with a number of digests")
	}
	table := make([][]byte, n)
	for i := range table {
		if table[i], rest, _ = bytes.Cut(rest, []byte("\n")); len(table[i]) != 64 {
			return nil, fmt.Errorf("entry %d of its table is no digest", i)
		}
		if _, err := hex.DecodeString(string(table[i])); err != nil {
			return nil, fmt.Errorf("entry %d of its table is no digest", i)
		}
	}
	var out []byte
	for {
		before, behind, found := bytes.Cut(rest, []byte{mark})
		out = append(out, before...)
		if !found {
			return out, nil
		}
		number, next, closed := bytes.Cut(behind, []byte{mark})
		i, err := strconv.Atoi(string(number))
		if !closed || err != nil || i < 0 || i >= len(table) {
			return nil, errors.New("it names a digest that its table does not have")
		}
		if out = append(append(out, digestPrefix...), table[i]...); len(out) > limit.BundleBytes {
			return nil, errors.New("it is too large")
		}
		rest = next
	}
}
