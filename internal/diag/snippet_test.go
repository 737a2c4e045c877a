package diag

import (
	"strings"
	"testing"
)

func TestLinesWithKeysAreNotShown(t *testing.T) {
	const text = `kind: Secret
data:
  password: cGFzcw==
---
spec:
  a: 1
  jwks: '{"keys":[{"kty":"EC","d":"c2VjcmV0c2VjcmV0"}]}'
  key: "-----BEGIN PRIVATE KEY-----"
  MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMIGHAgEAMBMGByqGSM49
  d: 5s
  privateKey: /etc/certs/key.pem
---
{"a": 1, "kind": "Secret"}
---
a:
  b: c
  kind: "Secret"
`
	lines, got := strings.Split(text, "\n"), shownLines(text)
	shown := map[int]bool{5: true, 6: true, 10: true, 11: true}
	for i := range lines {
		if line := lines[i]; line != "" && line != "---" && (got[i] == line) != shown[i+1] {
			t.Errorf("line %d: %q became %q", i+1, line, got[i])
		}
	}
}
