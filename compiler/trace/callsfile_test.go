package trace

import (
	"strings"
	"testing"
)

func TestParseCallsFile(t *testing.T) {
	f, err := ParseCallsFile("# c\nname one: GET http://a/ from b/c\n  allowed at x/y and 3 more:80\n  with timeout 5s\n\nonly a/* reach b\nother: nobody reaches c\nhttp://a/ from b/c --claims '{\"a\": \"b\"}'\n")
	if err != nil || len(f.Calls) != 2 || len(f.Statements) != 2 {
		t.Fatalf("%+v %v", f, err)
	}
	if c := f.Calls[0]; c.Name != "name one" || c.Line != 2 || len(c.Want) != 1 || len(c.Effects) != 1 || f.Calls[1].Name != "" {
		t.Errorf("%+v", f.Calls)
	}
	if s := f.Statements; s[0] != (Statement{6, "", "only a/* reach b"}) || s[1] != (Statement{7, "other", "nobody reaches c"}) {
		t.Errorf("%+v", s)
	}
	for text, want := range map[string]string{
		"  allowed":                                "line 1: an end without a call",
		"only a reach b\n  allowed":                "line 2: a statement has no ends",
		"GET http://a/ from b/c\n  with path":      "needs a value",
		"GET http://a/ from b/c\n  with magic":     "is no effect",
		"GET http://a/ from b/c\n  sometimes":      "is no end",
		"GET http://a/ from b/c\n  allowed at x y": "is no end",
	} {
		if _, err := ParseCallsFile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"a/*", "a/b", true}, {"a/*", "b/a/", false}, {"*/b", "a/b", true}, {"*", "", true}, {"a*b*c", "a1b2c", true}, {"a*b*c", "ac", false}, {"a*a", "a", false}, {"a", "a", true}, {"a*b*b", "ab", false}} {
		if Glob(c.pattern, c.name) != c.want {
			t.Errorf("%s %s: %v", c.pattern, c.name, !c.want)
		}
	}
}
