package secret

import "strings"

// suspect tells whether a text can hold a secret at all.
func suspect(s string) bool {
	for _, w := range [...]string{"PRIVATE", "kty", "Private-Lines", "AGE-SECRET", "eyJ", "Bearer", "bearer", "BEARER", "Basic", "basic", "BASIC"} {
		if strings.Contains(s, w) {
			return true
		}
	}
	found := false
	longRuns(s, headLetters, func(r run) bool {
		x := r.of(s)
		if _, _, found = privateBase64(x); !found {
			found = privateHex(x) || strings.Contains(x, openSSH) || worthDecoding(x) || strings.Contains(x, gzipped) || hexText(x) != ""
		}
		return !found
	})
	return found
}
