package secret_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/secret"
	"github.com/meshc/meshc/internal/secrettest"
	"github.com/meshc/meshc/internal/watchdog"
)

func spellings() []secrettest.Spelling {
	out := secrettest.JWKs()
	for _, k := range secrettest.Keys() {
		for _, s := range k.Spellings() {
			s.Name = k.Name + " " + s.Name
			out = append(out, s)
		}
	}
	return out
}

// TestKeysAreFound: no spelling of a key survives in a sentence, in JSON, in XML or cut short.
func TestKeysAreFound(t *testing.T) {
	for _, s := range spellings() {
		quoted, err := json.Marshal([]string{"before", s.Text, "after"})
		if err != nil {
			t.Fatal(err)
		}
		var escaped strings.Builder
		if err := xml.EscapeText(&escaped, []byte(s.Text)); err != nil {
			t.Fatal(err)
		}
		for form, text := range map[string]string{
			"as it is": s.Text, "in words": "the host " + s.Text + " is none", "twice": s.Text + "\" \"" + s.Text + "\nafter",
			"quoted": fmt.Sprintf("name %q is not valid", s.Text),
			"JSON":   string(quoted), "XML": "<a b=\"" + escaped.String() + "\">x</a>", "cut": fmt.Sprintf("name %.200q: the rest", s.Text),
			"in a message": "\x0a\x20key\x12\x41" + s.Text + "\x1a\x05after",
		} {
			got := secret.Redact(text)
			if leak := secrettest.Leaked(got, s.Body, 16); leak != "" {
				t.Errorf("%s, %s: %q came out:\n%.600q", s.Name, form, leak, got)
			}
			if key, _ := secret.Has([]byte(text)); !key {
				t.Errorf("%s, %s: not found", s.Name, form)
			}
			if strings.Contains(text, "after") && !strings.Contains(got, "after") || strings.Contains(text, "is none") && !strings.Contains(got, "is none") ||
				strings.Contains(text, "is not valid") && !strings.HasSuffix(got, `" is not valid`) {
				t.Errorf("%s, %s: too much is hidden:\n%.600q", s.Name, form, got)
			}
			if form == "JSON" {
				var back []string
				if err := json.Unmarshal([]byte(got), &back); err != nil || len(back) != 3 {
					t.Errorf("%s: no longer JSON: %v\n%s", s.Name, err, got)
				}
			}
		}
	}
}

// TestCredentialsAreFound: what stands behind Bearer and Basic, and signed tokens, are hidden and are no keys.
func TestCredentialsAreFound(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIn0.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"
	for text, want := range map[string]string{
		`"Basic YWRtaW46aHVudGVyMi1odW50ZXIyLWg="`:          `"Basic (credential)"`,
		"Authorization: Bearer " + jwt:                      "Authorization: Bearer (credential)",
		"token " + jwt + " is old":                          "token (credential) is old",
		`{"authorization":"bearer 0123456789abcdef01"}`:     `{"authorization":"bearer (credential)"}`,
		"authorization=Basic YWRtaW46aHVudGVyMi1odW50ZXIy!": "authorization=Basic (credential)!",
		"authorization: Bearer%20" + jwt:                    "authorization: Bearer%20(credential)",
	} {
		if got := secret.Redact(text); got != want {
			t.Errorf("%s\nbecame %s", text, got)
		}
		if key, credential := secret.Has([]byte(text)); key || !credential {
			t.Errorf("%s: key %t, credential %t", text, key, credential)
		}
	}
}

// TestTheRestIsShown: what is public, and what only looks odd, is left as it is.
func TestTheRestIsShown(t *testing.T) {
	for name, text := range secrettest.Innocent() {
		if got := secret.Redact(text); got != text {
			t.Errorf("%s:\n%.400q\nbecame\n%.400q", name, text, got)
		}
		if key, credential := secret.Has([]byte(text)); key || credential {
			t.Errorf("%s: key %t, credential %t", name, key, credential)
		}
	}
}

// FuzzRedact: no text is too odd, what is redacted stays so, and JSON stays JSON.
func FuzzRedact(f *testing.F) {
	for _, s := range spellings() {
		f.Add(s.Text)
	}
	for _, s := range secrettest.Innocent() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		defer watchdog.Watch(t)()
		once := secret.Redact(s)
		if twice := secret.Redact(once); len(secret.Find(s)) == 0 && once != s || len(twice) > len(once)+64 {
			t.Errorf("%q became %q, then %q", s, once, twice)
		}
		last := 0
		for _, x := range secret.Find(s) {
			if x.Start < last || x.End <= x.Start || x.End > len(s) {
				t.Fatalf("%q: span %+v after %d", s, x, last)
			}
			last = x.End
		}
		quoted, err := json.Marshal(map[string]string{"a": s, s: "b"})
		if err == nil && !json.Valid([]byte(secret.Redact(string(quoted)))) {
			t.Errorf("%s is no longer JSON: %s", quoted, secret.Redact(string(quoted)))
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	text := strings.Repeat(`"name": "outbound|9080|v1|reviews.bookinfo.svc.cluster.local", "digest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"`+"\n", 1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if secret.Redact(text) != text {
			b.Fatal("changed")
		}
	}
}
