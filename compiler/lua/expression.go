package lua

// form is what an expression can stand for.
type form int

const (
	value form = iota
	variable
	call
)

func (p *parser) expressions() {
	p.expression()
	for p.accept(",") {
		p.expression()
	}
}

func (p *parser) expression() { p.binary(0) }

// unaryPriority binds more than all binary operators but the power.
const unaryPriority = 8

// priorities are how much a binary operator binds to its left and right.
func priorities(k kind) (left, right int) {
	switch k {
	case "or":
		return 1, 1
	case "and":
		return 2, 2
	case "<", ">", "<=", ">=", "~=", "==":
		return 3, 3
	case "..":
		return 5, 4
	case "+", "-":
		return 6, 6
	case "*", "/", "%":
		return 7, 7
	case "^":
		return 10, 9
	}
	return 0, 0
}

// binary reads operands of operators that bind more than a limit.
func (p *parser) binary(limit int) {
	defer p.deeper()()
	switch p.token.kind {
	case "not", "-", "#":
		p.advance()
		p.binary(unaryPriority)
	default:
		p.simple()
	}
	for left, right := priorities(p.token.kind); left > limit; left, right = priorities(p.token.kind) {
		operator := p.token.kind
		p.advance()
		if operator == "and" || operator == "or" {
			p.maybe(func() { p.binary(right) })
		} else {
			p.binary(right)
		}
	}
}

func (p *parser) simple() {
	switch p.token.kind {
	case tokenNumber, tokenString, "nil", "true", "false":
		p.advance()
	case "...":
		if !p.fn.varargs {
			p.fail("cannot use '...' outside a vararg function")
		}
		p.advance()
	case "{":
		p.table()
	case "function":
		p.advance()
		p.function()
	default:
		p.suffixed()
	}
}

// variable reads a name and notes that its variable is used.
func (p *parser) variable() bare {
	name := p.name()
	p.use(name)
	return p.resolve(name)
}

// suffixed reads a name or an expression in brackets, and the fields and calls behind it. A variable without any is returned,
// too.
func (p *parser) suffixed() (f form, alone bare) {
	var here functionBody // where one stands in brackets and may be called
	switch p.token.kind {
	case tokenName:
		f, alone = variable, p.variable()
		p.used(alone)
	case "(":
		p.advance()
		is := p.token.kind == "function"
		p.expression()
		if is && p.last.end == p.pos { // it is all that is in the brackets
			here = p.last
		}
		p.want(")")
	default:
		p.unexpected()
	}
	for {
		switch p.token.kind {
		case ".":
			p.advance()
			p.name()
			f = variable
		case "[":
			p.index()
			f = variable
		case ":":
			p.advance()
			p.name()
			p.arguments(bare{})
			f = call
		case "(", tokenString, "{":
			if here.end == 0 {
				here = p.bodies[alone.key()]
			}
			p.arguments(alone)
			p.runs(here)
			f = call
		default:
			return f, alone
		}
		alone, here = bare{}, functionBody{}
	}
}

func (p *parser) index() {
	p.want("[")
	p.expression()
	p.want("]")
}

// arguments reads those of a call of a variable, or of something else.
func (p *parser) arguments(callee bare) {
	switch p.token.kind {
	case tokenString:
		p.advance()
	case "{":
		p.table()
	default:
		p.want("(")
		p.asserts(callee)
		if p.token.kind != ")" {
			p.expressions()
		}
		p.want(")")
	}
}

func (p *parser) table() {
	p.want("{")
	for p.token.kind != "}" {
		switch {
		case p.token.kind == "[":
			p.index()
			p.want("=")
		case p.token.kind == tokenName && p.lookahead().kind == "=":
			p.advance()
			p.advance()
		}
		p.expression()
		if !p.accept(",") && !p.accept(";") {
			break
		}
	}
	p.want("}")
}
