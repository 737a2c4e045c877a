package lua

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Envoy runs a chunk once before it takes it, so that the functions in it are there, and refuses one that raises an error then.
// What is certain to run is known without running it: statements of the chunk itself up to the first jump, outside of branches,
// loops and functions, and those of a function that the chunk itself calls there by its name or where it stands. Among them are found those that are certain to raise: a call of error, an assertion of what is false, and
// a call or an index of a variable that is nil, since nothing before has set it. So a script that is the body of a handler
// without the function around it is refused, whose handle is nil. A chunk that may set variables in ways that its text does not
// show, by their names or from other files, is not looked at any further.

// library are the global variables that LuaJIT has, and those that Envoy adds.
func library(name string) bool {
	switch name {
	case "_G", "_VERSION", "assert", "collectgarbage", "dofile", "error", "gcinfo", "getfenv", "getmetatable", "ipairs", "load", "loadfile", "loadstring", "module", "newproxy", "next",
		"pairs", "pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setfenv", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall",
		"bit", "coroutine", "debug", "ffi", "io", "jit", "math", "os", "package", "string", "table", "EnvoyTimestampResolution":
		return true
	}
	return false
}

// hidden tells whether a global variable can be used to set others by their names.
func hidden(name string) bool {
	switch name {
	case "_G", "debug", "dofile", "ffi", "getfenv", "load", "loadfile", "loadstring", "module", "package", "require", "setfenv":
		return true
	}
	return false
}

// certainty is what is known of the moment when a chunk is loaded.
type certainty struct {
	unsure  int             // how many reasons there are that what is read now does not run, or not with what is known
	globals map[string]bool // that may have been set
	nils    map[int]bool    // locals of the chunk itself, by their slots, that are nil
	raised  *syntaxError    // the first that is raised; the rest of the chunk still has to be one

	last   functionBody            // the function that was read last
	bodies map[string]functionBody // functions by the variables of the chunk that hold them
	calls  *int                    // how many more of them are looked into
}

// functionBody is what a function does.
type functionBody struct {
	text       string
	line       int // where it begins
	parameters []string
	varargs    bool
	end        int // of the function, in the chunk
}

// mostCalls bounds how many calls are looked into for one chunk.
const mostCalls = 100

// key names a variable of the chunk itself, "" any other.
func (b bare) key() string {
	switch {
	case b.local && b.slot < 0:
		return ""
	case b.local:
		return strconv.Itoa(b.slot)
	}
	return b.name
}

// holds notes that a variable holds the function that was read last.
func (p *parser) holds(b bare) {
	if k := b.key(); k != "" && p.fn.outer == nil {
		p.bodies[k] = p.last
	}
}

// runs looks into a function that is certain to be called here. The variables of the chunk are there, with values that are not
// known, and so are its parameters.
func (p *parser) runs(f functionBody) {
	if p.unsure > 0 || f.end == 0 || *p.calls == 0 {
		return
	}
	*p.calls--
	if err := p.inside(f); err != nil {
		p.raise("%s, in a function that the script calls when Envoy loads it", err.what)
		p.raised.line = err.line
	}
}

func (p *parser) inside(f functionBody) (err *syntaxError) {
	defer func() { // it has been read before; what fails here are limits, of the variables of two functions together
		if r := recover(); r != nil {
			if _, ok := r.(*syntaxError); !ok {
				panic(r)
			}
			err = nil
		}
	}()
	sub := &parser{lexer: &lexer{text: f.text, line: f.line}, levels: p.levels, certainty: certainty{globals: maps.Clone(p.globals), nils: map[int]bool{}, bodies: maps.Clone(p.bodies), calls: p.calls}}
	sub.fn = &function{varargs: f.varargs, upvalues: map[upvalue]bool{}, locals: slices.Clone(p.fn.locals)}
	sub.advance()
	sub.open(false)
	sub.declare(f.parameters...)
	sub.chunk()
	sub.want(tokenEnd)
	sub.close()
	return sub.raised
}

// maybe reads what may not run, or not only once.
func (p *parser) maybe(read func()) {
	p.unsure++
	read()
	p.unsure--
}

// bare is a variable that is named alone.
type bare struct {
	name  string
	local bool
	slot  int // of the chunk itself; -1: of another function
}

// resolve tells which variable a name stands for here.
func (p *parser) resolve(name string) bare {
	for f := p.fn; f != nil; f = f.outer {
		for slot := len(f.locals) - 1; slot >= 0; slot-- {
			if f.locals[slot] != name {
				continue
			}
			if f.outer != nil {
				slot = -1
			}
			return bare{name, true, slot}
		}
	}
	return bare{name: name}
}

// set notes that a variable may have a value from here on.
func (p *parser) set(b bare) {
	if delete(p.bodies, b.key()); b.local && b.slot < 0 {
		clear(p.bodies) // it may be a variable of the chunk
	}
	switch {
	case b.local:
		delete(p.nils, b.slot)
	case b.name != "":
		p.globals[b.name] = true
	}
}

// raise notes an error that is certain. Nothing behind it runs.
func (p *parser) raise(format string, args ...any) {
	p.raised = &syntaxError{p.token.line, fmt.Sprintf(format, args...)}
	p.unsure++
}

// leaves notes a jump or a return of the chunk itself: what follows may not run.
func (p *parser) leaves() {
	if p.fn.outer == nil {
		p.unsure++ // from here to the end
	}
}

// used looks at a variable that is read; what follows it shows whether it is called or indexed.
func (p *parser) used(b bare) {
	if !b.local && hidden(b.name) {
		p.unsure++ // from here to the end
	}
	if p.unsure > 0 {
		return
	}
	kind := "global"
	if b.local {
		kind = "local"
	}
	does := ""
	switch p.token.kind {
	case ".", "[", ":":
		does = "index"
	case "(", tokenString, "{":
		does = "call"
	default:
		return
	}
	switch {
	case b.local && p.nils[b.slot], !b.local && !p.globals[b.name] && !library(b.name):
		p.raise("attempt to %s %s '%s' (a nil value) when Envoy loads the script; what uses a request stands in a function, as envoy_on_request(handle)", does, kind, b.name)
	case does == "call" && !b.local && !p.globals[b.name] && b.name == "error":
		p.raise("the script calls error when Envoy loads it")
	}
}

// asserts looks at the arguments of assert, behind their bracket: a constant that is false raises an error.
func (p *parser) asserts(callee bare) {
	if p.unsure > 0 || callee.local || callee.name != "assert" || p.globals["assert"] {
		return
	}
	next := p.token.kind
	if next == "nil" || next == "false" {
		next = p.lookahead().kind
	}
	if next == ")" || next == "," {
		p.raise("the script asserts what is false when Envoy loads it")
	}
}
