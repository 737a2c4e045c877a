package sets

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/meshc/meshc/internal/watchdog"
)

// tiny has few values in each dimension, so that all requests can be listed.
func tiny() (*Space, map[string][]Value) {
	texts := func(absent bool, ts ...string) (out []Value) {
		for _, t := range ts {
			out = append(out, Value{Text: t})
		}
		if absent {
			out = append(out, Value{Absent: true})
		}
		return out
	}
	var paths []string
	for _, w := range words("ab/", 3) {
		paths = append(paths, "/"+w)
	}
	values := map[string][]Value{
		"path":     texts(false, paths...),
		"header:x": texts(true, "", "1", "2", "11", "12"),
		"method":   texts(false, "GET", "POST"),
		"source":   texts(false, "10.0.0.1", "10.0.1.1", "10.1.0.1", "::1"),
		"port":     texts(false, "80", "81", "443"),
		"who":      texts(false, "a", "b", "other"),
		"groups":   {{Absent: true}, {Text: "a"}, {Text: "b"}, {Text: "c"}, {Text: "a", More: []string{"b"}}, {Text: "a", More: []string{"c"}}, {Text: "b", More: []string{"c"}}, {Text: "a", More: []string{"b", "c"}}},
	}
	x := Header("x")
	x.Universe = mustRegex("|1|2|11|12")
	s := NewSpace(Dimension{Name: "path", Universe: mustRegex("/[ab/]{0,3}")}, x, Dimension{Name: "method", Universe: mustRegex("GET|POST")},
		Dimension{Name: "source", Universe: Prefixes(prefix("10.0.0.1/32"), prefix("10.0.1.1/32"), prefix("10.1.0.1/32"), prefix("::1/128"))},
		Dimension{Name: "port", Universe: OnePort(80, 81, 443)}, Dimension{Name: "who", Universe: OneOf("a", "b", "other")},
		Dimension{Name: "groups", Universe: mustRegex("[abc]"), Many: true})
	return s, values
}

func randomAtom(r *rand.Rand) Cond {
	switch r.IntN(10) {
	case 8, 9:
		return In("groups", []Strings{Exact("a", false), AnyString(), Absent(), Exact("b", false).Or(Exact("c", false)), Exact("a", false).Not(), Exact("a", false).Not().Present()}[r.IntN(6)])
	case 0, 1, 2:
		return In("path", Prefix("/", false).And(randomStrings(r, 1)))
	case 3:
		return In("header:x", []Strings{Exact("1", false), Absent(), Prefix("1", false), AnyString(), Exact("2", false).Not(), Exact("2", false).Not().Present()}[r.IntN(6)])
	case 4:
		return In("method", Exact([]string{"GET", "POST"}[r.IntN(2)], false))
	case 5:
		return In("source", Prefixes(prefix([]string{"10.0.0.0/16", "10.0.0.0/24", "10.0.0.0/8", "::/0"}[r.IntN(4)])))
	case 6:
		return In("port", []Ports{OnePort(80), PortRanges(PortRange{80, 100}), OnePort(443).Not()}[r.IntN(3)])
	default:
		return In("who", []Names{OneOf("a"), OneOf("a", "b"), OneOf("a").Not()}[r.IntN(3)])
	}
}

func randomCond(r *rand.Rand, depth int) Cond {
	if depth == 0 {
		return randomAtom(r)
	}
	switch r.IntN(5) {
	case 0:
		return randomCond(r, depth-1).And(randomCond(r, depth-1))
	case 1:
		return randomCond(r, depth-1).Or(randomCond(r, depth-1))
	case 2:
		return randomCond(r, depth-1).Not()
	case 3:
		return All(randomAtom(r), randomAtom(r), randomCond(r, depth-1))
	default:
		return randomAtom(r)
	}
}

func randomList(r *rand.Rand) (l List) {
	for range r.IntN(7) {
		l.Rules = append(l.Rules, Rule{randomCond(r, 2), string(rune('A' + r.IntN(3)))})
	}
	l.Default = string(rune('A' + r.IntN(2)))
	return l
}

