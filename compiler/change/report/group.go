package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// group is what one cause does in one way: differences that share the object, the effect and the condition, over all
// callers and servers.
type group struct {
	*Difference // the first, which stands for all
	all         []*Difference
	callers     []Ref
	targets     []string // HOST:PORT
	servers     []Ref
}

// groups puts differences together by cause and effect, in the order of the differences.
func (r *Report) groups() []*group {
	var out []*group
	at := map[string]*group{}
	callers := map[*group]map[Ref]bool{}
	for _, d := range r.Differences {
		cause := ""
		if len(d.Causes) > 0 {
			cause = d.Causes[0].File + " " + d.Causes[0].Object
		}
		effect := d.Base.Verdict + d.Head.Verdict
		if d.Kind == Opened || d.Kind == Closed {
			effect += d.Base.Detail
		}
		key := strings.Join([]string{d.Kind, d.Category, cause, d.Condition, d.From[0].Kind, effect}, "\x00")
		if len(out) > mostGroups { // so many causes are read by what they do only
			key = strings.Join([]string{d.Kind, d.Category, d.From[0].Kind}, "\x00")
		}
		g := at[key]
		if g == nil {
			g = &group{Difference: d}
			at[key], callers[g] = g, map[Ref]bool{}
			out = append(out, g)
		}
		g.all = append(g.all, d)
		for _, c := range d.From {
			if !callers[g][c] {
				callers[g][c] = true
				g.callers = append(g.callers, c)
			}
		}
		for _, s := range d.Servers {
			if !callers[g][s] {
				callers[g][s] = true
				g.servers = append(g.servers, s)
			}
		}
		if t := d.target(); !slices.Contains(g.targets[:min(len(g.targets), 1000)], t) {
			g.targets = append(g.targets, t)
		}
	}
	return out
}

// mostGroups is how many groups are made by cause.
const mostGroups = 2000

// target is what the requests of a difference ask for.
func (d *Difference) target() string {
	switch d.Host {
	case "":
		return fmt.Sprintf("port %d", d.Port)
	case AnyHost:
		return fmt.Sprintf("any name that is not known, port %d", d.Port)
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
	who := some(slices.Concat(u.From, u.Servers), 5)
	host := cmp.Or(u.Host, AnyHost)
	return fmt.Sprintf("undecided: %s for %s, %s: %s", u.Resource, who, host, u.Why)
}

// sum says how much there is of what.
func (r *Report) sum() string {
	if r.Base == r.Head {
		return "0 differences: the configuration is the same"
	}
	l := r.Ledger
	s := fmt.Sprintf("%d differences by %d causes, %d undecided", len(r.Differences), len(r.causes()), len(r.Undecided))
	if !r.Differs() {
		s = "0 differences: all that changed is equal in effect"
	}
	if n := len(r.Waived); n > 0 {
		s += fmt.Sprintf(", %d waived", n)
	}
	return s + fmt.Sprintf("; of %d resources and workloads that changed %d are equal in effect, %d have a witness, %d are undecided", l.Changed, l.Equal, l.Witnessed, l.Undecided)
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
