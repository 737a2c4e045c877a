// Package httpmatch compares the matches of HTTP routes with each other: whether a request can meet two of them, and whether one
// takes in all that another does. Overlap and Covers look at two matches, part by part, and read regular expressions only where the
// other side is an exact text. Order asks the sets of requests, within a budget, what they leave open: expressions, and matches that
// take all requests of another together.
package httpmatch

import (
	"regexp"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
)

// Overlapping says whether a request can meet two conditions at once.
type Overlapping int

// The answers, in an order in which the least of several conditions decides.
const (
	Never Overlapping = iota
	Perhaps
	Sure
)

// Overlap tells whether some request meets both matches. Regular expressions are not held against each other.
func Overlap(a, b *networking.HTTPMatchRequest) Overlapping {
	switch {
	case a.GetPort() != 0 && b.GetPort() != 0 && a.GetPort() != b.GetPort(),
		a.GetSourceNamespace() != "" && b.GetSourceNamespace() != "" && a.GetSourceNamespace() != b.GetSourceNamespace(),
		len(a.GetGateways()) > 0 && len(b.GetGateways()) > 0 && !slices.ContainsFunc(a.GetGateways(), func(g string) bool { return slices.Contains(b.GetGateways(), g) }):
		return Never
	}
	for k, v := range a.GetSourceLabels() {
		if w, ok := b.GetSourceLabels()[k]; ok && v != w {
			return Never
		}
	}
	if excludes(a, b) || excludes(b, a) {
		return Never
	}
	fold := a.GetIgnoreUriCase() || b.GetIgnoreUriCase()
	out := min(meetStrings(a.GetUri(), b.GetUri(), fold), meetStrings(a.GetMethod(), b.GetMethod(), false), meetStrings(a.GetScheme(), b.GetScheme(), false), meetStrings(a.GetAuthority(), b.GetAuthority(), false))
	for _, pair := range [][2]map[string]*networking.StringMatch{{a.GetHeaders(), b.GetHeaders()}, {a.GetQueryParams(), b.GetQueryParams()}} {
		for k, v := range pair[0] {
			if w, ok := pair[1][k]; ok {
				out = min(out, meetStrings(v, w, false))
			}
		}
	}
	return out
}

// excludes tells whether a wants a header to be away, or other than b wants it.
func excludes(a, b *networking.HTTPMatchRequest) bool {
	for k, not := range a.GetWithoutHeaders() {
		if want, ok := b.GetHeaders()[k]; ok && coversString(not, want, false) {
			return true
		}
	}
	return false
}

func meetStrings(a, b *networking.StringMatch, fold bool) Overlapping {
	if anything(a) || anything(b) {
		return Sure
	}
	ka, va := value(a, fold)
	kb, vb := value(b, fold)
	sure := func(yes bool) Overlapping {
		if yes {
			return Sure
		}
		return Never
	}
	switch {
	case ka == 'r' && kb == 'r' && va == vb:
		return Sure
	case ka == 'r' && kb == 'e' && !fold:
		return sure(fits(va, vb))
	case ka == 'e' && kb == 'r' && !fold:
		return sure(fits(vb, va))
	case ka == 'r' || kb == 'r':
		return Perhaps
	case ka == 'e' && kb == 'e':
		return sure(va == vb)
	case ka == 'e':
		return sure(strings.HasPrefix(va, vb))
	case kb == 'e':
		return sure(strings.HasPrefix(vb, va))
	}
	return sure(strings.HasPrefix(va, vb) || strings.HasPrefix(vb, va))
}

// anything tells whether a condition asks for no particular value.
func anything(m *networking.StringMatch) bool {
	k, v := value(m, false)
	return k == 0 || k == 'p' && v == "" || k == 'r' && (v == "" || v == "*" || v == ".*")
}

// value is the kind of a condition, by its first letter (0: that something is there), and its text.
func value(m *networking.StringMatch, fold bool) (kind byte, text string) {
	switch x := m.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		kind, text = 'e', x.Exact
	case *networking.StringMatch_Prefix:
		kind, text = 'p', x.Prefix
	case *networking.StringMatch_Regex:
		return 'r', x.Regex
	}
	if fold {
		text = strings.ToLower(text)
	}
	return kind, text
}

// fits tells whether a whole text is one that a regular expression means; one that is none means nothing.
func fits(expression, text string) bool {
	re, err := regexp.Compile("^(?:" + expression + ")$")
	return err == nil && re.MatchString(text)
}

// Covers tells whether every request that b matches is matched by a. It may miss some.
func Covers(a, b *networking.HTTPMatchRequest) bool {
	switch {
	case a.GetPort() != 0 && a.GetPort() != b.GetPort(),
		a.GetSourceNamespace() != "" && a.GetSourceNamespace() != b.GetSourceNamespace(),
		len(a.GetGateways()) > 0 && (len(b.GetGateways()) == 0 || slices.ContainsFunc(b.GetGateways(), func(g string) bool { return !slices.Contains(a.GetGateways(), g) })),
		!endpoint.Subset(a.GetSourceLabels(), b.GetSourceLabels()),
		!coversPath(a, b):
		return false
	}
	for _, pair := range [][2]*networking.StringMatch{{a.GetMethod(), b.GetMethod()}, {a.GetScheme(), b.GetScheme()}, {a.GetAuthority(), b.GetAuthority()}} {
		if pair[0] != nil && (pair[1] == nil || !coversString(pair[0], pair[1], false)) {
			return false
		}
	}
	return coversAll(a.GetHeaders(), b.GetHeaders()) && coversAll(a.GetQueryParams(), b.GetQueryParams()) && excludesNoMore(a.GetWithoutHeaders(), b.GetWithoutHeaders())
}

func coversPath(a, b *networking.HTTPMatchRequest) bool {
	if root(a.GetUri()) {
		return true
	}
	return b.GetUri() != nil && (a.GetIgnoreUriCase() || !b.GetIgnoreUriCase()) && coversString(a.GetUri(), b.GetUri(), a.GetIgnoreUriCase())
}

// coversAll tells whether b has every condition of a by name, or a stricter one.
func coversAll(a, b map[string]*networking.StringMatch) bool {
	for k, v := range a {
		if w, ok := b[k]; !ok || !coversString(v, w, false) {
			return false
		}
	}
	return true
}

// excludesNoMore tells whether b keeps away all that a does, by name.
func excludesNoMore(a, b map[string]*networking.StringMatch) bool {
	for k, v := range a {
		if w, ok := b[k]; !ok || !coversString(w, v, false) {
			return false
		}
	}
	return true
}

// root tells whether a condition on the path is met by every request.
func root(m *networking.StringMatch) bool {
	k, v := value(m, false)
	return m == nil || k == 'p' && (v == "/" || v == "") || k == 'r' && (v == ".*" || v == "/.*")
}

// coversString tells whether every text that b means is one that a means.
func coversString(a, b *networking.StringMatch, fold bool) bool {
	if anything(a) {
		return true
	}
	ka, va := value(a, fold)
	kb, vb := value(b, fold)
	switch {
	case anything(b):
		return false
	case ka == 'r' && kb == 'r':
		return va == vb
	case ka == 'r' && kb == 'e':
		return !fold && fits(va, vb)
	case ka == 'p' && (kb == 'p' || kb == 'e'):
		return strings.HasPrefix(vb, va)
	case ka == 'e' && kb == 'e':
		return va == vb
	}
	return false
}
