// Package cel tells whether Envoy can build an expression in the Common Expression Language, as in filters of access logs and
// in formats. It reads the grammar, the functions that Envoy has (no comprehensions, no conversion to text), messages and
// their fields, constant regular expressions and how deep an expression is. It knows nothing of types: which attributes a
// request has, and of which type, is seen only when there is one. A test holds it to a stock Envoy.
package cel

import "errors"

// Check returns why Envoy cannot build an expression, with the column; nil if it can.
func Check(expression string) error { return read(&parser{lexer: lexer{source: expression}}) }

// Parse returns why a text is no expression of the language, with the column; nil if it is one, whoever is able to build it.
func Parse(expression string) error {
	return read(&parser{lexer: lexer{source: expression}, form: true})
}

func read(p *parser) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if s := (*syntaxError)(nil); !ok || !errors.As(e, &s) {
				panic(r)
			}
			err = e
		}
	}()
	p.advance()
	p.expression()
	p.want(end)
	return nil
}
