package lua

// Limits of LuaJIT for one function.
const (
	maxLocals   = 200
	maxUpvalues = 60
)

// function is a function that is being read.
type function struct {
	outer    *function
	block    *block
	locals   []string // those in scope
	upvalues map[upvalue]bool
	varargs  bool
}

// upvalue is a local variable of an outer function.
type upvalue struct {
	of   *function
	slot int
}

// block is a block that is being read.
type block struct {
	outer  *block
	locals int // in scope where it begins
	loop   bool
	labels map[string]int // how many locals are in scope at a label
	gotos  []jump         // that have found no label yet
}

// jump is a goto.
type jump struct {
	label  string
	line   int
	locals int // in scope
}

// open begins a block.
func (p *parser) open(loop bool) {
	p.fn.block = &block{outer: p.fn.block, locals: len(p.fn.locals), loop: loop, labels: map[string]int{}}
}

// close ends a block: its locals go out of scope, and its jumps without a label look for one outside.
func (p *parser) close() {
	b := p.fn.block
	p.fn.block, p.fn.locals = b.outer, p.fn.locals[:b.locals]
	for _, j := range b.gotos {
		if b.outer == nil {
			panic(&syntaxError{j.line, "undefined label '" + j.label + "'"})
		}
		j.locals = min(j.locals, b.locals)
		p.jump(j)
	}
}

// jump finds the label of a goto in the blocks around it, or leaves it to those that follow.
func (p *parser) jump(j jump) {
	if at, ok := p.fn.block.labels[j.label]; ok && at <= j.locals {
		return
	}
	p.fn.block.gotos = append(p.fn.block.gotos, j)
}

// label defines a label. At the end of a block it is outside of the scope of the block's locals.
func (p *parser) label(name string, line int, last bool) {
	b := p.fn.block
	if _, ok := b.labels[name]; ok {
		panic(&syntaxError{line, "duplicate label '" + name + "'"})
	}
	at := len(p.fn.locals)
	if last {
		at = b.locals
	}
	b.labels[name] = at
	var open []jump
	for _, j := range b.gotos {
		switch {
		case j.label != name:
			open = append(open, j)
		case j.locals < at:
			panic(&syntaxError{j.line, "goto " + name + " jumps into the scope of local '" + p.fn.locals[j.locals] + "'"})
		}
	}
	b.gotos = open
}

// inLoop tells whether a break has a loop to leave.
func (p *parser) inLoop() bool {
	for b := p.fn.block; b != nil; b = b.outer {
		if b.loop {
			return true
		}
	}
	return false
}

// declare brings local variables into scope.
func (p *parser) declare(names ...string) {
	if p.fn.outer == nil {
		for i := range names {
			delete(p.nils, len(p.fn.locals)+i)
		}
	}
	if p.fn.locals = append(p.fn.locals, names...); len(p.fn.locals) > maxLocals {
		p.fail("a function has more than %d local variables", maxLocals)
	}
}

// use notes that a variable is read or set. One of an outer function costs an upvalue, there and in all functions between.
func (p *parser) use(name string) {
	for f := p.fn; f != nil; f = f.outer {
		for slot := len(f.locals) - 1; slot >= 0; slot-- {
			if f.locals[slot] != name {
				continue
			}
			for g := p.fn; g != f; g = g.outer {
				if g.upvalues[upvalue{f, slot}] = true; len(g.upvalues) > maxUpvalues {
					p.fail("a function uses more than %d local variables of functions around it", maxUpvalues)
				}
			}
			return
		}
	}
}
