// Package suggest guesses which name was meant by one that does not exist.
package suggest

import (
	"slices"
	"strings"
)

// Word returns the candidate that a misspelled name most likely means, or "".
func Word(name string, candidates []string) string {
	found := names(name, candidates)
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

const (
	mostMeant  = 3 // candidates that are equally near and still worth a question
	mostListed = 8 // candidates that are worth listing, where none is near
)

// Hint is a sentence that helps with a name that does not exist: it asks whether a near one was meant, or lists what there is
// if that is little. kind is what the names are, in the plural. Without candidates it is empty.
func Hint(kind, name string, candidates []string) string {
	found := names(name, candidates)
	candidates = unique(candidates)
	switch {
	case len(found) > 0 && len(found) <= mostMeant:
		return "Did you mean " + list(found, "or") + "?"
	case len(candidates) == 0 || len(candidates) > mostListed:
		return ""
	}
	if len(candidates) == 1 {
		return "There is only " + candidates[0] + "."
	}
	return "There are the " + kind + " " + list(candidates, "and") + "."
}

func list(words []string, last string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

func unique(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.DeleteFunc(slices.Compact(words), func(w string) bool { return w == "" })
}

// longest is the longest name for which another may be meant: comparing takes the product of two lengths.
const longest = 1024

// names returns the candidates that are nearest, all equally near, in order. One that differs in nothing but case and
// underscores is nearest; others may differ in a third of the letters, at most, and in one of short names.
func names(name string, candidates []string) []string {
	if len(name) > longest {
		return nil
	}
	limit := max(1, min(len(name)/3, 8))
	if len(name) >= 4 {
		limit = max(2, limit)
	}
	var best []string
	for _, c := range unique(candidates) {
		if len(c) > longest {
			continue
		}
		d := 0
		if !strings.EqualFold(plain(name), plain(c)) {
			d = max(1, Distance(strings.ToLower(name), strings.ToLower(c)))
		}
		switch {
		case d > limit || c == name:
		case d < limit, len(best) == 0:
			best, limit = []string{c}, d
		default:
			best = append(best, c)
		}
	}
	return best
}

func plain(s string) string { return strings.NewReplacer("_", "", "-", "").Replace(s) }

// Distance is how many letters have to be put in, left out, replaced or swapped with the next to make one word of the other.
func Distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		twoBefore := before
		before, row = row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(before[j]+cost, before[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], twoBefore[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// Parts returns the candidates of which one part is nearly that of a name and all others are equal: of hosts split at dots, of
// objects at the slash behind their namespace. One that only goes on behind the name counts, too, as a host that was cut short.
func Parts(name, separator string, candidates []string) []string {
	parts := strings.Split(name, separator)
	var out []string
	for _, c := range unique(candidates) {
		if strings.HasPrefix(c, name+separator) || oneOff(parts, strings.Split(c, separator)) {
			out = append(out, c)
		}
	}
	return out
}

func oneOff(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	at := -1
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		if at >= 0 {
			return false
		}
		at = i
	}
	return at >= 0 && Word(a[at], b[at:at+1]) != ""
}

// Ask makes a question of the few names that may have been meant; of none, or of too many, nothing.
func Ask(names []string) string {
	if len(names) == 0 || len(names) > mostMeant {
		return ""
	}
	return "Did you mean " + list(names, "or") + "?"
}
