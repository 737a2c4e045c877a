package cel

import (
	"slices"

	"github.com/meshc/meshc/internal/limit"
)

// parser descends the grammar.
type parser struct {
	lexer
	token   token
	nesting int
	form    bool // only the form is looked at, and not what Envoy has
}

// node is what is known of an expression that has been read.
type node struct {
	depth int    // of the tree of operations
	path  string // names with dots between them; "": it is something else
	field bool   // it is a field of something
	text  *token // it is a text
}

func (p *parser) advance() { p.token = p.lexer.next() }

func (p *parser) accept(kinds ...kind) bool {
	if !slices.Contains(kinds, p.token.kind) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) want(k kind) {
	if !p.accept(k) {
		fail(p.token.at, "%s where %s has to be", p.token, k)
	}
}

// over is an operation on nodes.
func (p *parser) over(nodes ...node) node {
	out := node{}
	for _, n := range nodes {
		out.depth = max(out.depth, n.depth)
	}
	if out.depth++; out.depth > limit.ExpressionDepth && !p.form {
		fail(p.token.at, "the expression is deeper than %d operations", limit.ExpressionDepth)
	}
	return out
}

func (p *parser) expression() node {
	if p.nesting++; p.nesting > limit.ExpressionDepth+1 {
		fail(p.token.at, "the expression is nested deeper than %d levels", limit.ExpressionDepth)
	}
	defer func() { p.nesting-- }()
	n := p.logical("||")
	if !p.accept("?") {
		return n
	}
	yes := p.logical("||")
	p.want(":")
	return p.over(n, yes, p.expression())
}

// logical reads operands of || or &&, whose tree is balanced.
func (p *parser) logical(operator kind) node {
	operand := func() node { return p.chain(0) }
	if operator == "||" {
		operand = func() node { return p.logical("&&") }
	}
	list := []node{operand()}
	for p.accept(operator) {
		list = append(list, operand())
	}
	return p.balanced(list)
}

func (p *parser) balanced(list []node) node {
	if len(list) == 1 {
		return list[0]
	}
	half := (len(list) + 1) / 2
	return p.over(p.balanced(list[:half]), p.balanced(list[half:]))
}

// chain reads operands of the operators of a level, those that bind least first; the tree leans to the left.
func (p *parser) chain(level int) node {
	levels := [...][]kind{{"<", "<=", ">=", ">", "==", "!=", "in"}, {"+", "-"}, {"*", "/", "%"}}
	if level == len(levels) {
		return p.unary()
	}
	n := p.chain(level + 1)
	for p.accept(levels[level]...) {
		n = p.over(n, p.chain(level+1))
	}
	return n
}

// unary reads signs, of which two cancel each other out.
func (p *parser) unary() node {
	sign := p.token.kind
	if sign != "!" && sign != "-" {
		return p.member(false)
	}
	count := 0
	for p.accept(sign) {
		count++
	}
	if p.token.kind == literal && sign == "-" && count == 1 {
		return p.member(true) // the sign is part of the number, if it is one
	}
	n := p.member(false)
	if count%2 == 1 {
		n = p.over(n)
	}
	return n
}

// member reads a primary and what follows it. negative: a sign that belongs to its number is before it.
func (p *parser) member(negative bool) node {
	n := p.primary(negative)
	for {
		switch p.token.kind {
		case ".":
			p.advance()
			n = p.selected(n)
		case "[":
			p.advance()
			index := p.expression()
			p.want("]")
			n = p.over(n, index)
		case "{":
			if n.path == "" {
				return n
			}
			n = p.message(n.path)
		default:
			return n
		}
	}
}

// selected reads what stands behind a dot: a field, or a function of what is before.
func (p *parser) selected(of node) node {
	t := p.token
	if p.accept("`") {
		n := p.over(of)
		n.field = true
		return n
	}
	p.want(name)
	if p.token.kind == "(" {
		args := p.arguments()
		p.method(t, args)
		return p.over(append(args, of)...)
	}
	n := p.over(of)
	n.field = true
	if of.path != "" {
		n.path = of.path + "." + t.text
	}
	return n
}

func (p *parser) primary(negative bool) node {
	switch t := p.token; t.kind {
	case literal:
		p.advance()
		number(t, negative)
		n := p.over()
		if text.MatchString(t.text) {
			n.text = &t
		}
		return n
	case "(":
		p.advance()
		n := p.expression()
		p.want(")")
		n.path = ""
		return n
	case "[":
		p.advance()
		return p.list("]", p.expression)
	case "{":
		p.advance()
		return p.list("}", func() node {
			key := p.expression()
			p.want(":")
			value := p.expression()
			return node{depth: max(key.depth, value.depth)}
		})
	}
	return p.identifier()
}

// identifier reads a name or a call.
func (p *parser) identifier() node {
	p.accept(".")
	t := p.token
	p.want(name)
	if reserved(t.text) {
		fail(t.at, "%s is a reserved word", t.text)
	}
	if p.token.kind == "(" {
		args := p.arguments()
		p.function(t, args)
		return p.over(args...)
	}
	n := p.over()
	n.path = t.text
	return n
}

func (p *parser) arguments() []node {
	var out []node
	p.want("(")
	for more := p.token.kind != ")"; more; more = p.accept(",") {
		out = append(out, p.expression())
	}
	p.want(")")
	return out
}

// list reads elements between commas, with one more comma at the end if need be.
func (p *parser) list(closing kind, element func() node) node {
	var out []node
	for p.token.kind != closing && p.token.kind != "," {
		out = append(out, element())
		if p.token.kind != "," {
			break
		}
		if p.advance(); p.token.kind == "," {
			break
		}
	}
	if len(out) == 0 {
		p.accept(",")
	}
	p.want(closing)
	return p.over(out...)
}

func reserved(s string) bool {
	switch s {
	case "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while":
		return true
	}
	return false
}