// edit makes a list that differs from another in a few rules.
func edit(r *rand.Rand, l List) List {
	out := List{Default: l.Default}
	for _, x := range l.Rules {
		switch r.IntN(8) {
		case 0:
		case 1:
			out.Rules = append(out.Rules, Rule{randomCond(r, 1), "A"}, x)
		case 2:
			out.Rules = append(out.Rules, Rule{x.When, "C"})
		case 3:
			out.Rules = append(out.Rules, Rule{x.When.And(randomAtom(r)), x.Outcome})
		case 4:
			out.Rules = append([]Rule{x}, out.Rules...)
		default:
			out.Rules = append(out.Rules, x)
		}
	}
	return out
}

// checkQuery compares the answer to a question with what all requests of the tiny space do.
func checkQuery(t *testing.T, q Query) {
	t.Helper()
	space, values := tiny()
	cells, err := space.Differences(q)
	if err != nil && !errors.Is(err, ErrBudget) {
		t.Fatal(err)
	}
	got := map[[2]int]bool{}
	for _, c := range cells {
		got[[2]int{c.Base, c.Head}] = true
		full := Assignment{"path": {Text: "/"}, "method": {Text: "GET"}, "source": {Text: "::1"}, "port": {Text: "80"}, "who": {Text: "other"}}
		for dim, v := range c.Witness {
			full[dim] = v
		}
		if b, h := q.Base.Decide(full), q.Head.Decide(full); b != c.Base || h != c.Head || c.From == c.To || q.Base.Outcome(b) != c.From || q.Head.Outcome(h) != c.To || !q.Within.Holds(full) {
			t.Fatalf("witness %v of %d, %d is decided by %d, %d\nbase %v\nhead %v", full, c.Base, c.Head, b, h, q.Base, q.Head)
		}
		for _, l := range c.Where {
			if v, ok := c.Witness[l.Dim]; !ok || l.Set.holds(v) == l.Not {
				t.Fatalf("witness %v does not meet %s", c.Witness, l)
			}
		}
	}
	if err != nil {
		return
	}
	dims := []string{"path", "header:x", "method", "source", "port", "who", "groups"}
	var try func(a Assignment, d int)
	try = func(a Assignment, d int) {
		if d < len(dims) {
			for _, v := range values[dims[d]] {
				a[dims[d]] = v
				try(a, d+1)
			}
			return
		}
		b, h := q.Base.Decide(a), q.Head.Decide(a)
		for dim, v := range q.Given {
			if !reflect.DeepEqual(a[dim], v) {
				return
			}
		}
		if q.Within.Holds(a) && q.Base.Outcome(b) != q.Head.Outcome(h) && !got[[2]int{b, h}] {
			t.Fatalf("%v is decided by %d in base and %d in head, and no cell says so\nbase %v\nhead %v", a, b, h, q.Base, q.Head)
		}
	}
	try(Assignment{}, 0)
}

func TestDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 60 {
		q := Query{Base: randomList(r)}
		if q.Head = edit(r, q.Base); i%3 == 0 {
			q.Head = randomList(r)
		}
		if i%4 == 0 {
			q.Within = randomCond(r, 1)
		}
		if i%5 == 0 {
			q.Given = Assignment{"header:x": {Absent: true}, "port": {Text: "81"}}
		}
		checkQuery(t, q)
	}
}

func FuzzDifferences(f *testing.F) {
	f.Add(uint64(1), uint64(2), 0)
	f.Add(uint64(3), uint64(4), 40)
	f.Fuzz(func(t *testing.T, a, b uint64, budget int) {
		defer watchdog.Watch(t)()
		r := rand.New(rand.NewPCG(a, b))
		q := Query{Base: randomList(r), Budget: budget}
		q.Head = edit(r, q.Base)
		checkQuery(t, q)
	})
}

// routes makes a long route table: prefixes, exact paths, regular expressions and headers.
func routes(n int) (l List) {
	for i := range n {
		var c Cond
		switch path := fmt.Sprintf("/api/v%d/team-%d/service-%04d", i%3, i%17, i); i % 5 {
		case 0:
			c = In("path", Exact(path, false))
		case 1:
			c = In("path", Prefix(path, i%2 == 0))
		case 2:
			c = In("path", PathPrefix(path, false)).And(In("header:x-user", Exact(fmt.Sprint(i%7), false)))
		case 3:
			c = In("path", mustRegex(path+`/[^/]+/.*`)).And(In("method", Exact("GET", false)))
		default:
			c = In("header:x-canary", Exact(fmt.Sprint(i), false))
		}
		l.Rules = append(l.Rules, Rule{c, fmt.Sprint("cluster ", i)})
	}
	l.Default = "404"
	return l
}

