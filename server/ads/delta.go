package ads

import (
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// DeltaRequest is a request of a delta stream, with the secrets that NeedsSecrets names.
type DeltaRequest struct {
	*discoveryv3.DeltaDiscoveryRequest
	Secrets map[string]Secret
}

func (req DeltaRequest) step(s *Stream, now time.Time) error {
	k, ok := kindOf(req.GetTypeUrl(), true)
	if !ok {
		s.ignore(req.GetTypeUrl())
		return nil
	}
	sub := &s.subs[k]
	if req.GetResponseNonce() != "" {
		s.acknowledge(now, k, req.GetResponseNonce(), req.GetErrorDetail())
	}
	if k == Secrets {
		s.askSecrets(req.GetResourceNamesSubscribe())
		s.setSecrets(req.Secrets)
	}
	firstOfKind := !sub.asked
	sub.asked = true
	if firstOfKind {
		s.resume(k, req.GetInitialResourceVersions())
		if len(req.GetResourceNamesSubscribe()) == 0 && k != Secrets {
			sub.wildcard = true
			sub.answer = len(req.GetInitialResourceVersions()) == 0
		}
	}
	s.subscribe(k, req.GetResourceNamesSubscribe(), req.GetInitialResourceVersions())
	if err := sub.bounded(); err != nil {
		return err
	}
	s.unsubscribe(k, req.GetResourceNamesUnsubscribe())
	s.out.Pending = true
	return nil
}

// resume takes in what the proxy holds from an earlier connection.
func (s *Stream) resume(k Kind, held map[string]string) {
	sub := &s.subs[k]
	for name, ver := range held {
		if id, ok := s.reg.find(k, name, ver); ok {
			sub.held.Set(id)
			continue
		}
		sub.outdate(name)
	}
	if len(held) > 0 && (k == Clusters || k == Listeners) {
		s.initialized = true // it serves requests by what it holds: changes are updates
	}
}

// subscribe adds names. A name that the proxy asks for again is sent again, unless it says that it holds this version.
func (s *Stream) subscribe(k Kind, names []string, initial map[string]string) {
	if len(names) == 0 {
		return
	}
	sub := &s.subs[k]
	var again Bitset
	for _, name := range names {
		if name == "*" {
			sub.wildcard = true
			sub.answer = sub.answer || len(initial) == 0
			continue
		}
		_, held := initial[name]
		id, known := s.reg.nameID(k, name)
		if known {
			sub.names.Set(id)
			if !held {
				again.Set(id)
			}
		}
		switch {
		case k == VirtualHosts && s.subscribeHosts(sub, name):
			sub.answer = sub.answer || len(initial) == 0
		case known && s.hasName(k, id):
		case k == Secrets:
			if !known {
				sub.other(name) // it comes when there is one; Envoy waits
			}
		default:
			if !known {
				sub.other(name)
			}
			sub.missing = append(sub.missing, name)
			delete(sub.stale, name)
		}
	}
	if list := s.reg.List(k); len(again) > 0 {
		var drop []int32
		sub.held.Each(func(id int32) {
			if again.Has(list[id].nameID) {
				drop = append(drop, id)
			}
		})
		for _, id := range drop {
			sub.held.Clear(id)
		}
	}
}

// subscribeHosts subscribes to all virtual hosts of a route configuration, if the name is that of one.
func (s *Stream) subscribeHosts(sub *subscription, name string) bool {
	id, ok := s.reg.nameID(Routes, name)
	if !ok || !s.hasName(Routes, id) {
		return false
	}
	sub.other(name)
	return true
}

// hasName tells whether the proxy's class has a resource of the name.
func (s *Stream) hasName(k Kind, nameID int32) bool {
	list := s.reg.List(k)
	has := false
	s.target(k).Each(func(id int32) { has = has || list[id].nameID == nameID })
	return has
}

func (s *Stream) unsubscribe(k Kind, names []string) {
	if len(names) == 0 {
		return
	}
	sub := &s.subs[k]
	var gone Bitset
	groups := map[string]bool{}
	for _, name := range names {
		if name == "*" {
			sub.wildcard = false
			continue
		}
		if id, ok := s.reg.nameID(k, name); ok {
			sub.names.Clear(id)
			gone.Set(id)
		}
		delete(sub.others, name)
		if k == Secrets {
			delete(s.secretNames, name)
		}
		delete(sub.stale, name)
		groups[name] = k == VirtualHosts
	}
	if sub.wildcard {
		return
	}
	list := s.reg.List(k)
	var drop []int32
	sub.held.Each(func(id int32) {
		if e := list[id]; gone.Has(e.nameID) || groups[e.group] {
			drop = append(drop, id)
		}
	})
	for _, id := range drop {
		sub.held.Clear(id)
	}
	if k == Routes {
		s.forgetHosts(names)
	}
}

// forgetHosts notes that the proxy drops the virtual hosts of route configurations together with them, and returns their
// names.
func (s *Stream) forgetHosts(names []string) (hosts []string) {
	sub, list := &s.subs[VirtualHosts], s.reg.List(VirtualHosts)
	gone := map[string]bool{}
	for _, n := range names {
		gone[n] = true
	}
	var drop []int32
	sub.held.Each(func(id int32) {
		if gone[list[id].group] {
			drop = append(drop, id)
		}
	})
	for _, id := range drop {
		sub.held.Clear(id)
		hosts = append(hosts, list[id].Name)
	}
	return hosts
}

// renderDelta encodes a DeltaDiscoveryResponse around the shared bytes of its resources.
func (s *Stream) renderDelta(p *plan, list []*Entry, nonce string) *Response {
	out := &Response{Kind: p.kind, Nonce: nonce, Resources: len(p.adds)}
	b := appendText(nil, deltaSystemVersion, s.view.Bundle.Digest.String())
	b = appendText(b, deltaTypeURL, p.kind.URL())
	b = appendText(b, deltaNonce, nonce)
	for _, id := range p.removes {
		b = appendText(b, deltaRemoved, list[id].Name)
	}
	for _, n := range p.names {
		b = appendText(b, deltaRemoved, n)
	}
	out.add(b)
	for _, id := range p.adds {
		e := list[id]
		out.add(e.head)
		if len(e.value) > 0 {
			out.add(e.value)
		}
		if len(e.tail) > 0 {
			out.add(e.tail)
		}
	}
	return out
}
