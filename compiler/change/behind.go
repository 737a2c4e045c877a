package change

import (
	"maps"
	"net/netip"
	"slices"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// Bounds of the search for requests that servers let through.
const (
	mostSearches = 200    // differences of one report
	mostServers  = 4      // behind one proxy
	mostTokens   = 8      // kinds of tokens that these take
	searchBudget = 50_000 // steps for one request
)

// letThrough looks for requests of a difference that the servers behind the proxy let through, where its own are refused there:
// the conditions of the servers are joined with those of the difference. Those that both sides let through come first.
func (f *finder) letThrough(try attempt) []attempt {
	if try.of == nil || !try.conn.HTTP || try.connections[0].place == atServer || f.searches >= mostSearches {
		return nil
	}
	f.searches++
	var arrivals [2][]connection
	var filters []*jwtv3.JwtAuthentication
	for i, r := range []rule{try.base, try.head} {
		arrivals[i] = f.arrivals(try, i, r)
		for _, m := range arrivals[i] {
			filters = append(filters, m.tokenFilters()...)
		}
	}
	tokens := []*condition.Token{try.token}
	if try.token == nil {
		tokens = condition.Tokens(filters...)
	}
	var out []attempt
	for _, t := range tokens[:min(len(tokens), mostTokens)] {
		was, dims := letBy(arrivals[0], t)
		is, more := letBy(arrivals[1], t)
		dims = slices.Concat(try.of.dims, dims, more)
		space := f.spaceFor(try.connections[0].host, try.connections[0].place == atGateway, dims)
		for _, c := range []sets.Cond{sets.All(was, is), is, was} {
			a, ok, err := space.Find(sets.All(try.of.cond(), c), try.of.Given, searchBudget)
			if !ok || err != nil {
				continue
			}
			at := *try.placed
			at.request, at.token = a, t
			w := witnessOf(at)
			out = append(out, attempt{placed: &at, witness: &w, from: try.from, server: try.server})
		}
	}
	return out
}

// arrivals are the connections of a request with the servers behind a proxy on one side.
func (f *finder) arrivals(try attempt, at int, r rule) []connection {
	s := []*side{f.base, f.head}[at]
	client := s.byName[try.from.Namespace+"/"+try.from.Name]
	if client == nil || r.outcome == nil {
		return nil
	}
	var out []connection
	for _, c := range r.clusters {
		d, err := s.destination(try.connections[at].proxy, c)
		if err != nil {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(d.servers)) {
			server := s.byName[name]
			p, err := s.proxyOf(server)
			if err != nil || p == nil || len(out) == mostServers {
				continue
			}
			a := s.arrival(client, server, d.servers[name])
			m := connection{side: s, proxy: p, place: atServer, host: try.connections[at].host, principal: a.peer, anonymous: a.peer == "", source: firstAddress(client),
				conn: trace.Connection{HTTP: true, To: netip.AddrPortFrom(firstAddress(server), a.port)}}
			if server.gateway() {
				m.place = atGateway
			}
			if a.peer != "" {
				m.conn.TLS, m.conn.ALPN, m.conn.SNI = true, alpnOfMesh[true], names.ServerName(uint32(try.at.port), "", try.at.host)
			}
			out = append(out, m)
		}
	}
	return out
}

// letBy holds for the requests with a token that one of some connections lets through, and names the parts that a request may lack.
func letBy(list []connection, t *condition.Token) (sets.Cond, []string) {
	var dims []string
	var out []sets.Cond
	for _, m := range list {
		m.token = t
		h, is, err := m.hop()
		if err != nil {
			continue
		}
		dims = append(dims, is.Optional...)
		rules := h.list()
		for i := range len(h.rules) + 1 {
			if h.at(i).passes != refused {
				out = append(out, rules.Decides(i))
			}
		}
	}
	return sets.Any(out...), dims
}
