// Package lua tells whether LuaJIT can load a chunk of Lua, as Envoy's Lua filter has to before it takes a listener. It reads
// the language of LuaJIT as Envoy builds it: Lua 5.1 with the syntax of 5.2 (goto, empty statements, break anywhere), the escapes
// of later versions and the numbers of its foreign functions.
//
// A recursive descent over the tokens knows what no grammar says, too: labels, loops and the limits of one function. It
// builds no tree and runs nothing. Envoy runs a chunk once when it loads it, and what is certain to raise an error then is found
// on the way (see raises.go); that nothing is found does not mean that a chunk does not fail when it runs.
package lua

import (
	"errors"
	"strings"
)

// Check returns why a chunk cannot be loaded, with its line; nil if it can. Compiled chunks are not looked into.
func Check(chunk string) (err error) {
	if strings.HasPrefix(chunk, "\x1b") {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if s := (*syntaxError)(nil); !ok || !errors.As(e, &s) {
				panic(r)
			}
			err = e
		}
	}()
	calls := mostCalls
	p := &parser{lexer: newLexer(chunk), certainty: certainty{globals: map[string]bool{}, nils: map[int]bool{}, bodies: map[string]functionBody{}, calls: &calls}}
	p.advance()
	p.fn = &function{varargs: true, upvalues: map[upvalue]bool{}}
	p.open(false)
	p.chunk()
	p.want(tokenEnd)
	p.close()
	if p.raised != nil {
		return p.raised
	}
	return nil
}
