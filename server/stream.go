package server

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshc/meshc/compiler/bundle"
)

// stream is one proxy's connection. One goroutine, gRPC's own, reads requests; what is to be sent is worked out and
// sent by another that lives only while there is something to send, so that a slow reader holds up nobody and a quiet
// proxy costs one goroutine and a few bitsets.
//
// A change goes out in the order make before break: clusters and endpoints that are new or changed; when the proxy has
// acknowledged them, listeners, route configurations and virtual hosts; and after a time of grace, clusters that are
// gone are removed.
type stream struct {
	srv   *Server
	node  bundle.Node
	delta bool
	send  func(*raw) error
	done  <-chan struct{}
	since time.Time

	account string // service account: of the certificate, or what the node says where there is none

	mu             sync.Mutex
	view           *view
	reg            *registry // of held
	subs           [kinds]subscription
	sending        bool
	failed         error
	nonce          uint64
	settled        bool      // has had a whole configuration: changes are updates from now on
	blocked        bool      // clusters or endpoints were refused: what depends on them is held back
	deadline       time.Time // for acknowledgements that a change waits for
	removeAt       time.Time // when clusters that are gone may be removed
	timer          *time.Timer
	nacks          []nackStatus
	fresh          map[string]struct{} // route configurations just sent: their virtual hosts follow, or word that there are none
	secretNames    map[string]string   // asked for → why there is none
	secretTarget   bitset
	secretWarnings int    // logged so far
	lost           string // why the current bundle has nothing for the node, which keeps what it has
}

// subscription is what a proxy wants and has of one kind.
type subscription struct {
	asked    bool
	wildcard bool
	names    bitset              // name numbers
	others   map[string]struct{} // names no bundle has had; virtual hosts: route configurations
	held     bitset              // what was sent and not taken back
	stale    map[string]struct{} // held in a version that no bundle here has
	answer   bool                // the proxy waits for a response, be it empty
	missing  []string            // asked for, and there is none
	sent     []sent              // not yet acknowledged
	refused  []sent              // by the proxy, and not sent again before the bundle changes what is in it
	last     string              // newest nonce
}

type sent struct {
	nonce   string
	ids     []int32
	removed []string
}

// nackStatus is a refusal by a proxy, for /status.
type nackStatus struct {
	Type      string    `json:"type"`
	Error     string    `json:"error"`
	Time      time.Time `json:"time"`
	Resources []string  `json:"resources"`
	Origins   []string  `json:"origins"`
}

// wants tells whether the proxy subscribed to the resource, and can use it: a virtual host that comes before its route
// configuration is dropped.
func (s *stream) wants(k kind, e *entry, groups map[string]bool) bool {
	return (k != virtualHosts || groups[e.group]) && s.subs[k].wants(e)
}

func (s *subscription) wants(e *entry) bool {
	if s.wildcard || s.names.has(e.nameID) {
		return true
	}
	if e.group != "" && s.others != nil {
		_, ok := s.others[e.group]
		return ok
	}
	return false
}

// order is the order in which kinds are looked at.
func (s *stream) order() []kind {
	if s.delta {
		return []kind{clusters, endpoints, secrets, listeners, routes, virtualHosts}
	}
	return []kind{clusters, endpoints, secrets, listeners, inlinedRoutes}
}

// plan is one response to be.
type plan struct {
	kind    kind
	adds    []int32
	removes []int32  // held, gone
	names   []string // removed by name only
	replace []int32  // held in an older version
	full    bool     // state of the world: all that is held goes along
}

// kick has the pump look for something to send. Call with mu held.
func (s *stream) kick() {
	if s.sending || s.failed != nil {
		return
	}
	s.sending = true
	go s.pump()
}

func (s *stream) pump() {
	for {
		s.mu.Lock()
		if s.failed != nil {
			s.sending = false
			s.mu.Unlock()
			return
		}
		p := s.next(time.Now())
		if p == nil {
			s.sending = false
			s.mu.Unlock()
			return
		}
		msg, n := s.commit(p)
		s.mu.Unlock()
		s.srv.metrics.sent(p.kind, n, msg.size)
		if err := s.send(msg); err != nil {
			s.mu.Lock()
			s.failed = err
			s.sending = false
			s.mu.Unlock()
			return
		}
	}
}

