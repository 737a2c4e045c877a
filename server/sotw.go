package server

import (
	"crypto/sha256"
	"encoding/hex"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
)

// serveSotW is StreamAggregatedResources.
func (srv *Server) serveSotW(_ any, g grpc.ServerStream) error {
	return converse(srv, g, false, (*stream).sotwRequest)
}

func (s *stream) sotwRequest(req *discoveryv3.DiscoveryRequest) error {
	k, ok := kindOf(req.GetTypeUrl(), false)
	if !ok {
		s.ignore(req.GetTypeUrl())
		return nil
	}
	if k == secrets {
		s.awaitSecrets(req.GetResourceNames())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	sub := &s.subs[k]
	if n := req.GetResponseNonce(); n != "" && sub.asked {
		s.acknowledge(k, n, req.GetErrorDetail())
		if n != sub.last {
			return nil // crossed with a newer response; the proxy asks again when it has that
		}
	}
	if k == secrets {
		s.secretNames = nil
		s.targetSecrets(req.GetResourceNames())
	}
	firstOfKind := !sub.asked
	sub.asked = true
	if k == clusters || k == listeners {
		sub.wildcard = true
		sub.answer = sub.answer || firstOfKind
		sub.blind = sub.blind || firstOfKind && req.GetVersionInfo() != ""
	} else {
		s.setNames(k, req.GetResourceNames())
		if err := sub.bounded(); err != nil {
			return err
		}
	}
	s.kick()
	return nil
}

// setNames makes the subscription what the request lists; what is no longer listed is forgotten.
func (s *stream) setNames(k kind, names []string) {
	sub := &s.subs[k]
	var now bitset
	sub.others = nil
	for _, name := range names {
		if id, ok := s.reg.nameID(k, name); ok {
			now.set(id)
		} else {
			sub.other(name)
		}
	}
	sub.names = now
	list := s.reg.list(k)
	var drop []int32
	sub.held.each(func(id int32) {
		if !now.has(list[id].nameID) {
			drop = append(drop, id)
		}
	})
	for _, id := range drop {
		sub.held.clear(id)
	}
}

// renderSotW encodes a DiscoveryResponse: for clusters and listeners all that the proxy is to hold, for the others what
// changed. The version is a digest of what the proxy holds.
func (s *stream) renderSotW(p *plan, list []*entry, nonce string) (*raw, int) {
	sub := &s.subs[p.kind]
	h := sha256.New()
	n := 0
	out := &raw{}
	out.add(nil)
	put := func(e *entry) {
		out.add(sotwHead(p.kind.url(), len(e.value)))
		if len(e.value) > 0 {
			out.add(e.value)
		}
		n++
	}
	sub.held.each(func(id int32) {
		e := sub.asTaken(id, list)
		if e == nil || p.full && len(e.value) == 0 && len(list[id].value) > 0 {
			return // refused, and there is no earlier version, or its bytes are gone
		}
		h.Write([]byte(e.version))
		if p.full {
			put(e)
		}
	})
	if !p.full {
		for _, id := range p.adds {
			put(list[id])
		}
	}
	b := appendText(nil, sotwVersion, hex.EncodeToString(h.Sum(nil)[:16]))
	b = appendText(b, sotwTypeURL, p.kind.url())
	b = appendText(b, sotwNonce, nonce)
	out.parts = out.parts[1:]
	out.add(b) // order of fields does not matter in protobuf
	return out, n
}
