package ads

import (
	"maps"
	"slices"
	"strings"
	"time"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/meshc/meshc/internal/limit"
)

// NACK is a refusal by a proxy.
type NACK struct {
	Type      string    `json:"type"`
	Error     string    `json:"error"`
	Time      time.Time `json:"time"`
	Resources []string  `json:"resources"`
	Origins   []string  `json:"origins"`
	Bundle    string    `json:"bundle"` // digest of the one that the proxy was led to when it was sent
}

// acknowledge takes an ACK or NACK in. A version that was refused counts as held, so that it is not sent again before
// it changes.
func (s *Stream) acknowledge(now time.Time, k Kind, nonce string, refusal *rpcstatus.Status) {
	sub := &s.subs[k]
	at := -1
	for i := range sub.sent {
		if sub.sent[i].nonce == nonce {
			at = i
		}
	}
	if at < 0 {
		return // of an earlier connection, or made up
	}
	answered := sub.sent[at]
	ids := answered.ids
	sub.sent = append(sub.sent[:at], sub.sent[at+1:]...)
	if len(sub.sent) == 0 {
		sub.sent = nil
	}
	if refusal == nil {
		s.note(Acknowledged{k})
		s.clearNACKs(k, answered)
		sub.taken(answered)
		return
	}
	if s.whole(k) && !sub.blind {
		sub.leaveOut(ids)
		sub.declined = answered.all
	}
	if s.isolate(k, answered) {
		s.note(Refused{k, nil})
		return
	}
	msg := refusal.GetMessage()
	if len(msg) > limit.RefusalErrorBytes {
		msg = msg[:limit.RefusalErrorBytes] + "…"
	}
	answered.ids = s.blamed(k, answered.ids, msg)
	ids = answered.ids
	n := NACK{Type: k.String(), Error: msg, Time: now.UTC(), Bundle: answered.of.Digest.String(), Resources: []string{}, Origins: []string{}}
	list := s.reg.List(k)
	for _, id := range ids {
		e := list[id]
		if len(n.Resources) < limit.RefusalNames {
			n.Resources = append(n.Resources, e.Name)
			n.Origins = append(n.Origins, s.view.Origins(e.from, maxOrigins)...)
		}
	}
	if len(s.nacks) == limit.StreamRefusals {
		s.nacks = s.nacks[1:]
	}
	s.nacks = append(s.nacks, n)
	sub.refused = append(sub.refused, answered)
	s.note(Refused{k, &n})
}

// blamed narrows a response that cannot be cut to the resources that the proxy names in its error. Envoy takes the others
// of its clusters and listeners. All of them count where it names none.
func (s *Stream) blamed(k Kind, ids []int32, msg string) []int32 {
	var named []int32
	list := s.reg.List(k)
	for _, id := range ids {
		if strings.Contains(msg, list[id].Name) {
			named = append(named, id)
		}
	}
	if len(named) == 0 {
		return ids
	}
	return named
}

// taken takes note of an acknowledgement: what was refused before and is taken now, as when the proxy has asked for it
// again, is refused no more.
func (s *subscription) taken(answered sent) {
	s.blind = false
	if answered.full {
		s.acked, s.declined = answered.all, nil
		answered.all.Each(s.out.Clear)
		maps.DeleteFunc(s.kept, func(id int32, _ *Entry) bool {
			return !s.acked.Has(id) && !slices.ContainsFunc(s.sent, func(r sent) bool { return r.all.Has(id) })
		})
	}
	if len(s.refused) == 0 {
		return
	}
	refused := func(id int32) bool { return !slices.Contains(answered.ids, id) && !answered.all.Has(id) }
	s.refused = slices.DeleteFunc(s.refused, func(r sent) bool { return len(r.ids) > 0 && !slices.ContainsFunc(r.ids, refused) })
}

// clearNACKs forgets refusals of resources that came again and were taken.
func (s *Stream) clearNACKs(k Kind, acked sent) {
	if len(s.nacks) == 0 {
		return
	}
	list := s.reg.List(k)
	taken := map[string]bool{}
	for _, id := range acked.ids {
		taken[list[id].Name] = true
	}
	acked.all.And(s.subs[k].held).Each(func(id int32) { taken[list[id].Name] = true })
	for _, n := range acked.removed {
		taken[n] = true
	}
	kept := s.nacks[:0]
	for _, n := range s.nacks {
		again := n.Type == k.String() && len(n.Resources) > 0
		for _, r := range n.Resources {
			again = again && taken[r]
		}
		if !again {
			kept = append(kept, n)
		}
	}
	s.nacks = kept
}
