package lua_test

import (
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/lua"
	"github.com/meshc/meshc/internal/luatest"
	"github.com/meshc/meshc/internal/watchdog"
)

// TestCheck tries chunks; the archive of EnvoyFilters in internal/envoytest has what LuaJIT says of more.
func TestCheck(t *testing.T) {
	for chunk, want := range map[string]string{
		"":                                       "",
		"\ufeff#!/usr/bin/lua\nlocal a=1":        "",
		"local a = 1 \x00 (":                     "",
		"\x1bLJ\x02":                             "",
		"x (":                                    "line 1: unexpected symbol near '<eof>'",
		"\n\nlocal = 1":                          "line 3: '<name>' expected near '='",
		"f() = 1":                                "line 1: unexpected symbol near '='",
		"goto a":                                 "line 1: undefined label 'a'",
		"::a:: do goto a end":                    "",
		"do ::a:: end goto a":                    "line 1: undefined label 'a'",
		"goto a; local b; ::a:: c = 1":           "line 1: goto a jumps into the scope of local 'b'",
		"while x do f(function() break end) end": "line 1: break outside of a loop",
		"local a = '\\u{110000}'":                "line 1: invalid escape sequence",
		"local a = '\\u{d7ff}\\z \n '":           "",
	} {
		got := ""
		if err := lua.Check(chunk); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", chunk, got, want)
		}
	}
}

// FuzzCheck wants a verdict on any text.
func FuzzCheck(f *testing.F) {
	f.Add("for i=1,2 do local a = {[1]=2, b=function(...) return ... end} ::x:: goto x end")
	f.Add(strings.Repeat("(", 300))
	f.Fuzz(func(t *testing.T, chunk string) {
		defer watchdog.Watch(t)()
		_ = lua.Check(chunk)
	})
}

// TestRaises: what is certain to raise an error when Envoy loads a chunk is found, and nothing else. TestLuaLoads in
// internal/envoytest asks Envoy about the same chunks.
func TestRaises(t *testing.T) {
	for chunk, raises := range luatest.Chunks() {
		if err := lua.Check(chunk); (err != nil) != raises {
			t.Errorf("%q: %v, want %v", chunk, err, raises)
		}
	}
}
