package server

import (
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
)

// serveDelta is DeltaAggregatedResources.
func (srv *Server) serveDelta(_ any, g grpc.ServerStream) error {
	return converse(srv, g, true, (*stream).deltaRequest)
}

// deltaRequest takes a request in and lets the pump answer it.
func (s *stream) deltaRequest(req *discoveryv3.DeltaDiscoveryRequest) error {
	k, ok := kindOf(req.GetTypeUrl(), true)
	if !ok {
		s.ignore(req.GetTypeUrl())
		return nil
	}
	if k == secrets {
		s.awaitSecrets(req.GetResourceNamesSubscribe())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	sub := &s.subs[k]
	if req.GetResponseNonce() != "" {
		s.acknowledge(k, req.GetResponseNonce(), req.GetErrorDetail())
	}
	if k == secrets {
		s.targetSecrets(req.GetResourceNamesSubscribe())
	}
	firstOfKind := !sub.asked
	sub.asked = true
	if firstOfKind {
		s.resume(k, req.GetInitialResourceVersions())
		if len(req.GetResourceNamesSubscribe()) == 0 && k != secrets {
			sub.wildcard = true
			sub.answer = len(req.GetInitialResourceVersions()) == 0
		}
	}
	s.subscribe(k, req.GetResourceNamesSubscribe(), req.GetInitialResourceVersions())
	if err := sub.bounded(); err != nil {
		return err
	}
	s.unsubscribe(k, req.GetResourceNamesUnsubscribe())
	s.kick()
	return nil
}

// resume takes in what the proxy holds from an earlier connection.
func (s *stream) resume(k kind, held map[string]string) {
	sub := &s.subs[k]
	for name, ver := range held {
		if id, ok := s.reg.find(k, name, ver); ok {
			sub.held.set(id)
			continue
		}
		sub.outdate(name)
	}
	if len(held) > 0 && (k == clusters || k == listeners) {
		s.settled = true // it serves requests by what it holds: changes are updates
	}
}

// subscribe adds names. A name that the proxy asks for again is sent again, unless it says that it holds this version.
func (s *stream) subscribe(k kind, names []string, initial map[string]string) {
	if len(names) == 0 {
		return
	}
	sub := &s.subs[k]
	var again bitset
	for _, name := range names {
		if name == "*" {
			sub.wildcard = true
			sub.answer = sub.answer || len(initial) == 0
			continue
		}
		_, held := initial[name]
		id, known := s.reg.nameID(k, name)
		if known {
			sub.names.set(id)
			if !held {
				again.set(id)
			}
		}
		switch {
		case k == virtualHosts && s.virtualHosts(sub, name):
			sub.answer = sub.answer || len(initial) == 0
		case known && s.hasName(k, id):
		case k == secrets:
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
	if list := s.reg.list(k); len(again) > 0 {
		var drop []int32
		sub.held.each(func(id int32) {
			if again.has(list[id].nameID) {
				drop = append(drop, id)
			}
		})
		for _, id := range drop {
			sub.held.clear(id)
		}
	}
}

// virtualHosts subscribes to all virtual hosts of a route configuration, if the name is that of one.
func (s *stream) virtualHosts(sub *subscription, name string) bool {
	id, ok := s.reg.nameID(routes, name)
	if !ok || !s.hasName(routes, id) {
		return false
	}
	sub.other(name)
	return true
}

// hasName tells whether the proxy's class has a resource of the name.
func (s *stream) hasName(k kind, nameID int32) bool {
	list := s.reg.list(k)
	has := false
	s.target(k).each(func(id int32) { has = has || list[id].nameID == nameID })
	return has
}

func (s *stream) unsubscribe(k kind, names []string) {
	if len(names) == 0 {
		return
	}
	sub := &s.subs[k]
	var gone bitset
	groups := map[string]bool{}
	for _, name := range names {
		if name == "*" {
			sub.wildcard = false
			continue
		}
		if id, ok := s.reg.nameID(k, name); ok {
			sub.names.clear(id)
			gone.set(id)
		}
		delete(sub.others, name)
		if k == secrets {
			delete(s.secretNames, name)
		}
		delete(sub.stale, name)
		groups[name] = k == virtualHosts
	}
	if sub.wildcard {
		return
	}
	list := s.reg.list(k)
	var drop []int32
	sub.held.each(func(id int32) {
		if e := list[id]; gone.has(e.nameID) || groups[e.group] {
			drop = append(drop, id)
		}
	})
	for _, id := range drop {
		sub.held.clear(id)
	}
	if k == routes {
		s.forgetHosts(names)
	}
}

// forgetHosts notes that the proxy drops the virtual hosts of route configurations together with them.
func (s *stream) forgetHosts(names []string) {
	sub, list := &s.subs[virtualHosts], s.reg.list(virtualHosts)
	gone := map[string]bool{}
	for _, n := range names {
		gone[n] = true
	}
	var drop []int32
	sub.held.each(func(id int32) {
		if gone[list[id].group] {
			drop = append(drop, id)
		}
	})
	for _, id := range drop {
		sub.held.clear(id)
	}
}

// renderDelta encodes a DeltaDiscoveryResponse around the shared bytes of its resources.
func (s *stream) renderDelta(p *plan, list []*entry, nonce string) *raw {
	out := &raw{}
	b := appendText(nil, deltaSystemVersion, s.view.gen.bundle.Digest.String())
	b = appendText(b, deltaTypeURL, p.kind.url())
	b = appendText(b, deltaNonce, nonce)
	for _, id := range p.removes {
		b = appendText(b, deltaRemoved, list[id].name)
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
