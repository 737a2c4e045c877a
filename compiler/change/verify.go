package change

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/trace"
)

// mostTries is how many witnesses of one difference are walked until one shows it.
const mostTries = 4

// What walks say of a difference.
const (
	shown    = iota // a request shows it
	notShown        // none of those that were walked does
	refuted         // there is none: servers expect another protocol, or refuse connections of which it is another whether they leave
)

// verify walks the witness of a difference through both bundles, and more of its requests if the first does not show it.
func (f *finder) verify(d *Difference) int {
	verdict := refuted
	tries := f.tries[d]
	for i := 0; i < len(tries); i++ {
		try := tries[i]
		kind, base, head, err := f.walked(try)
		if err != nil || !confirms(d.Kind, kind, base, head) {
			if err != nil || try.conn.HTTP || base.passes+head.passes > 0 || d.Category != Egress && !base.misread() && !head.misread() {
				verdict = notShown
			}
			if i == len(f.tries[d])-1 && err == nil && base.passes+head.passes == 0 {
				tries = append(slices.Clone(tries), f.letThrough(tries[0])...)
			}
			continue
		}
		switch {
		// The servers refuse what the client now sends otherwise. What only may be refused, as by an external authorizer, is a change.
		case d.Kind == Changed && (kind == Opened && base.passes == 0 || kind == Closed && head.passes == 0):
			d.Kind, d.Base, d.Head = kind, base.end(), head.end()
		case d.Kind == Moved && (kind == "" || kind == Tuned): // another way to the same end
			d.Kind = Changed
		}
		if i > 0 {
			d.Witness, d.Host, d.Port = try.witness, try.at.host, try.at.port
		}
		return shown
	}
	return verdict
}

// confirms tells whether a difference of a kind may be said where the walks of its witness differ in another. Not all settings
// show in a walk, and servers may refuse what a client sends elsewhere or otherwise.
func confirms(said, walked string, base, head Behaviour) bool {
	switch said {
	case Tuned, Changed:
		return true
	case Moved:
		return walked != "" && walked != Tuned || base.passes > 0 && head.passes > 0
	}
	return said == walked
}

// attempt is one request of a difference, as it comes to the proxies of both sides.
type attempt struct {
	placed
	witness Witness
	from    Ref
	server  Ref // of a request from anybody
}

// walked follows one request through both bundles.
func (f *finder) walked(a attempt) (kind string, base, head Behaviour, err error) {
	var results [2]Behaviour
	for i, m := range a.connections {
		r, err := a.request(m)
		if err != nil {
			return "", base, head, err
		}
		results[i] = m.follow(r, a)
	}
	return KindOf(results[0], results[1]), results[0], results[1], nil
}

// follow is what becomes of a request that comes over a connection.
func (m *connection) follow(r trace.Request, a attempt) Behaviour {
	c, identity := m.conn, ""
	who := a.from
	if m.place == atServer {
		who = a.server
	}
	if x := m.byName[who.Namespace+"/"+who.Name]; x != nil {
		r.From, identity = x.key(), m.identity(x)
		if m.place == atClient {
			c.Source = firstAddress(x)
		}
	}
	if ip, err := netip.ParseAddr(a.witness.Source); err == nil {
		c.Source = ip
	}
	switch {
	case m.proxy != nil:
		return BehaviourOf(m.proxy.WalkFrom(c, m.place == atClient, identity, r))
	case c.TLS && m.place != atClient:
		return refusedBehaviour("there is no proxy that could end the TLS")
	}
	return untouchedBehaviour(who.Namespace + "/" + who.Name)
}

// request is the witness as one side gets it.
func (a attempt) request(m connection) (trace.Request, error) {
	w := a.witness
	u, err := url.Parse(w.To)
	if err != nil {
		return trace.Request{}, err
	}
	scheme, rest, _ := strings.Cut(w.To, "://")
	r := trace.Request{Method: w.Method, URL: map[string]string{"http2": "http"}[scheme], Headers: map[string][]string{"host": {u.Hostname()}}, Identity: w.Principal, Tokens: map[string]trace.Token{}}
	if r.URL == "" {
		r.URL = scheme
	}
	for _, h := range w.Headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "host" {
			r.Headers[name] = nil
		}
		r.Headers[name] = append(r.Headers[name], value)
	}
	if m.principal != "" {
		r.Identity = m.principal
	}
	if t := a.token; t != nil && w.Token != nil {
		claims := maps.Clone(w.Token.Claims)
		claims["iss"] = t.issuer
		text, token, err := trace.ClaimsToken(claims)
		if err != nil {
			return r, err
		}
		token.Valid = !t.invalid
		r.Tokens[text] = token
		rest = t.put(text, r.Headers, rest)
	}
	r.URL += "://" + rest
	return r, nil
}

// end is what becomes of a request, for people.
func (b Behaviour) end() End {
	var texts []string
	for _, l := range b.outcomes {
		if !slices.Contains(texts, l.Text) {
			texts = append(texts, l.Text)
		}
	}
	verdict := trace.Failed
	if len(b.outcomes) > 0 {
		verdict = b.outcomes[0].Verdict
	}
	return End{Verdict: verdict, Detail: strings.Join(texts, " | ")}
}
