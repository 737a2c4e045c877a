package lua

import "github.com/meshc/meshc/internal/limit"

// parser reads a chunk.
type parser struct {
	*lexer
	token  token
	ahead  *token // read already
	fn     *function
	levels int
	certainty
}

// advance goes to the next token.
func (p *parser) advance() {
	if p.ahead != nil {
		p.token, p.ahead = *p.ahead, nil
		return
	}
	p.token = p.lexer.next()
}

// lookahead is the token after this one.
func (p *parser) lookahead() token {
	if p.ahead == nil {
		t := p.lexer.next()
		p.ahead = &t
	}
	return *p.ahead
}

func (p *parser) unexpected() {
	panic(&syntaxError{p.token.line, "unexpected symbol near '" + p.token.String() + "'"})
}

// accept goes past a token if it is there.
func (p *parser) accept(k kind) bool {
	if p.token.kind != k {
		return false
	}
	p.advance()
	return true
}

// want goes past a token that has to be there.
func (p *parser) want(k kind) {
	if !p.accept(k) {
		panic(&syntaxError{p.token.line, "'" + string(k) + "' expected near '" + p.token.String() + "'"})
	}
}

func (p *parser) name() string {
	text := p.token.text
	p.want(tokenName)
	return text
}

// deeper counts how deep the chunk is nested; its result ends a level.
func (p *parser) deeper() func() {
	if p.levels++; p.levels > limit.ChunkDepth {
		p.fail("the chunk is nested too deep: more than %d levels", limit.ChunkDepth)
	}
	return func() { p.levels-- }
}

// atEnd tells whether a block ends here.
func (p *parser) atEnd() bool {
	switch p.token.kind {
	case tokenEnd, "end", "else", "elseif", "until":
		return true
	}
	return false
}

// chunk reads statements up to the end of a block.
func (p *parser) chunk() {
	defer p.deeper()()
	for !p.atEnd() {
		if last := p.statement(); last {
			p.accept(";")
			if !p.atEnd() {
				p.unexpected()
			}
			return
		}
	}
}

// body reads a block of its own.
func (p *parser) body(loop bool, names ...string) {
	p.open(loop)
	p.declare(names...)
	p.chunk()
	p.close()
}

// statement reads one; true: it has to be the last of its block.
func (p *parser) statement() (last bool) {
	switch p.token.kind {
	case ";":
		p.advance()
	case "if":
		p.branches()
	case "while":
		p.advance()
		p.expression()
		p.want("do")
		p.maybe(func() { p.body(true) })
		p.want("end")
	case "do":
		p.advance()
		p.body(false)
		p.want("end")
	case "for":
		p.loop()
	case "repeat":
		p.repeat()
	case "function":
		p.namedFunction()
	case "local":
		p.local()
	case "return":
		p.advance()
		if !p.atEnd() && p.token.kind != ";" {
			p.expressions()
		}
		p.leaves()
		return true
	case "break":
		if p.advance(); !p.inLoop() {
			p.fail("break outside of a loop")
		}
	case "::":
		p.leaves()
		p.labels()
	case "goto":
		p.leaves()
		line := p.token.line
		p.advance()
		p.jump(jump{label: p.name(), line: line, locals: len(p.fn.locals)})
	default:
		p.callOrAssignment()
	}
	return false
}

func (p *parser) branches() {
	p.advance()
	always := p.token.kind == "true" && p.lookahead().kind == "then"
	p.expression() // which is asked in any case
	if always {
		p.want("then")
		p.body(false)
	}
	p.maybe(func() {
		if !always {
			p.want("then")
			p.body(false)
		}
		for ; p.accept("elseif"); p.body(false) {
			p.expression()
			p.want("then")
		}
		if p.accept("else") {
			p.body(false)
		}
	})
	p.want("end")
}

func (p *parser) loop() {
	p.advance()
	names := []string{p.name()}
	p.open(true) // for the variables that the loop itself needs
	p.declare("(index)", "(limit)", "(step)")
	if p.accept("=") {
		p.expression()
		p.want(",")
		p.expression()
		if p.accept(",") {
			p.expression()
		}
	} else {
		for p.accept(",") {
			names = append(names, p.name())
		}
		p.want("in")
		p.expressions()
	}
	p.want("do")
	p.maybe(func() { p.body(false, names...) })
	p.want("end")
	p.close()
}

// repeat reads a loop whose condition sees the locals of its body.
func (p *parser) repeat() {
	p.advance()
	p.open(true)
	p.maybe(func() {
		p.chunk()
		p.want("until")
		p.expression()
	})
	p.close()
}

func (p *parser) namedFunction() {
	p.advance()
	b := p.variable()
	plain := p.token.kind == "("
	if plain {
		p.set(b)
	} else {
		p.used(b)
	}
	for p.accept(".") {
		p.name()
	}
	var self []string
	if p.accept(":") {
		p.name()
		self = []string{"self"}
	}
	p.function(self...)
	if plain {
		p.holds(b)
	}
}

func (p *parser) local() {
	p.advance()
	if p.accept("function") {
		name := p.name()
		p.declare(name)
		p.function()
		p.holds(p.resolve(name))
		return
	}
	names := []string{p.name()}
	for p.accept(",") {
		names = append(names, p.name())
	}
	unset := !p.accept("=")
	holds := false
	if !unset {
		unset = p.token.kind == "nil" && len(names) == 1
		holds = p.token.kind == "function" && len(names) == 1
		p.expressions()
	}
	p.declare(names...)
	if holds {
		p.holds(p.resolve(names[0]))
	}
	if unset && p.fn.outer == nil {
		for i := range names {
			p.nils[len(p.fn.locals)-1-i] = true
		}
	}
}

// labels reads labels that follow one another.
func (p *parser) labels() {
	type label struct {
		name string
		line int
	}
	var list []label
	for p.token.kind == "::" {
		line := p.token.line
		p.advance()
		list = append(list, label{p.name(), line})
		for p.want("::"); p.accept(";"); {
		}
	}
	last := p.atEnd() && p.token.kind != "until"
	for _, l := range list {
		p.label(l.name, l.line, last)
	}
}

// callOrAssignment reads a statement that begins with an expression.
func (p *parser) callOrAssignment() {
	what, b := p.suffixed()
	if what == call {
		return
	}
	targets := []bare{b}
	for {
		if what != variable {
			p.unexpected()
		}
		if !p.accept(",") {
			break
		}
		what, b = p.suffixed()
		targets = append(targets, b)
	}
	p.want("=")
	p.expressions()
	for _, b := range targets {
		p.set(b)
	}
}

// function reads parameters and body of a function.
func (p *parser) function(parameters ...string) {
	p.fn = &function{outer: p.fn, upvalues: map[upvalue]bool{}}
	p.open(false)
	p.want("(")
	for more := p.token.kind != ")"; more; more = p.accept(",") {
		if p.accept("...") {
			p.fn.varargs = true
			break
		}
		parameters = append(parameters, p.name())
	}
	from, line := p.pos, p.line
	p.want(")")
	p.declare(parameters...)
	p.maybe(p.chunk)
	text := p.text[from:max(from, p.pos-len("end"))]
	varargs := p.fn.varargs
	p.want("end")
	p.close()
	p.fn = p.fn.outer
	p.last = functionBody{text, line, parameters, varargs, p.pos}
}
