package change

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/meshc/meshc/compiler/trace"
)

// entrance is how clients outside come to a name at a gateway: the ports under which they know it, and those that these lead to on both sides.
type entrance struct {
	at         target
	base, head uint16
	ports      []uint16
}

// key tells entrances apart.
func (e entrance) key() string {
	return fmt.Sprint(e.at.host, " ", e.at.call, " ", e.at.bind, " ", e.base, " ", e.head, " ", e.at.moved)
}

// redirected are the ports of the services before a gateway that lead to other ports of it on the two sides.
func (f *finder) redirected(p pair) map[target][2]uint16 {
	out := map[target][2]uint16{}
	base, head := f.base.leading(p.base), f.head.leading(p.head)
	for t, was := range base {
		if is, ok := head[t]; ok && is != was {
			out[t] = [2]uint16{was, is}
		}
	}
	return out
}

// leading are the ports of services that lead to a workload, each with the port there.
func (s *side) leading(w *workload) map[target]uint16 {
	if s.served == nil {
		s.serve()
	}
	out := map[target]uint16{}
	for port, targets := range s.served[w.key()] {
		for _, t := range targets {
			if out[t] == 0 || port < out[t] {
				out[t] = port
			}
		}
	}
	return out
}

func byName(a, b target) int {
	return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port))
}

// entrances are the ways to a name at a port to which a listener of a gateway is bound. Clients know that port as the one of the server of the
// Gateway, if the names of its virtual hosts say that this is its own, and as those of the services in front. Where a service leads elsewhere on
// the other side, what its clients meet is compared, whatever the listeners are bound to.
func (f *finder) entrances(p pair, t target, redirected map[target][2]uint16, proxies ...*trace.Proxy) []entrance {
	same := entrance{at: t, base: t.port, head: t.port}
	services := map[target]bool{}
	for _, s := range append(slices.Clone(f.head.servicesAt(p.head, t.port)), f.base.servicesAt(p.base, t.port)...) {
		services[s] = true
	}
	var out []entrance
	for _, s := range slices.SortedFunc(maps.Keys(services), byName) {
		leads, moved := redirected[s]
		if !moved {
			same.ports = append(same.ports, s.port)
			continue
		}
		out = append(out, entrance{at: t, base: leads[0], head: leads[1], ports: []uint16{s.port}})
	}
	own := slices.ContainsFunc(proxies, func(x *trace.Proxy) bool { return x != nil && ownPort(x, t) })
	if len(services) == 0 || own && len(out) == 0 {
		same.ports = append(same.ports, t.port)
	}
	if slices.Sort(same.ports); len(same.ports) > 0 {
		same.ports = slices.Compact(same.ports)
		out = append(out, same)
	}
	return out
}
