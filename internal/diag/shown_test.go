package diag

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/meshc/meshc/internal/secrettest"
)

// everywhere is a finding that has the text in all of its strings.
func everywhere(text string) List {
	ref := Ref{Kind: text, Namespace: text, Name: text}
	return List{{Code: text, Severity: Error, Pos: Pos{File: text, Line: 1, Column: 2}, Object: ref, Field: "spec." + text, Message: "host " + text + " is none", Help: text,
		Related: []Related{{Pos: Pos{File: text, Line: 2}, Object: ref, Message: text}}},
		{Code: "MESHC1002", Severity: Warning, Message: text}}
}

// TestNoFormatShowsSecrets: no string of a finding gets a key or a token out, in any format and however it is spelled.
func TestNoFormatShowsSecrets(t *testing.T) {
	spellings := append(secrettest.JWKs(), secrettest.Tokens()...)
	for _, k := range secrettest.Keys() {
		spellings = append(spellings, k.Spellings()...)
	}
	for _, s := range spellings {
		for _, f := range Formats() {
			var b bytes.Buffer
			if err := Print(&b, f, everywhere(s.Text), Options{}); err != nil {
				t.Fatal(err)
			}
			if leak := secrettest.Leaked(b.String(), s.Body, 16); leak != "" {
				t.Errorf("%s shows %q of a key written as %s:\n%.800s", f, leak, s.Name, b.String())
			}
		}
	}
}

// TestPartsOfSecretsAreNotShown: a piece of a key that stands in a file of the findings is known again.
func TestPartsOfSecretsAreNotShown(t *testing.T) {
	for _, k := range secrettest.Keys() {
		lines := strings.Split(strings.TrimSpace(k.PEM), "\n")
		body := strings.Join(lines[1:len(lines)-1], "")
		file := "kind: Service\nhosts:\n- \"" + strings.Join(lines, "\"\n- \"") + "\"\nother: shown\n"
		o := Options{Source: func(name string) (string, bool) { return file, name == "a.yaml" }}
		for from := 0; from+20 < len(body); from += 7 {
			part := body[from:min(len(body), from+50)]
			l := List{{Code: "MESHC1008", Severity: Error, Pos: Pos{File: "a.yaml", Line: from/7%(len(lines)+3) + 1}, Message: "host \"" + strings.ToLower(part) + "\" in namespace " + part}}
			for _, f := range Formats() {
				var b bytes.Buffer
				if err := Print(&b, f, l, o); err != nil {
					t.Fatal(err)
				}
				if leak := secrettest.Leaked(b.String(), body, 16); leak != "" {
					t.Fatalf("%s, %s: %q came out:\n%s", k.Name, f, leak, b.String())
				}
			}
		}
		var b bytes.Buffer
		if err := Print(&b, "text", List{{Pos: Pos{File: "a.yaml", Line: len(lines) + 3}, Message: "an ordinary message"}}, o); err != nil || !strings.Contains(b.String(), "other: shown") {
			t.Errorf("the line after a key is hidden: %v\n%s", err, b.String())
		}
	}
}

// TestNoFormatPassesControls: what is in the input cannot steer a terminal, a CI system or the reader of a format.
func TestNoFormatPassesControls(t *testing.T) {
	hostile := []string{
		"::error::x", "a\n::error file=b::x", "a\r::add-mask::x", "  ::stop-commands::x", "##[add-mask]x", "##vso[task.setvariable variable=a]b", "##teamcity[message text='x']",
		"\x1b[31mred\x1b[0m", "\x1b]8;;https://example.com\x07link", "a\x00b\x08\x0b\x7f", "\u009b31m", "user\u202e\u2066txt.exe\u2069", "zero\u200bwidth\ufeff", "line\u2028break\u2029",
		"tag\U000e0041", "bad \xff\xfe utf-8", "\ufffe\uffff", `<a b="c">&amp;]]>`, "%0A::error::x", "a,line=7:b%", "[click](https://example.com)", "\t", "",
	}
	command := regexp.MustCompile(`^(::(error|warning|notice) file=[^:,\n]*,line=[0-9]+(,col=[0-9]+)?,title=[^:,\n]*::[^\n]*|1 error, 1 warning)$`)
	for _, text := range hostile {
		for _, f := range Formats() {
			var b bytes.Buffer
			if err := Print(&b, f, everywhere(text), Options{}); err != nil {
				t.Fatal(err)
			}
			out := b.String()
			for _, r := range out {
				if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar && f != "junit" {
					t.Errorf("%s passes %U of %q on:\n%s", f, r, text, out)
				}
			}
			for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
				if f == "github" && !command.MatchString(line) || f != "github" && strings.HasPrefix(strings.TrimSpace(line), "::") {
					t.Errorf("%s makes of %q the line %q", f, text, line)
				}
			}
			for _, c := range []string{"##[", "##vso[", "##teamcity["} {
				if strings.Contains(out, c) {
					t.Errorf("%s passes %s of %q on:\n%s", f, c, text, out)
				}
			}
			if f == "sarif" && regexp.MustCompile(`"text": .*\]\(`).MatchString(out) {
				t.Errorf("a message has a link:\n%s", out)
			}
			if err := parses(f, b.Bytes()); err != nil {
				t.Errorf("%s of %q: %v\n%s", f, text, err, out)
			}
		}
	}
}

// parses reads the formats that are for programs.
func parses(format string, b []byte) error {
	switch format {
	case "json", "sarif", "gitlab":
		var v any
		return json.Unmarshal(b, &v)
	case "junit":
		for d := xml.NewDecoder(bytes.NewReader(b)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}
