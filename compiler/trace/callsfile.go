package trace

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Expectation is one call of a file, with the ends that its author wants.
//
//	# comment
//	testers: GET http://reviews/ from shop/web -H end-user=jason
//	  80% allowed at shop/reviews-v1:8080
//	  20% allowed at shop/reviews-v2
//	  with timeout 5s
//	DELETE http://reviews/ from shop/*
//	  denied 403 by shop/reviews rule 0
//
// Each indented line is one end, in the order of the walk: [CHANCE%] VERDICT [STATUS] [at WHERE[:PORT]] [by TEXT]; or, behind the
// ends, what is done to the request on its way: with EFFECT or without EFFECT. What is left out is not looked at; TEXT is a part of
// the reason, or FILE:LINE of what decided. A call may have a name before it, and is one of several clients where FROM has a
// star or commas.
type Expectation struct {
	Line    int    // of the call
	Name    string // "" if it has none
	Call    string
	Request Request
	Want    []string // ends
	Effects []string // lines of effects
}

// Statement is a line of a file of calls that says something of many calls: see package assert.
type Statement struct {
	Line int
	Name string
	Text string
}

// CallsFile is a file of calls and statements.
type CallsFile struct {
	Calls      []Expectation
	Statements []Statement
}

// statementWords begin statements. Methods are written in upper case, and URLs have a scheme.
var statementWords = []string{"only", "nobody", "nothing", "every", "no"}

var namePattern = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9_. -]{0,62}): +`)

// ParseCalls reads the calls of a file. The error names the line.
func ParseCalls(text string) ([]Expectation, error) {
	f, err := ParseCallsFile(text)
	return f.Calls, err
}

// ParseCallsFile reads a file of calls. The error names the line.
func ParseCallsFile(text string) (CallsFile, error) {
	var out CallsFile
	under := "" // what the line before was about
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		fault := func(format string, args ...any) (CallsFile, error) {
			return CallsFile{}, fmt.Errorf("line %d: %w", i+1, fmt.Errorf(format, args...))
		}
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case trimmed == strings.TrimRight(line, " \t\r"):
			name, call := cutName(trimmed)
			if word, _, _ := strings.Cut(call, " "); slices.Contains(statementWords, word) {
				under = "statement"
				out.Statements = append(out.Statements, Statement{i + 1, name, call})
				continue
			}
			under = "call"
			r, err := ParseCall(call)
			if err != nil {
				return fault("%w", err)
			}
			out.Calls = append(out.Calls, Expectation{Line: i + 1, Name: name, Call: call, Request: r})
		case under == "":
			return fault("an end without a call before it")
		case under == "statement":
			return fault("a statement has no ends: it says all in its line")
		case strings.HasPrefix(trimmed, "with"):
			if err := checkEffect(trimmed); err != nil {
				return fault("%w", err)
			}
			last := &out.Calls[len(out.Calls)-1]
			last.Effects = append(last.Effects, trimmed)
		default:
			if !endPattern.MatchString(trimmed) {
				return fault("%q is no end: write [CHANCE%%] allowed, denied, answered, failed or depends, then [STATUS] [at WHERE[:PORT]] [by TEXT]; or with EFFECT", trimmed)
			}
			last := &out.Calls[len(out.Calls)-1]
			last.Want = append(last.Want, trimmed)
		}
	}
	return out, nil
}

// cutName splits a name off a call or statement.
func cutName(line string) (name, rest string) {
	if m := namePattern.FindStringSubmatch(line); m != nil {
		return m[1], line[len(m[0]):]
	}
	return "", line
}

var endPattern = regexp.MustCompile(`^(?:([0-9.]+%) )?(allowed|denied|answered|failed|depends)(?: ([0-9]{3}))?(?: at (\S+?(?: and [0-9]+ more)?)(?::([0-9]+))?)?(?: by (.+))?$`)

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
	if len(e.Want)+len(e.Effects) == 0 {
		return "it expects nothing; it is\n  " + strings.Join(ends, "\n  ")
	}
	fits := len(leaves) == len(e.Want) || len(e.Want) == 0
	for i := 0; fits && i < len(e.Want); i++ {
		fits = matchEnd(e.Want[i], leaves[i])
	}
	if !fits {
		return "it is\n  " + strings.Join(ends, "\n  ") + "\nand should be\n  " + strings.Join(e.Want, "\n  ")
	}
	for _, want := range e.Effects {
		if why := r.checkEffect(want); why != "" {
			return why
		}
	}
	return ""
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

// UpdateCalls returns the text of a file of calls with the ends that each call has. Comments, statements and lines of effects stay.
func UpdateCalls(text string, ends func(Expectation) ([]string, error)) (string, error) {
	f, err := ParseCallsFile(text)
	if err != nil {
		return "", err
	}
	byLine := map[int]Expectation{}
	for _, c := range f.Calls {
		byLine[c.Line] = c
	}
	var out []string
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed != "" && !strings.HasPrefix(trimmed, "#") && !strings.HasPrefix(trimmed, "with") && trimmed != strings.TrimRight(line, " \t\r") {
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

// Callers returns the request of a call for each client that it names: several are written with commas, and stars take
// workloads of the bundle that have a proxy. What a name without a star leads to, the walk says.
func (w *Tracer) Callers(r Request) ([]Request, error) {
	if !strings.ContainsAny(r.From, "*,") {
		return []Request{r}, nil
	}
	var out []Request
	add := func(from string) {
		if !slices.ContainsFunc(out, func(x Request) bool { return x.From == from }) {
			x := r
			x.From = from
			out = append(out, x)
		}
	}
	for _, p := range strings.Split(r.From, ",") {
		if p = strings.TrimSpace(p); !strings.Contains(p, "*") {
			add(p)
			continue
		}
		before := len(out)
		for i := range w.b.Workloads {
			x := &w.b.Workloads[i]
			if name := x.Namespace + "/" + x.Name; x.Proxy && !w.isGateway(x.Class) && Glob(p, name) {
				add(name)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("no workload with a proxy is called %s", p)
		}
	}
	return out, nil
}

// Glob tells whether a name fits a pattern, in which a star stands for any text.
func Glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		_, behind, found := strings.Cut(rest, p)
		if !found {
			return false
		}
		rest = behind
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
