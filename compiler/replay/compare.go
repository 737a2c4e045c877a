package replay

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/trace"
)

// Kinds of differences, the gravest first. They are those of meshc diff.
const (
	Opened  = "opened"  // was refused, always or in part, and is let through
	Closed  = "closed"  // was let through, and is refused
	Moved   = "moved"   // ends elsewhere, in other shares, or with another answer
	Changed = "changed" // ends where it did on another way
	Tuned   = "tuned"   // only retries differ, which show when something fails
)

// Kinds lists the kinds, the gravest first.
func Kinds() []string { return []string{Opened, Closed, Moved, Changed, Tuned} }

// behaviour is a walk as values. A walk that ends in an error is that of a request that nothing takes.
type behaviour struct {
	ends    []string // where it ends, how often
	details []string // of ends: path, host and such
	effects []string
	tuning  []string
	passes  int // ends that let it through
	refuses int
	lines   []trace.Line // for people
}

func behaviourOf(r *trace.Result, err error) behaviour {
	if err != nil {
		return behaviour{ends: []string{"refused"}, refuses: 1, lines: []trace.Line{{Text: "failed: " + err.Error()}}}
	}
	b := behaviour{lines: r.Brief()}
	for _, s := range r.Path.AllSteps() {
		mesh := slices.ContainsFunc(s.Effects, trace.Effect.OfMesh)
		for _, e := range s.Effects {
			text := fmt.Sprintf("%s\x00%s\x00%s", e.Kind, e.Name, e.Value)
			switch {
			case e.Tuning():
				b.tuning = append(b.tuning, text)
			case mesh && (e.Kind == trace.EffectServerName || e.Kind == trace.EffectEndpoints): // one proxy of the mesh is as good as another
			default:
				b.effects = append(b.effects, text)
			}
		}
	}
	for _, l := range r.Path.Leaves() {
		o := l.Outcome
		chance := math.Round(l.Chance*1e6) / 1e6
		if o.Verdict == trace.Denied || o.Verdict == trace.Failed {
			b.refuses++
			b.ends = append(b.ends, fmt.Sprintf("%v %s refused", chance, strings.Join(l.When, ", ")))
			continue
		}
		b.passes++
		b.ends = append(b.ends, fmt.Sprintf("%v %s %s %d %s %d", chance, strings.Join(l.When, ", "), o.Verdict, o.Status, o.At, o.Port))
		b.details = append(b.details, fmt.Sprintf("%s %s %s %v", o.Path, o.Host, o.To, o.Effects))
	}
	for _, list := range []*[]string{&b.ends, &b.details, &b.effects, &b.tuning} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return b
}

// kindOf is the kind of the difference between two behaviours of one request; "" if there is none.
func kindOf(base, head behaviour) string {
	switch {
	case base.passes == 0 && head.passes == 0: // refused is refused, whatever the reason
		return ""
	case base.refuses > 0 && head.refuses == 0, base.passes == 0:
		return Opened
	case base.refuses == 0 && head.refuses > 0, head.passes == 0:
		return Closed
	case !slices.Equal(base.ends, head.ends):
		return Moved
	case !slices.Equal(base.effects, head.effects), !slices.Equal(base.details, head.details):
		return Changed
	case !slices.Equal(base.tuning, head.tuning):
		return Tuned
	}
	return ""
}

// apart returns the lines that only one side has, wherever they stand in the input. Where that leaves nothing, all are shown.
func apart(base, head []trace.Line) (before, after []string) {
	without := func(a, b []trace.Line) []string {
		out := []string{}
		for _, l := range a {
			if !slices.ContainsFunc(b, func(x trace.Line) bool { return x.Text == l.Text }) {
				out = append(out, l.String())
			}
		}
		return out
	}
	before, after = without(base, head), without(head, base)
	if len(before)+len(after) == 0 {
		return without(base, nil), without(head, nil)
	}
	return before, after
}

// routeOf names the first route of the input that a request meets, else its host.
func routeOf(r *trace.Result) string {
	for _, s := range r.Path.AllSteps() {
		if s.Kind == "route" && len(s.Origins) > 0 {
			o := s.Origins[0]
			return fmt.Sprintf("%s: %s [%s:%d]", s.Name, s.Text, o.File, o.Line)
		}
	}
	return ""
}