func changed(l List, each int, f func(Rule) Rule) List {
	out := List{Default: l.Default}
	for i, r := range l.Rules {
		if i%each == each/2 {
			r = f(r)
		}
		out.Rules = append(out.Rules, r)
	}
	return out
}

func requests() *Space { return NewSpace(Path(), Method(), Header("x-user"), Header("x-canary")) }

func TestLongLists(t *testing.T) {
	base := routes(1000)
	for _, c := range []struct {
		name  string
		head  List
		cells int
	}{
		{"nothing", changed(base, 1, func(r Rule) Rule { return r }), 0},
		{"one outcome", changed(base, 1000, func(r Rule) Rule { r.Outcome = "new"; return r }), 1},
		{"each outcome", changed(base, 1, func(r Rule) Rule { r.Outcome += " 5s"; return r }), 1000},
		{"reversed", List{Default: "404"}, -1},
		{"one more condition", changed(base, 1000, func(r Rule) Rule {
			r.When = r.When.And(In("method", Exact("POST", false)))
			return r
		}), -1},
	} {
		if c.name == "reversed" {
			for i := range base.Rules {
				c.head.Rules = append(c.head.Rules, base.Rules[len(base.Rules)-1-i])
			}
		}
		cells, err := requests().Differences(Query{Base: base, Head: c.head})
		if c.cells >= 0 && len(cells) != c.cells || err != nil && c.cells >= 0 {
			t.Errorf("%s: %d cells, %v", c.name, len(cells), err)
		}
		for _, x := range cells {
			if base.Decide(x.Witness) != x.Base || c.head.Decide(x.Witness) != x.Head {
				t.Errorf("%s: %v is no witness of %d, %d", c.name, x.Witness, x.Base, x.Head)
				break
			}
		}
	}
}

func TestFind(t *testing.T) {
	s := requests()
	a, found, err := s.Find(All(In("path", Prefix("/a", false)), In("path", Prefix("/a/b", false).Not()), In("method", Exact("GET", false).Not()), In("header:x-user", AnyString())), nil, 0)
	if !found || err != nil || a["path"].Text != "/a" || a["method"].Text != "POST" || a["header:x-user"].Text != "1" {
		t.Errorf("%v %v %v", a, found, err)
	}
	if a, found, err := s.Find(In("path", mustRegex("[^/].*")), nil, 0); found || err != nil {
		t.Errorf("no path begins without a slash, and %v %v was found", a, err)
	}
}

func BenchmarkDifferences(b *testing.B) {
	base := routes(1000)
	for _, c := range []struct {
		name string
		each int
		f    func(Rule) Rule
	}{
		{"one of 1000", 1000, func(r Rule) Rule { r.Outcome = "new"; return r }},
		{"condition of one of 1000", 1000, func(r Rule) Rule {
			r.When = r.When.And(In("method", Exact("POST", false)))
			return r
		}},
		{"100 of 1000", 10, func(r Rule) Rule { r.Outcome += " 5s"; return r }},
		{"all of 1000", 1, func(r Rule) Rule { r.Outcome += " 5s"; return r }},
	} {
		head := changed(base, c.each, c.f)
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := requests().Differences(Query{Base: base, Head: head}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestPartsOfRules: boxes of one dimension in which different parts of a rule are left are not taken for one another.
func TestPartsOfRules(t *testing.T) {
	list := func(path string) List {
		read := Any(In("method", Exact("GET", false)), In("method", Exact("HEAD", false)))
		where := Any(In("path", Prefix("/info", false)), In("path", Exact(path, false)))
		write := All(In("method", Exact("POST", false)), In("path", Prefix("/admin", false)).Not())
		return List{Rules: []Rule{{When: Any(All(read, where), write).Not(), Outcome: "refused"}}, Default: "allowed"}
	}
	cells, err := NewSpace(Path("/"), Method("GET")).Differences(Query{Base: list("/exact"), Head: list("/exactx")})
	if err != nil || len(cells) != 2 {
		t.Fatalf("%v, %v: a path that only one of the lists allows is refused by the other", cells, err)
	}
	for _, c := range cells {
		if a := c.Witness; list("/exact").Decide(a) == list("/exactx").Decide(a) {
			t.Errorf("%v shows nothing", a)
		}
	}
}
