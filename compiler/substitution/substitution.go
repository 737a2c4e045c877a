// Package substitution checks format strings of Envoy: texts with command operators, as %REQ(x-user):8%, that it replaces in
// header values and access logs. Envoy refuses the route or listener around one that it cannot read.
package substitution

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// operator is a command operator, or an escaped percent sign.
var operator = regexp.MustCompile(`%(%|([A-Z_0-9]+)(\((.*?)\))?(:[0-9]+)?%)`)

// WithoutQuery is the operator that a format has only if it names the extension behind it.
const WithoutQuery = "REQ_WITHOUT_QUERY"

// Names are the operators that every format knows.
func Names() []string { return slices.Sorted(maps.Keys(operators())) }

// Problem is what is wrong with a format, and what to do.
type Problem struct {
	Why, Help string
	Unknown   string // the operator that Envoy does not have
}

// Check returns what is wrong with a format; nil if nothing is. extra are operators of extensions that it names; they take
// arguments.
func Check(format string, extra ...string) *Problem {
	if strings.Contains(operator.ReplaceAllString(format, ""), "%") {
		return &Problem{Why: "a % that ends nowhere", Help: "Write %% for a percent sign."}
	}
	known := operators()
	for _, name := range extra {
		known[name] = syntax{required, optional}
	}
	for _, m := range operator.FindAllStringSubmatch(format, -1) {
		if m[1] == "%" {
			continue
		}
		if p := check(known, m[2], m[4], m[5]); p != nil {
			return p
		}
	}
	return nil
}

// check checks one operator: its name, argument and length.
func check(known map[string]syntax, name, arg, length string) *Problem {
	s, ok := known[name]
	bad := func(help, why string, args ...any) *Problem {
		return &Problem{Why: fmt.Sprintf(why, args...), Help: help}
	}
	switch {
	case !ok:
		p := bad("Write %% for a percent sign, or use an operator that Envoy has.", "the command operator %%%s%%, which Envoy does not have", name)
		p.Unknown = name
		return p
	case s.argument == required && arg == "":
		return bad("Write %"+name+"(…)%.", "the command operator %%%s%% without an argument", name)
	case s.argument == never && arg != "":
		return bad("Write %"+name+"%.", "the command operator %%%s(%s)%%, which takes no argument", name, arg)
	case s.length == never && length != "":
		return bad("Remove "+length+".", "the command operator %%%s%s%%, which takes no length", name, length)
	}
	if length != "" {
		if _, err := strconv.ParseUint(length[1:], 10, 64); err != nil {
			return bad("Write a smaller number.", "the length %s, which is too large", length[1:])
		}
	}
	if arg != "" {
		if why := argument(name, arg); why != "" {
			return bad("Correct the argument; see Envoy's reference of command operators.", "the command operator %%%s(%s)%%: %s", name, arg, why)
		}
	}
	return nil
}
