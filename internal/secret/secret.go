// Package secret recognises key material and credentials in text, however they are spelled, so that one place decides what
// may not be shown and what a bundle may not hold.
//
// A private key is found by what it is, not by what its field is called: the markers of PEM with a body behind them; the
// structure of DER in base64 or hex, which no certificate, public key or digest has; the private members of a JSON Web Key;
// and any of these once more in base64, as Kubernetes writes Secrets. The text may be an excerpt, folded to one line, or
// escaped for JSON, XML, URLs or Go: it is unescaped first, and what is found is told as places in the text as given.
// A credential is a bearer token, a password of the Basic scheme or a signed JSON Web Token.
//
// Most text is none of this. A scan for the few words and for the long runs of letters that all of it begins with, one
// pass without allocation, decides whether to look closer.
package secret

import (
	"slices"
	"strings"
)

// Kind tells secrets apart.
type Kind int

// Kinds of secrets. A key never belongs into a bundle; a credential may have to be in one, as a header that a route sets.
const (
	Key Kind = iota
	Credential
)

// String is what stands in the place of a secret that is not shown.
func (k Kind) String() string {
	if k == Key {
		return "(private key)"
	}
	return "(credential)"
}

// Span is a part of a text, in bytes.
type Span struct {
	Start, End int
	Kind       Kind
}

// deepest bounds how often base64 is looked for inside of base64.
const deepest = 3

// Find returns the secrets in a text, in their order, none overlapping another. A span never crosses a bare quotation mark
// or angle bracket, so that JSON and XML stay what they are when the spans are replaced.
func Find(s string) []Span { return find(s, 0) }

func find(s string, depth int) []Span {
	if !suspect(s) {
		return nil
	}
	t := unescape(s)
	var out []Span
	for _, g := range t.groups(depth) {
		out = append(out, t.spans(g.runs, g.kind)...)
	}
	return tidy(out)
}

// group is the parts of one secret, in their order.
type group struct {
	runs []run
	kind Kind
}

func (t *text) groups(depth int) []group {
	var out []group
	for _, r := range slices.Concat(pemKeys(t.plain), encodedKeys(t.plain, depth), jwkMembers(t.plain), wordKeys(t.plain)) {
		out = append(out, group{r, Key})
	}
	for _, r := range credentials(t.plain) {
		out = append(out, group{r, Credential})
	}
	return out
}

// Redact replaces the secrets in a text by words that say what was there.
func Redact(s string) string { return replace(s, Find(s)) }

func replace(s string, spans []Span) string {
	if len(spans) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, x := range spans {
		b.WriteString(s[at:x.Start])
		b.WriteString(x.Kind.String())
		at = x.End
	}
	b.WriteString(s[at:])
	return b.String()
}

// Has tells which kinds of secrets are in the bytes of a message or a file: as text, or as DER as it is.
func Has(b []byte) (key, credential bool) {
	s := string(b)
	for _, x := range Find(s) {
		key, credential = key || x.Kind == Key, credential || x.Kind == Credential
	}
	return key || rawKey(s), credential
}

// tidy sorts and joins spans that touch or overlap; of two kinds the key counts.
func tidy(in []Span) []Span {
	slices.SortFunc(in, func(a, b Span) int { return a.Start - b.Start })
	var out []Span
	for _, x := range in {
		if n := len(out); n > 0 && x.Start <= out[n-1].End {
			last := &out[n-1]
			last.End, last.Kind = max(last.End, x.End), min(last.Kind, x.Kind)
			continue
		}
		out = append(out, x)
	}
	return out
}
