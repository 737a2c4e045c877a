package sets

import (
	"fmt"
	"slices"
	"strings"
)

// Names is a set of names out of an endless supply: some, or all but some. It is for what is compared as a whole only, such as the
// name of a filter chain or the class of a caller. The zero value is empty.
type Names struct {
	names []string // sorted
	but   bool     // all but these
}

// OneOf has the names given.
func OneOf(names ...string) Names {
	s := slices.Clone(names)
	slices.Sort(s)
	return Names{names: slices.Compact(s)}
}

// Not has all other names.
func (s Names) Not() Names { return Names{s.names, !s.but} }

// And has what both sets have.
func (s Names) And(t Names) Names {
	switch {
	case s.but && t.but:
		return OneOf(slices.Concat(s.names, t.names)...).Not()
	case s.but:
		s, t = t, s
	}
	return Names{names: slices.DeleteFunc(slices.Clone(s.names), func(n string) bool { return !t.Has(n) })}
}

// Or has what either set has.
func (s Names) Or(t Names) Names { return s.Not().And(t.Not()).Not() }

// Minus has what the other set lacks.
func (s Names) Minus(t Names) Names { return s.And(t.Not()) }

// Empty tells whether there is no name in the set.
func (s Names) Empty() bool { return !s.but && len(s.names) == 0 }

// Has tells whether a name is in the set.
func (s Names) Has(name string) bool {
	_, found := slices.BinarySearch(s.names, name)
	return found != s.but
}

// Equal tells whether two sets have the same names.
func (s Names) Equal(t Names) bool { return s.but == t.but && slices.Equal(s.names, t.names) }

// String lists the names.
func (s Names) String() string {
	switch {
	case s.Empty():
		return "nothing"
	case len(s.names) == 0:
		return "anything"
	case s.but:
		return "not " + strings.Join(s.names, ", ")
	default:
		return strings.Join(s.names, ", ")
	}
}

func (s Names) key() string { return fmt.Sprintf("names%v%q", s.but, s.names) }
