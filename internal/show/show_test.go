package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/secrettest"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain, Grüße, 日本, 👩‍💻":    "plain, Grüße, 日本, 👩‍💻",
		"a\tb\nc":                  "a\tb\nc",
		"\x1b[31m\r\x7f":           `\u001b[31m\u000d\u007f`,
		"a\u202eb\u2066\U000e0041": `a\u202eb\u2066\udb40\udc41`,
		"\xff":                     `\ufffd`,
		"##[error] # ## ##vso[x":   `#\u0023[error] # ## #\u0023vso[x`,
	} {
		if got := Visible(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestWriterKeepsJSON: what is escaped in a string of JSON means the same as before.
func TestWriterKeepsJSON(t *testing.T) {
	in := []string{"a\u202eb", "\u009b", "##[x]", "::x", "back\\slash\u200b", "\U000e0041"}
	text, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := NewWriter(&b)
	fmt.Fprintf(w, "%s", text)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var out []string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || strings.Join(in, "|") != strings.Join(out, "|") {
		t.Errorf("%v: %q became %q", err, in, out)
	}
	if Visible(b.String()) != b.String() {
		t.Errorf("left as it was: %q", b.String())
	}
}

// TestWriterHidesSecretsInPieces: however the output is cut into writes, and over lines, no key comes out, and what is
// before and behind it does.
func TestWriterHidesSecretsInPieces(t *testing.T) {
	for _, k := range secrettest.Keys() {
		for _, s := range k.Spellings() {
			for _, size := range []int{1, 7, 64, 100000} {
				text := "before\npanic: " + s.Text + "\nis not valid\nafter\n::error::x\n"
				var b bytes.Buffer
				w := NewWriter(&b)
				for len(text) > 0 {
					n := min(size, len(text))
					if m, err := w.Write([]byte(text[:n])); m != n || err != nil {
						t.Fatal(m, err)
					}
					text = text[n:]
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				if leak := secrettest.Leaked(b.String(), s.Body, 16); leak != "" {
					t.Errorf("%s as %s, %d bytes at a time: %q came out:\n%.800s", k.Name, s.Name, size, leak, b.String())
				}
				if !strings.HasPrefix(b.String(), "before\n") || !strings.HasSuffix(b.String(), "\nis not valid\nafter\n\\u003a:error::x\n") {
					t.Errorf("%s as %s, %d bytes at a time: %.800q", k.Name, s.Name, size, b.String())
				}
			}
		}
	}
}

// TestWriterPassesLinesAtOnce: whoever follows a log waits for no second line.
func TestWriterPassesLinesAtOnce(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, line := range []string{"xds 127.0.0.1:18000\n", "level=INFO msg=serving bundle=sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\n"} {
		b.Reset()
		if fmt.Fprint(w, line); b.String() != line {
			t.Errorf("%q instead of %q", b.String(), line)
		}
	}
}

func TestCount(t *testing.T) {
	for want, got := range map[string]string{"1 proxy": Count(1, "proxy"), "0 proxies": Count(0, "proxy"), "1 cause": Count(1, "cause"), "12 causes": Count(12, "cause")} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
