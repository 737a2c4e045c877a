// Package secrettest makes private keys, ways to write them, and the check that nothing of one got out, for the tests of
// all that prints or seals.
package secrettest

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
)

// Key is a throw-away private key.
type Key struct {
	Name string
	PEM  string // several lines
	DER  []byte
}

// Keys returns a key of each form: PKCS#8, PKCS#1, SEC 1, of three algorithms, encrypted, and of OpenSSH.
func Keys() []Key {
	must := func(b []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return b
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(nil, err)
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(nil, err)
	e5, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(nil, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(nil, err)
	noise := make([]byte, 600)
	_, err = rand.Read(noise)
	must(nil, err)
	encrypted := append([]byte{0x30, 0x82, 0x02, 0x67, 0x30, 0x57, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d, 0x30, 0x4a}, noise...)
	out := []Key{}
	for _, k := range []struct {
		name, label string
		der         []byte
	}{
		{"rsa-pkcs8", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(r))},
		{"rsa-pkcs1", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r)},
		{"ec-pkcs8", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(e))},
		{"ec-sec1", "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(e))},
		{"ec521-pkcs8", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(e5))},
		{"ed25519", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed))},
		{"encrypted", "ENCRYPTED PRIVATE KEY", encrypted},
		{"openssh", "OPENSSH PRIVATE KEY", append([]byte("openssh-key-v1\x00\x00\x00\x00\x04none\x00\x00\x00\x04none"), noise[:300]...)},
	} {
		out = append(out, Key{k.name, string(pem.EncodeToMemory(&pem.Block{Type: k.label, Bytes: k.der})), k.der})
	}
	return out
}

// Spelling is a way to write a key.
type Spelling struct {
	Name string
	Text string
	Body string // the letters that must not come out: of the key, or of what it is wrapped in
}

// Spellings returns the ways in which the key gets into a manifest.
func (k Key) Spellings() []Spelling {
	b64 := base64.StdEncoding.EncodeToString
	body := b64(k.DER)
	quoted, err := json.Marshal(k.PEM)
	if err != nil {
		panic(err)
	}
	escaped := strings.Trim(string(quoted), `"`)
	lines := strings.Split(strings.TrimSpace(k.PEM), "\n")
	inner := b64([]byte(k.PEM))
	out := []Spelling{
		{"pem", k.PEM, body},
		{"crlf", strings.ReplaceAll(k.PEM, "\n", "\r\n"), body},
		{"escaped", escaped, body},
		{"escaped twice", strings.ReplaceAll(escaped, `\`, `\\`), body},
		{"folded", strings.Join(lines, " "), body},
		{"joined", strings.Join(lines, ""), body},
		{"indented", strings.Join(lines, "\n        "), body},
		{"without markers", strings.Join(lines[1:len(lines)-1], "\n"), body},
		{"without end", strings.Join(lines[:len(lines)-1], "\n"), body},
		{"in code", `"` + strings.Join(lines, `\n" ..`+"\n  \"") + `"`, body},
		{"base64", inner, inner},
		{"base64 of lines", wrap(inner, 76, "\n"), inner},
		{"base64 after text", b64([]byte("# the key of the gateway\n" + k.PEM)), ""},
		{"base64 twice", b64([]byte(inner)), ""},
		{"hex", hex.EncodeToString([]byte(k.PEM)), ""},
		{"packed", b64(packed(k.PEM)), ""},
		{"url", url.QueryEscape(k.PEM), body},
		{"url path", url.PathEscape(k.PEM), body},
		{"xml", strings.NewReplacer("\n", "&#xA;", "+", "&#43;").Replace(k.PEM), body},
	}
	if k.Name != "openssh" {
		out = append(out, Spelling{"der", body, body},
			Spelling{"der for urls", base64.RawURLEncoding.EncodeToString(k.DER), ""},
			Spelling{"der in hex", hex.EncodeToString(k.DER), hex.EncodeToString(k.DER)})
	}
	for i := range out {
		if out[i].Body == "" {
			out[i].Body = out[i].Text
		}
	}
	return out
}

// packed is what gzip makes of a text.
func packed(s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func wrap(s string, n int, with string) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(s[:n] + with)
		s = s[n:]
	}
	return b.String() + s
}

// JWKs returns JSON Web Keys with private members.
func JWKs() []Spelling {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		panic(err)
	}
	d := base64.RawURLEncoding.EncodeToString(secret)
	ec := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"%s"}]}`, d)
	return []Spelling{
		{"jwk", ec, d},
		{"jwk escaped", strings.ReplaceAll(ec, `"`, `\"`), d},
		{"jwk over lines", strings.NewReplacer(",", ",\n  ", ":", ": ").Replace(ec), d},
		{"shared jwk", fmt.Sprintf(`{"keys":[{"k":"%s","kty":"oct"}]}`, d), d},
		{"base64 of jwk", base64.StdEncoding.EncodeToString([]byte(ec)), base64.StdEncoding.EncodeToString([]byte(ec))},
	}
}

// Leaked returns the first run of so many letters of the body that is in the text, also where the text has upper and lower
// case changed or breaks it over lines; "" if there is none.
func Leaked(text, body string, letters int) string {
	plain := func(s string) string {
		return strings.ToLower(strings.Map(func(r rune) rune {
			if r == '\n' || r == '\r' || r == ' ' {
				return -1
			}
			return r
		}, s))
	}
	text, body = plain(text), plain(body)
	for i := 0; i+letters <= len(body); i++ {
		if strings.Contains(text, body[i:i+letters]) {
			return body[i : i+letters]
		}
	}
	return ""
}

// Tokens returns headers with credentials.
func Tokens() []Spelling {
	secret := make([]byte, 48)
	if _, err := rand.Read(secret); err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64([]byte(`{"iss":"https://id.example.com","sub":"a"}`)) + "." + b64(secret)
	password := base64.StdEncoding.EncodeToString([]byte("admin:" + b64(secret)))
	return []Spelling{
		{"signed token", signed, signed},
		{"bearer header", "Bearer " + signed, signed},
		{"bearer token", "authorization: bearer " + b64(secret), b64(secret)},
		{"password", "Basic " + password, password},
	}
}

// Base64 is a text as a field of bytes is written.
func Base64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
