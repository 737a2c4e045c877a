// Package behaviour turns walks of requests into values that can be compared: where a request ends and how often, what is done to it
// on its way, and what stands for later. Two walks differ in the gravest of these in which they are not alike; that a request is refused
// for another reason is no difference.
package behaviour

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/change/report"
	"github.com/meshc/meshc/compiler/trace"
)

// Behaviour is a walk as values. A walk that ends in an error is that of a request that nothing takes.
type Behaviour struct {
	ends    []string // where it ends, how often
	details []string // of ends: path, host and such
	effects []string
	tuning  []string
	passes  int // ends that let it through
	refuses int
	lines   []trace.Line // for people

	answers  []string         // errors that the input asks a proxy to answer with
	outcomes []*trace.Outcome // those that refuse first
}

// Of reads the result of a walk, or its error.
func Of(r *trace.Result, err error) Behaviour {
	if err != nil {
		return Behaviour{ends: []string{"refused"}, refuses: 1, lines: []trace.Line{{Text: "failed: " + err.Error()}}}
	}
	b := Behaviour{lines: r.Brief()}
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
		if o.Verdict == trace.Denied || o.Verdict == trace.Failed || o.Verdict == trace.Answered && o.Status >= 400 {
			if o.Verdict == trace.Answered {
				b.answers = append(b.answers, fmt.Sprint(o.Status, o.Effects))
			}
			b.refuses++
			b.outcomes = slices.Insert(b.outcomes, b.refuses-1, o)
			b.ends = append(b.ends, fmt.Sprintf("%v %s refused", chance, strings.Join(l.When, ", ")))
			continue
		}
		b.passes++
		b.outcomes = append(b.outcomes, o)
		b.ends = append(b.ends, fmt.Sprintf("%v %s %s %d %s %d", chance, strings.Join(l.When, ", "), o.Verdict, o.Status, o.At, o.Port))
		b.details = append(b.details, fmt.Sprintf("%s %s %s %v", o.Path, o.Host, o.To, o.Effects))
	}
	for _, list := range []*[]string{&b.ends, &b.details, &b.effects, &b.tuning} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return b
}

// Refused is that of a request which nothing takes.
func Refused(why string) Behaviour {
	return Of(nil, errors.New(why))
}

// Untouched is that of a request which no proxy meets.
func Untouched(at string) Behaviour {
	return Of(&trace.Result{Path: &trace.Path{Outcome: &trace.Outcome{Verdict: trace.Reached, At: at, Text: "no proxy takes it"}}}, nil)
}

// Misread tells whether a proxy expects another protocol than that of the connection.
func (b Behaviour) Misread() bool {
	return slices.ContainsFunc(b.outcomes, func(o *trace.Outcome) bool { return o.Misread })
}

// Unprotected tells whether a connection fails for how it is protected.
func (b Behaviour) Unprotected() bool {
	return slices.ContainsFunc(b.outcomes, func(o *trace.Outcome) bool { return o.Unprotected })
}

// Key is the same for behaviours that differ in nothing but details of their ends.
func (b Behaviour) Key() string { return fmt.Sprintf("%q\x00%q", b.ends, b.effects) }

// Kind is the kind of the difference between two behaviours of one request; "" if there is none.
func Kind(base, head Behaviour) string {
	switch {
	case base.passes == 0 && head.passes == 0: // refused is refused, whatever the reason, but not whatever the answer
		if !slices.Equal(base.answers, head.answers) {
			return report.Moved
		}
		return ""
	case base.refuses > 0 && head.refuses == 0, base.passes == 0:
		return report.Opened
	case base.refuses == 0 && head.refuses > 0, head.passes == 0:
		return report.Closed
	case !slices.Equal(base.ends, head.ends):
		return report.Moved
	case !slices.Equal(base.effects, head.effects), !slices.Equal(base.details, head.details):
		return report.Changed
	case !slices.Equal(base.tuning, head.tuning):
		return report.Tuned
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

// Apart returns the lines that say what the one does and the other does not.
func (b Behaviour) Apart(head Behaviour) (before, after []string) { return apart(b.lines, head.lines) }

// End is what becomes of a request, for people.
func (b Behaviour) End() report.End {
	var texts []string
	for _, l := range b.outcomes {
		if !slices.Contains(texts, l.Text) {
			texts = append(texts, l.Text)
		}
	}
	verdict := trace.Failed
	if len(b.outcomes) > 0 {
		verdict = b.outcomes[0].Verdict
	}
	return report.End{Verdict: verdict, Detail: strings.Join(texts, " | ")}
}

// Passes tells whether any of a request is let through.
func (b Behaviour) Passes() bool { return b.passes > 0 }
