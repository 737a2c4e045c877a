package listener

import (
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// CodeDroppedChain is reported where two services or routes want the same connections of one outbound listener, so that
// the later one never gets traffic.
const CodeDroppedChain = "MESHC1500"

// family is how a listener treats its bytes; it decides about merging.
type family int

const (
	httpFamily family = iota
	tcpFamily
	autoFamily
)

func familyOf(p mesh.Protocol) family {
	switch {
	case p.IsHTTP():
		return httpFamily
	case p.IsTCP():
		return tcpFamily
	default:
		return autoFamily
	}
}

// entry is an outbound listener while services are added to it.
type entry struct {
	bind       string
	port       uint32
	protocol   mesh.Protocol // of the service that made it
	family     family        // becomes auto when kinds are mixed
	bindToPort bool
	locked     bool // made by a Sidecar listener with a port: the catch-all listener adds nothing
	chains     []*xds.Chain
	origins    []xds.Origin
	object     *schema.Object // first service, for findings

	byMatch map[string]*xds.Chain // of as many chains as are indexed
	indexed int
}

// addition is what one service port wants to add to a listener.
type addition struct {
	family   family
	protocol mesh.Protocol
	chains   []*xds.Chain
	svc      *mesh.Service
	port     *mesh.Port
}

// merge adds to an entry that exists, by the table of Istio:
//
//	entry  new    result
//	HTTP   HTTP   the entry stays: all HTTP services of a port share one route configuration
//	HTTP   TCP    chains merged, entry becomes auto
//	HTTP   auto   entry replaced
//	TCP    HTTP   chains merged, entry becomes auto
//	TCP    TCP    chains merged
//	TCP    auto   chains merged, entry becomes auto
//	auto   HTTP   the entry stays
//	auto   TCP    chains merged
//	auto   auto   the entry stays, the newcomer is left out
//
// Mongo and MySQL do not mix with any other protocol. A chain whose match is taken is left out and reported.
func (e *entry) merge(a addition) diag.List {
	if e.protocol != a.protocol && (special(e.protocol) || special(a.protocol)) {
		return diag.List{e.conflict(a, fmt.Sprintf("a %s port cannot share a listener with a port of protocol %s", label(a.protocol), label(e.protocol)))}
	}
	switch {
	case a.family == httpFamily && e.family != tcpFamily:
		return nil
	case a.family == autoFamily && e.family == httpFamily:
		e.chains, e.family, e.protocol, e.object = a.chains, autoFamily, a.protocol, a.svc.Object
		e.byMatch, e.indexed = nil, 0
		return nil
	case a.family == autoFamily && e.family == autoFamily:
		if e.object == a.svc.Object && a.svc.Object != nil {
			return nil
		}
		return diag.List{e.conflict(a, "both ports are sniffed and have no address of their own")}
	}
	var out diag.List
	for _, c := range a.chains {
		if have := e.chain(c.Match); have != nil {
			if d, report := e.dropped(have, c, a); report {
				out.Add(d)
			}
			continue
		}
		e.chains = append(e.chains, c)
	}
	if a.family != e.family {
		e.family = autoFamily
	}
	return out
}

// chain is the first chain with a match. A listener may have one for each of many thousand services, so they are indexed.
func (e *entry) chain(m *listenerv3.FilterChainMatch) *xds.Chain {
	if e.byMatch == nil {
		e.byMatch = map[string]*xds.Chain{}
	}
	for ; e.indexed < len(e.chains); e.indexed++ {
		c := e.chains[e.indexed]
		if key := matchKey(c.Match); e.byMatch[key] == nil {
			e.byMatch[key] = c
		}
	}
	return e.byMatch[matchKey(m)]
}

// matchKey is the same for matches that are equal. None is the same as one that says nothing.
func matchKey(m *listenerv3.FilterChainMatch) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err.Error() // text that is not UTF-8, which the message cannot go out with
	}
	return string(b)
}

// special protocols have a network filter of their own.
func special(p mesh.Protocol) bool { return p == mesh.Mongo || p == mesh.MySQL }

func label(p mesh.Protocol) string {
	if p.IsAuto() {
		return "sniffed"
	}
	return string(p)
}

func sameMatch(a, b *listenerv3.FilterChainMatch) bool {
	if a == nil {
		a = &listenerv3.FilterChainMatch{}
	}
	if b == nil {
		b = &listenerv3.FilterChainMatch{}
	}
	return proto.Equal(a, b)
}

func (e *entry) listener() string { return names.Listener(e.bind, e.port) }

// ipv6 tells whether a chain is about IPv6 destinations.
func (e *entry) ipv6() bool {
	return slices.ContainsFunc(e.chains, func(c *xds.Chain) bool {
		return slices.ContainsFunc(c.Match.GetPrefixRanges(), func(r *corev3.CidrRange) bool { return strings.Contains(r.AddressPrefix, ":") })
	})
}

func (e *entry) conflict(a addition, why string) diag.Diagnostic {
	d := a.svc.Object.Finding(diag.Error, CodeDroppedChain,
		fmt.Sprintf("port %d of %s gets no listener: %s is taken by %s, and %s", a.port.Number, a.svc.Hostname, e.listener(), e.owner(e.object), why),
		"give the service an address of its own, or another port", "spec", "ports", a.port.Index)
	if e.object != nil {
		d.Related = []diag.Related{{Pos: e.object.Pos("spec", "ports"), Object: e.object.Ref(), Message: "owner of the listener"}}
	}
	return d
}

// dropped reports a chain whose match is taken by one that leads elsewhere; the same destinations twice are harmless.
func (e *entry) dropped(kept, c *xds.Chain, a addition) (diag.Diagnostic, bool) {
	if c.Object == nil || kept.Name == c.Name || slices.EqualFunc(kept.Filters, c.Filters, func(a, b *listenerv3.Filter) bool { return proto.Equal(a, b) }) {
		return diag.Diagnostic{}, false
	}
	d := diag.Diagnostic{
		Code: CodeDroppedChain, Severity: diag.Error, Object: c.Object.Ref(), Pos: c.Object.Pos("spec"), Field: "spec",
		Message: fmt.Sprintf("port %d of %s never gets traffic on listener %s: %s matches the same connections first",
			a.port.Number, a.svc.Hostname, e.listener(), e.owner(kept.Object)),
		Help: "give one of them another port, an address or address range of its own, or an explicit HTTP or TLS protocol",
	}
	if len(c.From) > 0 {
		d.Pos, d.Field = c.From[0].Pos, c.From[0].Field
	}
	if kept.Object != nil {
		d.Related = []diag.Related{{Pos: kept.Object.Pos("spec"), Object: kept.Object.Ref(), Message: "matches first"}}
		if len(kept.From) > 0 {
			d.Related[0].Pos = kept.From[0].Pos
		}
	}
	return d, true
}

func (e *entry) owner(o *schema.Object) string {
	if o == nil {
		return "another service"
	}
	return o.Ref().String()
}
