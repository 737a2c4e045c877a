package server

import (
	"sync"
	"time"
)

// stream is one proxy's connection. One goroutine, gRPC's own, reads requests; what is to be sent is worked out and
// sent by another that lives only while there is something to send, so that a slow reader holds up nobody and a quiet
// proxy costs one goroutine and a few bitsets.
//
// A change goes out in the order make before break: clusters and endpoints that are new or changed; when the proxy has
// acknowledged them, listeners, route configurations and virtual hosts; and after a time of grace, clusters that are
// gone are removed.
type stream struct {
	*caller
	srv   *Server
	delta bool
	send  func(*raw) error
	done  <-chan struct{}
	since time.Time

	mu             sync.Mutex
	view           *view
	given          *view     // view as the generation made it
	reg            *registry // of held
	subs           [kinds]subscription
	sending        bool
	failed         error
	nonce          uint64
	settled        bool      // has had a whole configuration: changes are updates from now on
	waiting        bool      // something is held back because it depends on a cluster that was refused
	deadline       time.Time // for acknowledgements that a change waits for
	removeAt       time.Time // when clusters that are gone may be removed
	timer          *time.Timer
	nacks          []nackStatus
	nackLog        logGate
	unserved       []string            // types asked for that no bundle has
	fresh          map[string]struct{} // route configurations just sent: their virtual hosts follow, or word that there are none
	secretNames    map[string]string   // asked for → why there is none
	secretTarget   bitset
	secretWarnings int    // logged so far
	lost           string // why the current bundle has nothing for the node, which keeps what it has
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