// next decides what to send now, or sets a timer. Call with mu held.
func (s *stream) next(now time.Time) *plan {
	var clusterRemovals *plan
	for _, k := range s.order() {
		sub := &s.subs[k]
		if !sub.asked {
			continue
		}
		if k >= listeners && s.settled && !sub.answer && s.waits(now) {
			return nil
		}
		p := s.diff(k)
		if p == nil {
			continue
		}
		if k == clusters && len(p.removes)+len(p.names) > 0 {
			clusterRemovals = &plan{kind: k, removes: p.removes, names: p.names, full: p.full}
			p.removes, p.names = nil, nil
			if len(p.adds) == 0 && !sub.answer {
				continue
			}
		}
		if s.settled {
			s.deadline = now.Add(s.srv.opts.AckTimeout)
		}
		return p
	}
	if !s.settled && s.subs[listeners].asked && s.quiet() {
		s.settled = true
	}
	if clusterRemovals == nil {
		s.removeAt = time.Time{}
		return nil
	}
	if s.blocked || !s.quiet() && now.Before(s.deadline) {
		s.wake(now, s.deadline)
		return nil
	}
	if s.removeAt.IsZero() {
		s.removeAt = now.Add(s.srv.opts.Grace)
	}
	if now.Before(s.removeAt) {
		s.wake(now, s.removeAt)
		return nil
	}
	s.removeAt = time.Time{}
	return clusterRemovals
}

// waits tells whether what depends on clusters has to wait for acknowledgements.
func (s *stream) waits(now time.Time) bool {
	if s.blocked {
		return true
	}
	if len(s.subs[clusters].sent)+len(s.subs[endpoints].sent) == 0 || !now.Before(s.deadline) {
		return false
	}
	s.wake(now, s.deadline)
	return true
}

// quiet tells whether all that was sent is acknowledged.
func (s *stream) quiet() bool {
	for k := range s.subs {
		if len(s.subs[k].sent) > 0 {
			return false
		}
	}
	return true
}

func (s *stream) wake(now, at time.Time) {
	if s.timer != nil {
		s.timer.Stop()
	}
	if at.Before(now) {
		return
	}
	s.timer = time.AfterFunc(at.Sub(now)+time.Millisecond, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.kick()
	})
}

// target is what the proxy should have.
func (s *stream) target(k kind) bitset {
	if k == secrets {
		return s.secretTarget
	}
	return s.view.target[k]
}

// diff compares what the proxy should have with what it holds.
func (s *stream) diff(k kind) *plan {
	sub, target := &s.subs[k], s.target(k)
	p := &plan{kind: k}
	var list []*entry
	entryOf := func(id int32) *entry {
		if list == nil {
			list = s.reg.list(k)
		}
		return list[id]
	}
	var adding map[int32]bool
	var groups map[string]bool
	if k == virtualHosts {
		groups = s.heldNames(routes)
	}
	target.without(sub.held, func(id int32) {
		e := entryOf(id)
		if !s.wants(k, e, groups) {
			return
		}
		p.adds = append(p.adds, id)
		if adding == nil {
			adding = map[int32]bool{}
		}
		adding[e.nameID] = true
		delete(sub.stale, e.name)
	})
	sub.held.without(target, func(id int32) {
		e := entryOf(id)
		switch {
		case adding[e.nameID]:
			p.replace = append(p.replace, id)
		case sub.wildcard || k == virtualHosts:
			p.removes = append(p.removes, id)
		}
	})
	if len(sub.stale) > 0 && (sub.wildcard || k == virtualHosts) {
		held := s.heldNames(k)
		for name := range sub.stale {
			if !held[name] {
				p.names = append(p.names, name)
			}
		}
	}
	p.names = append(p.names, sub.missing...)
	if k == virtualHosts && len(s.fresh) > 0 {
		p.names = append(p.names, s.withoutHosts(p)...)
	}
	if len(p.adds)+len(p.removes)+len(p.names) == 0 && !sub.answer {
		return nil
	}
	p.full = !s.delta && (k == clusters || k == listeners)
	return p
}

// withoutHosts names what stands for "no virtual hosts" of the route configurations just sent that have none: Envoy
// keeps a listener closed until it has heard of its virtual hosts, and takes the removal of any for an answer.
func (s *stream) withoutHosts(p *plan) (names []string) {
	have, list := map[string]bool{}, s.reg.list(virtualHosts)
	for _, id := range p.adds {
		have[list[id].group] = true
	}
	s.subs[virtualHosts].held.each(func(id int32) { have[list[id].group] = true })
	for rc := range s.fresh {
		if !have[rc] {
			names = append(names, rc+"/")
		}
	}
	slices.Sort(names)
	return names
}

// heldNames are the names that the proxy holds in a version of the target.
func (s *stream) heldNames(k kind) map[string]bool {
	names, list := map[string]bool{}, s.reg.list(k)
	s.subs[k].held.each(func(id int32) { names[list[id].name] = true })
	return names
}

