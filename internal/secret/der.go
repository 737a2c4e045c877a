package secret

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// head is how many bytes of DER it takes to tell a private key from all else, and headLetters how many letters of base64.
const head, headLetters = 18, 24

// privateDER tells whether bytes begin like a private key in DER, and how long all of it is: PKCS#8, with or without a
// password, PKCS#1, SEC 1, DSA or PKCS#12. Certificates, requests and public keys have no version 0 or 1 in the first place.
func privateDER(b string) (size int, ok bool) {
	body, size, ok := sequence(b)
	if !ok {
		return 0, false
	}
	if inner, _, ok := sequence(body); ok { // EncryptedPrivateKeyInfo: how it is encrypted comes first
		for _, oid := range [...]string{"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05", "\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c", "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c"} {
			if strings.HasPrefix(inner, oid) {
				return size, true
			}
		}
		return 0, false
	}
	if len(body) < 6 || body[0] != 2 || body[1] != 1 {
		return 0, false
	}
	return size, keyAfterVersion(body[2], body[3:], size)
}

// keyAfterVersion says whether what follows the version of a sequence of the given size is the rest of a private key.
func keyAfterVersion(version byte, rest string, size int) bool {
	switch {
	case version <= 1 && rest[0] == 0x30: // PKCS#8: an algorithm
		inner, _, ok := sequence(rest)
		return ok && len(inner) > 1 && inner[0] == 6 && inner[1] >= 3 && inner[1] <= 11
	case version <= 1 && rest[0] == 2: // PKCS#1 and DSA: a large number
		return rest[1] == 0x81 || rest[1] == 0x82
	case version == 1 && rest[0] == 4: // SEC 1: the number itself
		return rest[1] >= 20 && rest[1] <= 66 && size >= 7+int(rest[1])
	case version == 3 && rest[0] == 0x30: // PKCS#12: contents
		inner, _, ok := sequence(rest)
		return ok && strings.HasPrefix(inner, "\x06\x09\x2a\x86\x48")
	}
	return false
}

// sequence reads the head of a SEQUENCE: what follows it, and the length of head and contents.
func sequence(b string) (body string, size int, ok bool) {
	if len(b) < 2 || b[0] != 0x30 {
		return "", 0, false
	}
	if b[1] < 0x80 {
		return b[2:], 2 + int(b[1]), true
	}
	n := int(b[1] & 0x7f)
	if n == 0 || n > 3 || len(b) < 2+n {
		return "", 0, false
	}
	for i := range n {
		size = size<<8 | int(b[2+i])
	}
	return b[2+n:], 2 + n + size, true
}

// rawKey tells whether DER, or a key of OpenSSH, lies in bytes as it is.
func rawKey(b string) bool {
	const longestHead = 10 // of what precedes the marks below
	for _, mark := range [...]string{
		"\x02\x01\x00\x30", "\x02\x01\x01\x30", "\x02\x01\x03\x30", "\x02\x01\x00\x02", "\x02\x01\x01\x04",
		"\x2a\x86\x48\x86\xf7\x0d\x01\x05", "\x2a\x86\x48\x86\xf7\x0d\x01\x0c",
	} {
		for from := 0; ; {
			i := strings.Index(b[from:], mark)
			if i < 0 {
				break
			}
			i += from
			for back := 2; back <= min(longestHead, i); back++ {
				if _, ok := privateDER(b[i-back:]); ok {
					return true
				}
			}
			from = i + 1
		}
	}
	return strings.Contains(b, "openssh-key-v1\x00")
}

// privateBase64 looks for a key in DER in a run of base64: where it begins, and how many letters it has.
func privateBase64(run string) (at, letters int, ok bool) {
	for {
		i := strings.IndexByte(run[at:], 'M') // a SEQUENCE
		if i < 0 || at+i+headLetters > len(run) {
			return 0, 0, false
		}
		at += i
		if c := run[at+1]; c >= 'A' && c <= 'P' {
			var b [head]byte
			if n := decode(b[:], run[at:at+headLetters]); n == head {
				if size, ok := privateDER(string(b[:])); ok {
					return at, (size*4 + 2) / 3, true
				}
			}
		}
		at++
	}
}

// privateHex tells whether there is DER in hex in a run.
func privateHex(run string) bool {
	for {
		i := strings.Index(run, "30") // a SEQUENCE
		if i < 0 || i+2*head > len(run) {
			return false
		}
		run = run[i:]
		if b, err := hex.DecodeString(run[:2*head]); err == nil {
			if _, ok := privateDER(string(b)); ok {
				return true
			}
		}
		run = run[1:]
	}
}

// decode reads base64 of either alphabet, padded or not, up to where it stops being base64. It returns how many bytes
// there are; dst is long enough for all.
func decode(dst []byte, src string) int {
	src = strings.TrimRight(src, "=")
	if len(src)%4 == 1 {
		src = src[:len(src)-1]
	}
	var buf [4096]byte
	n := 0
	for len(src) > 0 {
		part := copy(buf[:], src)
		src = src[part:]
		for i, c := range buf[:part] {
			switch c {
			case '-':
				buf[i] = '+'
			case '_':
				buf[i] = '/'
			}
		}
		m, err := base64.RawStdEncoding.Decode(dst[n:], buf[:part])
		if n += m; err != nil {
			return n
		}
	}
	return n
}
