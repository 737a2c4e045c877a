package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/show"
)

// group is what one cause does in one way: differences that share the object, the effect and the condition, over all
// callers and servers.
type group struct {
	*Difference // the first, which stands for all
	all         []*Difference
	callers     []Ref
	targets     []string // HOST:PORT
	servers     []Ref
	objects     []Cause  // the first cause of each of those that only differ in it
	conditions  []string // of these

	refs  map[Ref]bool // that are listed
	lists map[*Ref]int // that were listed: many differences have one
	names map[string]bool
	said  map[string]bool
}

func newGroup(d *Difference) *group {
	return &group{Difference: d, refs: map[Ref]bool{}, lists: map[*Ref]int{}, names: map[string]bool{}, said: map[string]bool{}}
}

// add takes one difference more.
func (g *group) add(d *Difference) {
	g.all = append(g.all, d)
	g.callers = g.list(g.callers, d.From)
	g.servers = g.list(g.servers, d.Servers)
	if t := d.target(); !g.names[t] {
		g.names[t] = true
		g.targets = append(g.targets, t)
	}
	if c := d.cause(); !g.said["object "+c.Object] {
		g.said["object "+c.Object] = true
		g.objects = append(g.objects, c)
	}
	if !g.said["when "+d.Condition] {
		g.said["when "+d.Condition] = true
		g.conditions = append(g.conditions, d.Condition)
	}
}

// list adds those of a list that are not there.
func (g *group) list(to, refs []Ref) []Ref {
	if len(refs) == 0 || g.lists[&refs[0]] == len(refs) {
		return to
	}
	g.lists[&refs[0]] = len(refs)
	for _, r := range refs {
		if !g.refs[r] {
			g.refs[r] = true
			to = append(to, r)
		}
	}
	return to
}

// cause is the first place that makes a difference.
func (d *Difference) cause() Cause {
	if len(d.Causes) == 0 {
		return Cause{}
	}
	return d.Causes[0]
}

// groups puts differences together by cause and effect, in the order of the differences.
func (r *Report) groups() []*group { return collect(r.Differences, (*Difference).ofCause) }

// ofCause is the same for what one cause does in one way.
func (d *Difference) ofCause() string {
	effect := d.Base.Verdict + d.Head.Verdict
	if d.Kind == Opened || d.Kind == Closed {
		effect += d.Base.Detail
	}
	return strings.Join([]string{d.Kind, d.Category, d.cause().File, d.cause().Object, d.Condition, d.From[0].Kind, effect}, "\x00")
}

// mostAlike is how many entries of one effect are shown each by itself where there is little room.
const mostAlike = 8

// folded are the groups as a comment has room for them: where more than a few objects of one kind do the same, as a line that was added to
// each VirtualService, they are one group.
func (r *Report) folded() []*group {
	alike, known := map[string]int{}, map[string]bool{}
	for _, d := range r.Differences {
		if effect, one := d.effect(), d.ofCause(); !known[effect+one] {
			known[effect+one] = true
			alike[effect]++
		}
	}
	return collect(r.Differences, func(d *Difference) string {
		if effect := d.effect(); alike[effect] > mostAlike {
			return effect
		}
		return "one " + d.ofCause()
	})
}

// effect is the same for what objects of one kind do in one way, each with what it is about. Of settings that are others the values
// count, of places where requests end only that they are others.
func (d *Difference) effect() string {
	kind, _, _ := strings.Cut(d.cause().Object, " ")
	parts := []string{d.Kind, d.Category, d.From[0].Kind, kind, d.cause().Field, d.Base.Verdict, d.Head.Verdict}
	if d.Kind == Changed || d.Kind == Tuned {
		own := strings.NewReplacer(d.target(), "it", d.Host, "it")
		parts = append(parts, own.Replace(d.Base.Detail), own.Replace(d.Head.Detail))
	} else {
		parts = append(parts, d.Condition)
	}
	return strings.Join(parts, "\x00")
}

// collect makes a group of the differences of each key, in their order.
func collect(list []*Difference, key func(*Difference) string) []*group {
	var out []*group
	at := map[string]*group{}
	for _, d := range list {
		k := key(d)
		if at[k] == nil {
			at[k] = newGroup(d)
			out = append(out, at[k])
		}
		at[k].add(d)
	}
	return out
}

