package sets

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"
)

// latin1 makes a string of which each rune is a byte, as Envoy's RE2 sees text.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

var regexes = []string{
	``, `a`, `a|b`, `(a|b)*`, `a+b?`, `.*`, `(?s).*`, `.+`, `[^/]*`, `a{2,3}`, `^a$`, `a^b`, `a$b`, `^^a$$`, `\Aa\z`, `(?i)ab`, `(?i)[a-b]/`,
	`(?i:a)b`, `\ba\b`, `a\b/`, `a\B.`, `\b`, `\B`, `(?m)^a$`, `(?m)^a$\n^b$`, `(?m)a$.*`, `(?U)a+`, `a+?b`, `[[:alpha:]]+`, `\w+`, `\W`, `\d*a`, `\pL+`,
	`\Qa.b\E`, `[a\]]`, `\x61`, `\xe9`, `[\xe0-\xff]`, `é`, `[^é]`, `(?i)k`, `(?i)s+`, `(a|ab)(c|bcd)?`, `(?:^|/)a(?:/|$)`, `a(?i)b`, `/a/.*/b`, `.*b.*`, `\s`, `\Sa`,
	`(|a)+`, `(a*)*b`, `$`, `^`, `a|^b`, `(?-s).`, `a\z`, `[[:^alpha:]]`, `\D`, `x*`, `(?i)/A/[^/]+`,
}

func words(alphabet string, longest int) []string {
	out := []string{""}
	for from := 0; longest > 0; longest-- {
		to := len(out)
		for _, w := range out[from:to] {
			for i := range len(alphabet) {
				out = append(out, w+alphabet[i:i+1])
			}
		}
		from = to
	}
	return out
}

// What Go's regexp says about characters, the automata say about bytes, except for the case of letters beyond ASCII.
func TestRegexIsThatOfGoOnLatin1(t *testing.T) {
	texts := append(words("aAb/\n", 4), words("aé_k\x17", 3)...)
	for _, re := range regexes {
		s, err := Regex(re)
		if err != nil {
			t.Fatalf("%s: %v", re, err)
		}
		want := regexp.MustCompile(`\A(?:` + latin1(re) + `)\z`)
		m := newMachine(1 << 20)
		for _, w := range texts {
			if got := s.Has(w); got != want.MatchString(latin1(w)) {
				t.Errorf("regex %q has %q: %v", re, w, got)
			}
			if got := m.run(t, s, w); got != s.Has(w) {
				t.Errorf("the automaton of %q takes %q: %v", re, w, got)
			}
		}
	}
}

