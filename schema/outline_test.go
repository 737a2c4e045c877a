package schema

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"cuelang.org/go/cue/parser"
)

// TestOutlineKeepsVerdicts shows CUE many random values of every definition and wants values of one outline to be alike:
// all valid or all invalid.
func TestOutlineKeepsVerdicts(t *testing.T) {
	shapes, err := readShapes()
	if err != nil {
		t.Fatal(err)
	}
	forms := readForms()
	if len(forms) == 0 {
		t.Fatal("the definitions are no trees, so nothing has an outline")
	}
	g := &valueMaker{Rand: rand.New(rand.NewPCG(7, 7)), shapes: shapes, forms: forms}
	c := newEngine()
	verdicts := map[string]bool{}
	repeated, valid := 0, 0
	for _, def := range slices.Sorted(maps.Keys(forms)) {
		for range 60 {
			g.faults = g.IntN(3) / 2
			v := g.make(forms[def], &field{ref: def}, 0)
			outline, ok := c.outliner.outline(def, v)
			if !ok {
				t.Fatalf("%s %v has no outline", def, v)
			}
			verdict := c.verdict(def, v) == nil
			if verdict {
				valid++
			}
			before, seen := verdicts[outline]
			if seen && before != verdict {
				t.Fatalf("%s: %s is valid for one value and invalid for %v", def, outline, v)
			}
			if seen {
				repeated++
			}
			verdicts[outline] = verdict
		}
		if c.seen > contextLife {
			c = newEngine()
		}
	}
	t.Logf("%d outlines, %d values with the outline of another, %d valid", len(verdicts), repeated, valid)
	if repeated < 100 || valid < 100 {
		t.Errorf("only %d values with the outline of another and %d valid: the test shows little", repeated, valid)
	}
}

// valueMaker makes values that are valid but for a few faults.
type valueMaker struct {
	*rand.Rand
	shapes shapes
	forms  forms
	faults int
}

func (g *valueMaker) make(f *form, like *field, depth int) any {
	if g.faults > 0 && g.IntN(12) == 0 {
		g.faults--
		return g.odd()
	}
	for f.kind == referred {
		f = g.forms[f.ref]
	}
	switch f.kind {
	case text, someText:
		return g.pick("", "a", "b.example.com", "Ä", "_x", "#y", "0", "true")
	case truth:
		return g.IntN(2) == 0
	case record:
		return g.record(f, like, depth)
	case dict:
		out := map[string]any{}
		for range g.IntN(3) {
			out[g.pick("k", "l/m", "_h", "#d", "").(string)] = g.make(f.elem, like, depth+1)
		}
		return out
	case list:
		out := []any{}
		for range g.IntN(3) {
			out = append(out, g.make(f.elem, like, depth+1))
		}
		return out
	}
	if len(like.enum) > 0 && g.IntN(6) > 0 {
		return like.enum[g.IntN(len(like.enum))]
	}
	return g.pick(int64(1), int64(80), int64(0), int64(70000), int64(-1), 1.5, "1s", "0", "", "TCP", []any{"a"}, []any{})
}

func (g *valueMaker) record(f *form, like *field, depth int) any {
	out := map[string]any{}
	sh := g.shapes.of(like)
	for _, name := range f.names {
		var child *field
		if sh != nil {
			child = sh.get(name)
		}
		if child == nil {
			child = &field{}
		}
		if child.required && g.IntN(20) > 0 || depth < 6 && g.IntN(4) == 0 {
			out[name] = g.make(f.fields[name], child, depth+1)
		}
	}
	if f.open && g.IntN(3) == 0 || g.faults > 0 && g.IntN(8) == 0 {
		out[g.pick("more", "_more", "#more").(string)] = g.odd()
	}
	return out
}

func (g *valueMaker) odd() any {
	return g.pick("x", int64(3), true, 2.5, []any{}, []any{nil, "y"}, map[string]any{}, map[string]any{"z": int64(1), "_w": nil})
}

func (g *valueMaker) pick(from ...any) any { return from[g.IntN(len(from))] }

// TestNoOutlineOfWhatIsNoTree: where one part of a value may bear on another, there must be no outlines.
func TestNoOutlineOfWhatIsNoTree(t *testing.T) {
	for text, want := range map[string]bool{
		`#A: {a?: string, b?: [...#B]}`:              true,
		`#A: {a?: uint32 & <=9 | string}`:            true,
		`#A: {a: string, b: a}`:                      false,
		`#A: {a: string, if a == "x" {b!: int}}`:     false,
		`#A: {let x = "y", a: x}`:                    false,
		`#A: {a: string, b: "\(a)"}`:                 false,
		`#A: {X=a: string}`:                          false,
		`#A: {a: string, (a): int}`:                  false,
		`#A: {#B, a: string}`:                        false,
		"import \"list\"\n#A: {a: list.MaxItems(3)}": false,
	} {
		f, err := parser.ParseFile("x.cue", text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tree(f); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