// target is what the requests of a difference ask for.
func (d *Difference) target() string {
	switch d.Host {
	case "":
		return fmt.Sprintf("port %d", d.Port)
	case AnyHost:
		return fmt.Sprintf("any unknown name:%d", d.Port)
	}
	return fmt.Sprintf("%s:%d", d.Host, d.Port)
}

// some lists the first of many.
func some[T fmt.Stringer](list []T, most int) string {
	var out []string
	for _, x := range list[:min(len(list), most)] {
		out = append(out, x.String())
	}
	if n := len(list) - most; n > 0 {
		out = append(out, fmt.Sprintf("%d more", n))
	}
	return strings.Join(out, ", ")
}

// word is a text that prints itself.
type word string

func (w word) String() string { return string(w) }

func words(list []string) []word {
	out := make([]word, len(list))
	for i, s := range list {
		out[i] = word(s)
	}
	return out
}

// headline says what a group is about.
func (g *group) headline() string {
	to := some(words(g.targets), 3)
	if len(g.servers) > 0 {
		to = some(g.servers, 3) + " as " + to
	}
	return fmt.Sprintf("%s, %s: %s -> %s", g.Kind, g.Category, some(g.callers, 5), to)
}

// explained says what a kind means.
func explained(kind string) string {
	switch kind {
	case Opened:
		return "was refused, is let through"
	case Closed:
		return "was let through, is refused"
	case Moved:
		return "ends elsewhere, in other shares, or with another answer"
	case Changed:
		return "ends where it did, on another way"
	}
	return "no single request shows it"
}

// side says what happens on one side.
func (e End) String() string {
	if strings.HasPrefix(e.Detail, AtPlaces) {
		return e.Verdict + " " + e.Detail
	}
	return strings.TrimSuffix(e.Verdict+": "+e.Detail, ": ")
}

// String is the place of a cause.
func (c Cause) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s:%d %s %s", c.File, c.Line, c.Object, c.Field))
}

func (u Undecided) String() string {
	who := some(append(slices.Clip(u.From), u.Servers...), 5)
	host := cmp.Or(u.Host, AnyHost)
	return fmt.Sprintf("undecided: %s for %s, %s: %s", u.Resource, who, host, u.Why)
}

// sum says how much there is of what.
func (r *Report) sum() string {
	if r.Base == r.Head {
		return "0 differences: the configuration is the same"
	}
	l := r.Ledger
	s := fmt.Sprintf("%s by %s, %d undecided", show.Count(len(r.Differences), "difference"), show.Count(len(r.causes()), "cause"), len(r.Undecided))
	if !r.Differs() {
		s = "0 differences: all that changed is equal in effect"
	}
	if n := len(r.Waived); n > 0 {
		s += fmt.Sprintf(", %d waived", n)
	}
	return s + fmt.Sprintf("; resources, workloads and other parts that changed: %d, of which %d equal in effect, %d with a witness, %d undecided", l.Changed, l.Equal, l.Witnessed, l.Undecided)
}

// causes lists the objects that make the differences.
func (r *Report) causes() map[string]bool {
	out := map[string]bool{}
	for _, d := range r.Differences {
		for _, c := range d.Causes[:min(1, len(d.Causes))] {
			out[c.File+c.Object] = true
		}
	}
	return out
}

// doubts are what could not be decided, as a comment has room for it: where more than a few objects of one kind leave the same undecided, one
// stands for all.
func (r *Report) doubts() []string {
	alike := map[string]int{}
	for _, u := range r.Undecided {
		alike[u.effect()]++
	}
	var out []string
	for _, u := range r.Undecided {
		key := u.effect()
		n := alike[key]
		if n > mostAlike {
			kind, _, _ := strings.Cut(u.Causes[0].Object, " ")
			out = append(out, fmt.Sprintf("undecided: %d × %s %s, of which one is this: %s", n, kind, u.Causes[0].Field, u.place()))
			alike[key] = -1 // said
		} else if n >= 0 {
			out = append(out, u.place())
		}
	}
	return out
}

// place is what could not be decided, with its first cause.
func (u Undecided) place() string {
	if len(u.Causes) == 0 {
		return u.String()
	}
	return u.String() + "  [" + u.Causes[0].String() + "]"
}

// effect is the same for what objects of one kind leave undecided in one way.
func (u Undecided) effect() string {
	if len(u.Causes) == 0 || u.Kind == "" {
		return u.place()
	}
	kind, _, _ := strings.Cut(u.Causes[0].Object, " ")
	return strings.Join([]string{u.Kind, u.Category, kind, u.Causes[0].Field}, "\x00")
}
