// Package sets decides questions about conditions of proxies: which requests meet one and not another, and which requests
// two lists of rules treat differently. What it says is proven, not sampled: an empty answer means that there is no such
// request, and every other answer comes with a request that shows it.
//
// A set is one of Strings (exact, prefix, suffix, contains, regular expressions, path templates, any combination of these, and
// absence), Addresses (ranges of IPv4 and IPv6), Ports and Names (finite sets and their complements). Strings are regular
// languages over bytes, as Envoy's RE2 reads Latin-1. An expression is never expanded into an automaton as a whole: states are
// formulas over states of the patterns, made when a search gets there, simplified and kept once each, so a pattern that
// has failed or can fail no more vanishes. The cheapest word of a set is found by Dijkstra's algorithm over these states, where
// letters cost less than other characters, and those that no request should hold cost most.
//
// A condition (Cond) is a tree of and, or and not over "dimension is in set": path, method, header x, source address. A Space
// says what values each dimension can have and which of them are preferred as examples. A List is an ordered list of rules with
// an outcome each; the first whose condition holds decides. Space.Differences compares two lists:
//
//	space := sets.NewSpace(sets.Path(), sets.Method("GET"), sets.Header("x-user"))
//	base := sets.List{Rules: []sets.Rule{{When: sets.In("path", sets.Prefix("/a", false)), Outcome: "v1"}}, Default: "404"}
//	cells, err := space.Differences(sets.Query{Base: base, Head: head})
//
// Each Cell names the rules that decide in base and in head, with different outcomes, and a witness with a value for each dimension
// that the lists mention. Without an error, every request that no cell covers has equal outcomes. With ErrBudget the cells are true and the
// search is incomplete: what was compared is undecided.
//
// The comparison goes like this. Rules that both lists have in the same order (a longest common subsequence) make no
// difference by themselves: a request has to meet a changed rule first. Unchanged rules that have nothing in common with the
// changed ones are left out. The values of each dimension are parted into classes that the conditions left cannot tell apart, by walking the automata of
// all conditions of a dimension at once; every class has its cheapest value. What remains is finite: a box (some classes of each dimension) is split
// by the first condition that is undecided in it, changed rules first, until both lists are decided, or nothing
// but unchanged rules is left, or all that could be found is found already. Boxes that look the same to the rules left are
// looked at once.
package sets

import "errors"

// ErrBudget says that a question took more steps than it was given: its answer is not known.
var ErrBudget = errors.New("undecided: the conditions are too many or too large to be compared within the limit")

// DefaultBudget is the number of steps (states of automata and boxes of requests) that a question has if it names none. It
// is some hundred milliseconds of work.
const DefaultBudget = 200_000
