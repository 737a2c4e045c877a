package diag

import (
	"fmt"
	"strings"

	"github.com/meshc/meshc/internal/show"
)

const (
	fewAlike   = 3 // findings that are alike and are still shown one by one
	shownAlike = 5 // places of others that are listed
)

// groups puts findings together that say the same about several places, in the order of the first of each. What is for
// information counts as the same by its code alone. A few are left apart, since each shows its line.
func groups(l List) []List {
	type key struct{ code, message, help string }
	keyOf := func(d Diagnostic) key {
		if d.Severity == Info {
			return key{code: d.Code}
		}
		return key{d.Code, d.Message, d.Help}
	}
	count := map[key]int{}
	for _, d := range l {
		count[keyOf(d)]++
	}
	var out []List
	at := map[key]int{}
	for _, d := range l {
		k := keyOf(d)
		if count[k] <= fewAlike {
			out = append(out, List{d})
			continue
		}
		if i, begun := at[k]; begun {
			out[i].Add(d)
			continue
		}
		at[k] = len(out)
		out = append(out, List{d})
	}
	return out
}

// others lists where else a finding holds.
func (p *textPrinter) others(l List) {
	if len(l) == 0 {
		return
	}
	places := make([]string, 0, shownAlike)
	for _, d := range l[:min(len(l), shownAlike)] {
		places = append(places, show.Harmless(show.OneLine(d.Pos.String())))
	}
	more := ""
	if n := len(l) - len(places); n > 0 {
		more = fmt.Sprintf(" and %d more places, which -o json lists", n)
	}
	fmt.Fprintf(p, "  and %d more like it, at %s%s\n", len(l), strings.Join(places, ", "), more)
}
