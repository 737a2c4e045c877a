package trace

import (
	"fmt"
	"regexp"
	"strings"
)

// Expectation is one call of a file, with the ends that its author wants.
//
//	# comment
//	GET http://reviews/ from shop/web -H end-user=jason
//	  80% allowed at shop/reviews-v1:8080
//	  20% allowed at shop/reviews-v2
//	DELETE http://reviews/ from shop/web
//	  denied 403 by shop/reviews rule 0
//
// Each indented line is one end, in the order of the walk: [CHANCE%] VERDICT [STATUS] [at WHERE[:PORT]] [by TEXT]. What
// is left out is not looked at; TEXT is a part of the reason, or FILE:LINE of what decided.
type Expectation struct {
	Line    int // of the call
	Call    string
	Request Request
	Want    []string
}

// ParseCalls reads a file of calls. The error names the line.
func ParseCalls(text string) ([]Expectation, error) {
	var out []Expectation
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case trimmed != strings.TrimRight(line, " \t\r"):
			if len(out) == 0 {
				return nil, fmt.Errorf("line %d: an end without a call before it", i+1)
			}
			if endPattern.FindString(trimmed) == "" {
				return nil, fmt.Errorf("line %d: %q is no end: write [CHANCE%%] allowed, denied, answered, failed or depends, then [STATUS] [at WHERE[:PORT]] [by TEXT]", i+1, trimmed)
			}
			out[len(out)-1].Want = append(out[len(out)-1].Want, trimmed)
		default:
			r, err := ParseCall(trimmed)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			out = append(out, Expectation{Line: i + 1, Call: trimmed, Request: r})
		}
	}
	return out, nil
}

var endPattern = regexp.MustCompile(`^(?:([0-9.]+%) )?(allowed|denied|answered|failed|depends)(?: ([0-9]{3}))?(?: at (\S+?)(?::([0-9]+))?)?(?: by (.+))?$`)

// Ends lists the ends of a result as a file of calls writes them.
func (r *Result) Ends() []string {
	var out []string
	for _, l := range r.Path.Leaves() {
		o := l.Outcome
		line := ""
		if l.Chance > 0 && l.Chance < 1 {
			line = percentText(l.Chance) + " "
		}
		line += strings.ReplaceAll(o.head(), "outside: ", "")
		if o.Verdict != Reached {
			line += " by " + strings.ReplaceAll(o.Text, "\n", " ")
		}
		out = append(out, line)
	}
	return out
}

// Check compares a result with what its author wants, and says what differs, "" when nothing does.
func (e *Expectation) Check(r *Result) string {
	leaves, ends := r.Path.Leaves(), r.Ends()
	if len(e.Want) == 0 {
		return "it expects nothing; it is\n  " + strings.Join(ends, "\n  ")
	}
	fits := len(leaves) == len(e.Want)
	for i := 0; fits && i < len(leaves); i++ {
		fits = matchEnd(e.Want[i], leaves[i])
	}
	if fits {
		return ""
	}
	return "it is\n  " + strings.Join(ends, "\n  ") + "\nand should be\n  " + strings.Join(e.Want, "\n  ")
}

func matchEnd(want string, l Leaf) bool {
	m := endPattern.FindStringSubmatch(want)
	if m == nil {
		return false
	}
	o := l.Outcome
	at := strings.TrimPrefix(o.At, "outside: ")
	return (m[1] == "" || m[1] == percentText(l.Chance)) && m[2] == o.Verdict && (m[3] == "" || m[3] == fmt.Sprint(o.Status)) &&
		(m[4] == "" || m[4] == at) && (m[5] == "" || m[5] == fmt.Sprint(o.Port)) &&
		(m[6] == "" || strings.Contains(o.Text, m[6]) || strings.Contains(place(o.Origins)+" ", m[6]+" ") || strings.Contains(place(o.Origins), m[6]+"]"))
}

// UpdateCalls returns the text of a file of calls with the ends that each call has. Comments stay.
func UpdateCalls(text string, ends func(Expectation) ([]string, error)) (string, error) {
	calls, err := ParseCalls(text)
	if err != nil {
		return "", err
	}
	byLine := map[int]Expectation{}
	for _, c := range calls {
		byLine[c.Line] = c
	}
	var out []string
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed != "" && !strings.HasPrefix(trimmed, "#") && trimmed != strings.TrimRight(line, " \t\r") {
			continue // an end of before
		}
		out = append(out, line)
		c, ok := byLine[i+1]
		if !ok {
			continue
		}
		is, err := ends(c)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", c.Line, err)
		}
		for _, e := range is {
			out = append(out, "  "+e)
		}
	}
	return strings.Join(out, "\n"), nil
}
