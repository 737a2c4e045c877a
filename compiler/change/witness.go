package change

import "github.com/meshc/meshc/compiler/change/witness"

// witnessOf makes the request of a cell.
func witnessOf(c placed) Witness {
	return witness.Of(witness.Request{Scheme: c.scheme, Host: c.at.call, Port: c.at.port, Bind: c.at.bind, Values: c.request, Token: c.token, Named: c.named,
		HTTP: c.conn.HTTP, TLS: c.conn.TLS, SNI: c.conn.SNI})
}
