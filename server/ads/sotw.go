package ads

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// SotWRequest is a request of a stream of state of the world, with the secrets that NeedsSecrets names.
type SotWRequest struct {
	*discoveryv3.DiscoveryRequest
	Secrets map[string]Secret
}

func (req SotWRequest) step(s *Stream, now time.Time) error {
	k, ok := kindOf(req.GetTypeUrl(), false)
	if !ok {
		s.ignore(req.GetTypeUrl())
		return nil
	}
	sub := &s.subs[k]
	if n := req.GetResponseNonce(); n != "" && sub.asked {
		s.acknowledge(now, k, n, req.GetErrorDetail())
		if n != sub.last {
			return nil // crossed with a newer response; the proxy asks again when it has that
		}
	}
	if k == Secrets {
		s.secretNames = nil
		s.askSecrets(req.GetResourceNames())
		s.setSecrets(req.Secrets)
	}
	firstOfKind := !sub.asked
	sub.asked = true
	switch k {
	case Clusters, Listeners:
		sub.wildcard = true
		sub.answer = sub.answer || firstOfKind
		sub.blind = sub.blind || firstOfKind && req.GetVersionInfo() != ""
	case NameTables: // there is one
		sub.wildcard = true
		sub.answer = sub.answer || firstOfKind
	default:
		s.setNames(k, req.GetResourceNames())
		if err := sub.bounded(); err != nil {
			return err
		}
	}
	s.out.Pending = true
	return nil
}

// setNames makes the subscription what the request lists; what is no longer listed is forgotten.
func (s *Stream) setNames(k Kind, names []string) {
	sub := &s.subs[k]
	var now Bitset
	sub.others = nil
	for _, name := range names {
		if id, ok := s.reg.nameID(k, name); ok {
			now.Set(id)
		} else {
			sub.other(name)
		}
	}
	sub.names = now
	list := s.reg.List(k)
	var drop []int32
	sub.held.Each(func(id int32) {
		if !now.Has(list[id].nameID) {
			drop = append(drop, id)
		}
	})
	for _, id := range drop {
		sub.held.Clear(id)
	}
}

// renderWorld encodes a DiscoveryResponse: for clusters and listeners all that the proxy is to hold, for the others what
// changed. The version is a digest of what the proxy holds.
func (s *Stream) renderWorld(p *plan, list []*Entry, as sent) *Response {
	sub := &s.subs[p.kind]
	h := sha256.New()
	out := &Response{Kind: p.kind, Nonce: as.nonce}
	out.add(nil)
	put := func(e *Entry) {
		out.add(sotwHead(p.kind.URL(), len(e.value)))
		if len(e.value) > 0 {
			out.add(e.value)
		}
		out.Resources++
	}
	if p.full {
		as.all.Each(func(id int32) {
			e := sub.entry(id, list)
			h.Write([]byte(e.Version))
			put(e)
		})
	} else {
		sub.held.Each(func(id int32) { h.Write([]byte(list[id].Version)) })
		for _, id := range p.adds {
			put(list[id])
		}
	}
	b := appendText(nil, sotwVersion, hex.EncodeToString(h.Sum(nil)[:16]))
	b = appendText(b, sotwTypeURL, p.kind.URL())
	b = appendText(b, sotwNonce, as.nonce)
	out.Parts = out.Parts[1:]
	out.add(b) // order of fields does not matter in protobuf
	return out
}
