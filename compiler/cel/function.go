package cel

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/meshc/meshc/compiler/re2"
)

// function checks a call of a function.
func (p *parser) function(t token, args []node) {
	if p.form {
		return
	}
	switch t.text {
	case "has":
		if len(args) == 1 && !args[0].field {
			fail(t.at, "has takes a field, as a.b")
		}
		p.known(t, len(args), 1)
	case "size", "timestamp", "duration", "int", "uint", "double", "bytes", "bool", "type", "dyn":
		p.known(t, len(args), 1)
	case "contains", "startsWith", "endsWith", "matches":
		p.known(t, len(args), 2)
		p.pattern(t, args)
	default:
		p.known(t, len(args))
	}
}

// method checks a call of a function of something.
func (p *parser) method(t token, args []node) {
	if p.form {
		return
	}
	switch t.text {
	case "all", "exists", "exists_one", "filter", "map":
		fail(t.at, "Envoy has %s switched off, as all that loops", t.text)
	case "size":
		p.known(t, len(args), 0)
	case "contains", "startsWith", "endsWith", "matches":
		p.known(t, len(args), 1)
		p.pattern(t, args)
	case "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds":
		p.known(t, len(args), 0, 1)
	default:
		p.known(t, len(args))
	}
}

func (p *parser) known(t token, count int, counts ...int) {
	if !slices.Contains(counts, count) {
		fail(t.at, "Envoy has no function %s with %d arguments here", t.text, count)
	}
}

// pattern checks a regular expression that does not change.
func (p *parser) pattern(t token, args []node) {
	last := args[len(args)-1].text
	if t.text != "matches" || last == nil {
		return
	}
	expr, plain := plainText(*last)
	if !plain {
		return
	}
	switch n, err := re2.ProgramSize(expr); {
	case err != nil:
		fail(last.at, "RE2 does not take the regular expression: %v", err)
	case n > re2.Default:
		fail(last.at, "the regular expression has the RE2 program size %d, and %d is the most that Envoy takes in an expression", n, re2.Default)
	}
}

// message reads the fields of a message that is written out.
func (p *parser) message(path string) node {
	at := p.token.at
	m, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(strings.TrimPrefix(path, ".")))
	if err != nil && !p.form {
		fail(at, "Envoy has no message %s", path)
	}
	p.advance()
	n := p.list("}", func() node {
		t := p.token
		p.want(name)
		if !p.form && m.Descriptor().Fields().ByName(protoreflect.Name(t.text)) == nil {
			fail(t.at, "%s has no field %s", path, t.text)
		}
		p.want(":")
		return p.expression()
	})
	return n
}
