package schema

import (
	"strings"
	"testing"
)

// TestValueTypesAreKnown wants a rule for every type that a definition names, and a field for every rule.
func TestValueTypesAreKnown(t *testing.T) {
	all, err := readShapes()
	if err != nil {
		t.Fatal(err)
	}
	rules, used := valueRules(), map[string]bool{}
	var walk func(path string, s *shape)
	walk = func(path string, s *shape) {
		name := func(n, at string) {
			if n != "" && rules[n] == nil {
				t.Errorf("%s: there is no value type %s", at, n)
			}
			used[n] = true
		}
		name(s.key, path)
		fields := s.fields
		if s.rest != nil {
			fields = append(fields[:len(fields):len(fields)], s.rest)
		}
		for _, f := range fields {
			name(f.value, path+"."+f.name)
			if f.inline != nil {
				walk(path+"."+f.name, f.inline)
			}
		}
	}
	for n, s := range all {
		walk(n, s)
	}
	for n := range rules {
		if !used[n] {
			t.Errorf("no field has the value type %s", n)
		}
	}
}

// TestValueLimits tries each rule on both sides of its limits.
func TestValueLimits(t *testing.T) {
	x := strings.Repeat
	for _, c := range []struct {
		rule      string
		good, bad []any
	}{
		{"headerName", []any{"x-a", "a b", x("a", 16384)}, []any{"", "a\nb", "a\x00b", x("a", 16385)}},
		{"headerText", []any{"", "a b", x("a", 16384)}, []any{"a\rb", "a\x00", x("a", 16385)}},
		{"filled", []any{"a"}, []any{""}},
		{"path", []any{"/dev/stdout", "a", "/" + x("a", 255)}, []any{"/a\x00", "/var/log/", "/" + x("a", 256), x("/a", 2048)}},
		{"socket", []any{"unix:///" + x("a", 106), "unix://@a", "10.0.0.1", "a.example.com", "/" + x("a", 106)}, []any{"unix:///" + x("a", 107), "unix:///a\x00b", "@" + x("a", 107)}},
		{"serverName", []any{"a.example.com", x("a", 255)}, []any{x("a", 256)}},
		{"curve", []any{"P-256", "X25519MLKEM768"}, []any{"P256", "nosuch"}},
		{"format", []any{"%PROTOCOL%", "a\nb"}, []any{"%NOSUCH%", "%"}},
		{"headerFormat", []any{"%PROTOCOL%", ""}, []any{"%NOSUCH%", "a\nb", x("a", 16385)}},
		{"port", []any{int64(1), int64(65535), "x"}, []any{int64(0), int64(65536)}},
		{"percent", []any{int64(0), 0.5, int64(100), "x"}, []any{-0.1, int64(-1), 100.1, int64(101)}},
		{"ringSize", []any{int64(0), int64(8388608), "7"}, []any{int64(8388609)}},
		{"tableSize", []any{int64(2), int64(65537), int64(4999999)}, []any{int64(0), int64(1), int64(4), int64(65536), int64(5000011)}},
		{"milliseconds", []any{"1ms", "5s"}, []any{"0s", "100us", "1500us", "-1s"}},
		{"seconds", []any{"1s", "60s"}, []any{"0s", "1ms", "1500ms"}},
		{"aboveZero", []any{int64(1), 0.5}, []any{int64(0), 0.0, int64(-1)}},
		{"expression", []any{"response.code >= 400", "x.exists(y, y)"}, []any{")++++", ""}},
		{"notNegative", []any{"0s", "1ns", "5s"}, []any{"-1ns", "-1s"}},
		{"positive", []any{"1ns", "5s"}, []any{"0s", "0", "-1s"}},
		{"aboveOneMilli", []any{"2ms", "60s"}, []any{"1ms", "0s"}},
	} {
		rule := valueRules()[c.rule]
		for _, v := range c.good {
			if why, _ := rule(v); why != "" {
				t.Errorf("%s %.40q: %s", c.rule, v, why)
			}
		}
		for _, v := range c.bad {
			if why, help := rule(v); why == "" || help == "" {
				t.Errorf("%s %.40q passes", c.rule, v)
			}
		}
	}
}
