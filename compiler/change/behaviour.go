package change

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/trace"
)

// Behaviour is what happens to a request, as values: two that are equal treat it alike, whatever the words for it.
type Behaviour struct {
	Effects []trace.Effect // of all branches, sorted, each once; without what only shows when something fails
	Ends    []End          // sorted
	Lines   []trace.Line   // the same for people
}

// End is one end of a request, and how often it is reached.
type End struct {
	Place
	Path    string         // of the request that an application gets
	Host    string         // the same
	To      string         // of a redirect
	Effects []trace.Effect // what the answer of a proxy is like
}

// Place is where a request ends.
type Place struct {
	Chance  float64 // 0: not known
	When    string  // what chooses this end
	Verdict string  // of trace
	Status  int
	At      string
	Port    uint16
}

// behaviourOf reads the values off a walk.
func behaviourOf(r *trace.Result) Behaviour {
	b := Behaviour{Lines: r.Brief()}
	for _, s := range r.Path.AllSteps() {
		mesh := slices.ContainsFunc(s.Effects, trace.Effect.OfMesh)
		for _, e := range s.Effects {
			switch {
			case e.Tuning():
			case mesh && (e.Kind == trace.EffectServerName || e.Kind == trace.EffectEndpoints): // one proxy of the mesh is as good as another
			default:
				b.Effects = append(b.Effects, e)
			}
		}
	}
	slices.SortFunc(b.Effects, func(a, c trace.Effect) int {
		return cmp.Or(cmp.Compare(a.Kind, c.Kind), cmp.Compare(a.Name, c.Name), cmp.Compare(a.Value, c.Value))
	})
	b.Effects = slices.Compact(b.Effects)
	for _, l := range r.Path.Leaves() {
		o := l.Outcome
		at := Place{Chance: math.Round(l.Chance*1e6) / 1e6, When: strings.Join(l.When, ", "), Verdict: o.Verdict, Status: o.Status, At: o.At, Port: o.Port}
		b.Ends = append(b.Ends, End{Place: at, Path: o.Path, Host: o.Host, To: o.To, Effects: o.Effects})
	}
	slices.SortStableFunc(b.Ends, func(a, c End) int { return comparePlaces(a.Place, c.Place) })
	return b
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.When, b.When), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.At, b.At), cmp.Compare(a.Port, b.Port),
		cmp.Compare(a.Status, b.Status), cmp.Compare(a.Chance, b.Chance))
}

// key is equal for equal behaviour.
func (b Behaviour) key() string {
	text, err := json.Marshal(struct {
		Effects []trace.Effect
		Ends    []End
	}{b.Effects, b.Ends})
	if err != nil {
		panic("change: " + err.Error()) // strings and numbers only
	}
	return string(text)
}

// alike drops what tells one witness of a difference from another: the request as the application gets it.
func (b Behaviour) alike() Behaviour {
	b.Ends = slices.Clone(b.Ends)
	for i := range b.Ends {
		if e := &b.Ends[i]; e.Verdict == trace.Reached {
			e.Path, e.Host = "", ""
		}
	}
	return b
}

// places are where a request ends.
func (b Behaviour) places() []Place {
	var out []Place
	for _, e := range b.Ends {
		out = append(out, e.Place)
	}
	return out
}

// balance counts the ends of a request that is let through or answered, and of one that is refused.
func (b Behaviour) balance() (good, bad int) {
	for _, e := range b.Ends {
		switch e.Verdict {
		case trace.Denied, trace.Failed:
			bad++
		default:
			good++
		}
	}
	return good, bad
}

func kindOf(base, head Behaviour) string {
	goodBefore, badBefore := base.balance()
	goodAfter, badAfter := head.balance()
	switch {
	case badBefore > 0 && badAfter == 0 || goodBefore == 0 && goodAfter > 0:
		return Opened
	case badBefore == 0 && badAfter > 0 || goodBefore > 0 && goodAfter == 0:
		return Closed
	case !slices.Equal(base.places(), head.places()):
		return Moved
	}
	return Changed
}