// commit takes the plan for sent and renders the response. Call with mu held.
func (s *stream) commit(p *plan) (*raw, int) {
	sub := &s.subs[p.kind]
	s.nonce++
	nonce := strconv.FormatUint(s.nonce, 10)
	list := s.reg.list(p.kind)
	for _, id := range p.adds {
		sub.held.set(id)
	}
	for _, id := range p.replace {
		sub.held.clear(id)
	}
	for _, id := range p.removes {
		sub.held.clear(id)
	}
	for _, n := range p.names {
		delete(sub.stale, n)
	}
	switch p.kind {
	case routes:
		if s.fresh == nil {
			s.fresh = map[string]struct{}{}
		}
		for _, id := range p.adds {
			s.fresh[list[id].name] = struct{}{}
		}
	case virtualHosts:
		s.fresh = nil
	}
	sub.answer, sub.missing, sub.last = false, nil, nonce
	out := sent{nonce: nonce, ids: p.adds, removed: p.names}
	for _, id := range p.removes {
		out.removed = append(out.removed, list[id].name)
	}
	sub.sent = append(sub.sent, out)
	if s.delta {
		return s.renderDelta(p, list, nonce), len(p.adds)
	}
	return s.renderSotW(p, list, nonce)
}

// retarget moves the stream to another bundle.
func (s *stream) retarget(v *view) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.aim(v); err != nil {
		return err
	}
	s.lost = ""
	s.kick()
	return nil
}

func (s *stream) aim(v *view) error {
	if !s.delta {
		inl, err := v.gen.inline(v)
		if err != nil {
			return err
		}
		c := *v
		c.target[inlinedRoutes] = inl
		v = &c
	}
	if v.gen.reg != s.reg {
		s.translate(v.gen.reg)
	}
	s.view, s.blocked, s.removeAt = v, false, time.Time{}
	if len(s.secretNames) > 0 {
		s.targetSecrets(nil) // numbers may be new
	}
	s.adopt()
	s.retry()
	return nil
}

// retry sends what was refused again, when the new bundle has changed some of it: a proxy refuses a response as a whole,
// so what was good in it is missing, too.
func (s *stream) retry() {
	for k := range s.subs {
		sub := &s.subs[k]
		var kept []sent
		for _, r := range sub.refused {
			changed := len(r.ids) == 0
			for _, id := range r.ids {
				changed = changed || !s.target(kind(k)).has(id)
			}
			if !changed {
				kept = append(kept, r)
				continue
			}
			list := s.reg.list(kind(k))
			for _, id := range r.ids {
				sub.held.clear(id)
				sub.outdate(list[id].name) // some of it may have been taken
			}
			for _, n := range r.removed {
				sub.outdate(n)
			}
		}
		sub.refused = kept
	}
}

// translate renumbers what the proxy holds and wants.
func (s *stream) translate(reg *registry) {
	old := s.reg
	s.reg = reg
	if old == nil {
		return
	}
	for k := range s.subs {
		sub, list := &s.subs[k], old.list(kind(k))
		var held, names bitset
		sub.held.each(func(id int32) {
			e := list[id]
			held.set(reg.add(kind(k), e.name, e.version, e.value, e.from))
		})
		old.mu.RLock()
		for name, id := range old.spaces[k].names {
			if !sub.names.has(id) {
				continue
			}
			if now, ok := reg.nameID(kind(k), name); ok {
				names.set(now)
			} else {
				sub.other(name)
			}
		}
		old.mu.RUnlock()
		sub.held, sub.names = held, names
		for _, of := range [][]sent{sub.sent, sub.refused} {
			for i := range of {
				ids := make([]int32, len(of[i].ids))
				for j, id := range of[i].ids {
					e := list[id]
					ids[j] = reg.add(kind(k), e.name, e.version, e.value, e.from)
				}
				of[i].ids = ids
			}
		}
	}
}

func (s *subscription) other(name string) {
	if s.others == nil {
		s.others = map[string]struct{}{}
	}
	s.others[name] = struct{}{}
}

// bounded refuses to remember more names.
func (s *subscription) bounded() error {
	if len(s.others)+len(s.stale)+len(s.missing) > maxNamesKept {
		return status.Errorf(codes.ResourceExhausted, "more than %d names that the bundle has not", maxNamesKept)
	}
	return nil
}

// outdate notes that the proxy may hold some version of the resource.
func (s *subscription) outdate(name string) {
	if s.stale == nil {
		s.stale = map[string]struct{}{}
	}
	s.stale[name] = struct{}{}
}

// adopt moves names that were unknown and that the bundle now has to their numbers.
func (s *stream) adopt() {
	for k := range s.subs {
		sub := &s.subs[k]
		for name := range sub.others {
			if id, ok := s.reg.nameID(kind(k), name); ok {
				sub.names.set(id)
				delete(sub.others, name)
			}
		}
	}
}