func (m *machine) run(t *testing.T, s Strings, w string) bool {
	at := m.of(s.expr())
	for i := range len(w) {
		edges, err := m.edges(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range edges {
			if w[i] <= e.last {
				at = e.to
				break
			}
		}
	}
	return m.states[at].accepts
}

func TestRegexRefusesWhatEnvoyCannotSay(t *testing.T) {
	for _, re := range []string{`(`, `\x{100}`, `a**`, `(?=a)`, `\1`, `(?i)[à]`, `(?i)à|é`} {
		if _, err := Regex(re); err == nil {
			t.Errorf("%q is taken", re)
		}
	}
	for _, re := range []string{`(?i)[^a]`, `(?i)[[:word:]]`, `(?i).`, `(?i)é`} {
		if _, err := Regex(re); err != nil {
			t.Errorf("%q: %v", re, err)
		}
	}
}

func randomStrings(r *rand.Rand, depth int) Strings {
	texts := []string{"a", "ab", "/a", "/a/b", "b", "", "/", "B", "aab", "ba"}
	text, fold := texts[r.IntN(len(texts))], r.IntN(4) == 0
	if depth > 0 {
		switch r.IntN(5) {
		case 0:
			return randomStrings(r, depth-1).Not()
		case 1:
			return randomStrings(r, depth-1).And(randomStrings(r, depth-1))
		case 2:
			return randomStrings(r, depth-1).Or(randomStrings(r, depth-1))
		case 3:
			return randomStrings(r, depth-1).Minus(randomStrings(r, depth-1))
		}
	}
	switch r.IntN(7) {
	case 0:
		return Exact(text, fold)
	case 1:
		return Prefix(text, fold)
	case 2:
		return Suffix(text, fold)
	case 3:
		return Contains(text, fold)
	case 4:
		return PathPrefix(text, fold)
	default:
		s, err := Regex(regexes[r.IntN(len(regexes))])
		if err != nil {
			panic(err)
		}
		return s
	}
}

// Sets are compared with all words of up to five characters of a small alphabet: the word of a set is in it and as short as any, and
// there is none where the set is empty.
func TestWord(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	small := mustRegex(`[ab/B]{0,5}`)
	texts := words("ab/B", 5)
	for i := range 600 {
		s := randomStrings(r, 3)
		shortest := -1
		m := newMachine(1 << 20)
		for _, w := range texts {
			has := s.Has(w)
			if has && shortest < 0 {
				shortest = len(w)
			}
			if i < 60 && m.run(t, s, w) != has {
				t.Fatalf("the automaton of %s takes %q: %v", s, w, !has)
			}
		}
		word, ok, err := s.And(small).Word(0)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if ok != (shortest >= 0) || ok && (!s.Has(word) || len(word) != shortest) {
			t.Errorf("%s: word %q %v, the shortest has %d characters", s, word, ok, shortest)
		}
		same, word, err := s.Same(s.Not().Not(), 0)
		if !same || err != nil {
			t.Errorf("%s is not itself: %q, %v", s, word, err)
		}
	}
}

func TestWordsCanBeRead(t *testing.T) {
	for _, c := range []struct {
		set  Strings
		want string
	}{
		{Prefix("/a", false).Minus(Exact("/a", false)), "/aa"},
		{Prefix("/a", false).Minus(PathPrefix("/a", false)), "/aa"},
		{PathPrefix("/a", false).Minus(Exact("/a", false)), "/a/"},
		{AnyString().Minus(mustRegex(`[a-z]*`)), "0"},
		{mustRegex(`.+`).Minus(mustRegex(`[ -~]*`)), "\x80"},
		{Suffix(".example", false).And(mustRegex("[^.]+.*")), "a.example"},
		{Exact("x", true).Minus(Exact("x", false)), "X"},
		{mustRegex(`/(a|c)/.*`).Minus(mustRegex(`/(a|b)/.*`)), "/c/"},
		{Integers(10, 25).Minus(Integers(10, 24)).Minus(Prefix("0", false)), "24"},
	} {
		got, ok, err := c.set.Word(0)
		if !ok || err != nil || got != c.want {
			t.Errorf("%s: %q %v %v, want %q", c.set, got, ok, err, c.want)
		}
	}
}

func TestIntegers(t *testing.T) {
	for _, r := range [][2]int64{{0, 1}, {1, 10}, {5, 123}, {99, 1001}, {-12, 7}, {-20, -9}, {0, 0}, {-1 << 63, 1<<63 - 1}, {1<<63 - 12, 1<<63 - 1}} {
		s := Integers(r[0], r[1])
		for _, text := range []string{"", "0", "00", "-0", "+3", "5", "05", "9", "10", "12", "122", "123", "99", "100", "999", "1000", "1001", "-1", "-9", "-10", "-12", "-13", "-20", "-21", "1x",
			"-9223372036854775808", "9223372036854775806", "9223372036854775807", "9223372036854775795"} {
			n, err := strconv.ParseInt(text, 10, 64)
			if want := err == nil && r[0] <= n && n < r[1]; s.Has(text) != want {
				t.Errorf("%v has %q: %v", r, text, !want)
			}
		}
	}
}

func TestTemplate(t *testing.T) {
	for _, c := range []struct {
		template string
		in, out  []string
	}{
		{"/a/*/c", []string{"/a/b/c", "/a/b.~/c"}, []string{"/a//c", "/a/b/b/c", "/a/b/c/"}},
		{"/a/**", []string{"/a/", "/a/b/c"}, []string{"/a", "/b/"}},
		{"/{id}/x", []string{"/1/x"}, []string{"/1/2/x"}},
		{"/{all=a/*}/{rest=**}", []string{"/a/1/", "/a/1/2/3"}, []string{"/b/1/2", "/a/"}},
	} {
		s, err := Template(c.template)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.in {
			if !s.Has(p) {
				t.Errorf("%s does not take %s", c.template, p)
			}
		}
		for _, p := range c.out {
			if s.Has(p) {
				t.Errorf("%s takes %s", c.template, p)
			}
		}
	}
	for _, bad := range []string{"/{a", "/a}", "/{a{b}}"} {
		if _, err := Template(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// Sets that need too many states are undecided.
func TestBudget(t *testing.T) {
	var parts []Strings
	for i := range 20 {
		parts = append(parts, Contains(fmt.Sprintf("%c%c", 'a'+i, 'b'+i), false), Contains(fmt.Sprintf("%c-%c", 'a'+i, 'b'+i), false))
	}
	if _, _, err := Intersection(parts...).And(mustRegex(`.{0,20}`)).Word(1000); !errors.Is(err, ErrBudget) {
		t.Errorf("got %v", err)
	}
}

func TestDescriptions(t *testing.T) {
	for want, s := range map[string]fmt.Stringer{
		"/a*":                   Prefix("/a", false),
		"/a or /a/*":            PathPrefix("/a", false),
		"not x (any case)":      Exact("X", true).Not().Present(),
		"absent or not x":       Exact("x", false).Not(),
		"10.0.0.0/8, ::1/128":   Prefixes(prefix("10.1.2.3/8"), prefix("::1/128")),
		"not 80, 8000-8005":     OnePort(80).Or(PortRanges(PortRange{8000, 8005})).Not(),
		"not a, b":              OneOf("b", "a").Not(),
		"any port":              AnyPort(),
		"regex a.*":             mustRegex("a.*"),
		"*a and not (ba or b*)": Suffix("a", false).And(Exact("ba", false).Or(Prefix("b", false)).Not()),
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
