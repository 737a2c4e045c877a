package server

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/meshc/meshc/server/ads"
)

// session is one proxy's stream: the machine that says what is sent (package ads), and what lets it run. One goroutine,
// gRPC's own, reads requests; what is to be sent is worked out and sent by another that lives only while there is something
// to send, so that a slow reader holds up nobody and a quiet proxy costs one goroutine and a few bitsets.
type session struct {
	*caller
	srv   *Server
	send  func(*ads.Response) error
	done  <-chan struct{}
	since time.Time

	mu             sync.Mutex
	ads            *ads.Stream
	sending        bool
	failed         error
	timer          *time.Timer
	nackLog        logGate
	secretWarnings int    // logged so far
	lost           string // why the current bundle has nothing for the node, which keeps what it has
}

// newSession makes the session of a caller who is entitled to a view.
func newSession(srv *Server, c *caller, e entitlement) *session {
	return &session{srv: srv, caller: c, since: time.Now(), nackLog: logGate{count: srv.metrics.unlogged.Inc},
		ads: ads.NewStream(ads.Options{Delta: c.delta, Grace: srv.opts.Grace, AckTimeout: srv.opts.AckTimeout}, e.view)}
}

// request takes a request of the proxy in.
func (s *session) request(e ads.Event) error {
	s.awaitSecrets(s.needsSecrets(e))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	return s.step(e)
}

func (s *session) needsSecrets(e ads.Event) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ads.NeedsSecrets(e)
}

// step has the machine take an event in, with the secrets that belong to it, and does what it says, except for sending.
// Call with mu held.
func (s *session) step(e ads.Event) error {
	secrets := s.lookUp(s.ads.NeedsSecrets(e))
	switch x := e.(type) {
	case ads.DeltaRequest:
		x.Secrets = secrets
		e = x
	case ads.SotWRequest:
		x.Secrets = secrets
		e = x
	case ads.ViewChange:
		x.Secrets = secrets
		e = x
	case ads.SecretChange:
		x.Secrets = secrets
		e = x
	}
	out, err := s.ads.Step(time.Now(), e)
	s.tell(out.Notes)
	if err == nil && out.Pending {
		s.startSending()
	}
	return err
}

// startSending has the loop look for something to send. Call with mu held.
func (s *session) startSending() {
	if s.sending || s.failed != nil {
		return
	}
	s.sending = true
	go s.sendLoop()
}

func (s *session) sendLoop() {
	for {
		r := s.next()
		if r == nil {
			return
		}
		s.srv.metrics.sent(r)
		if err := s.send(r); err != nil {
			s.mu.Lock()
			s.failed, s.sending = err, false
			s.mu.Unlock()
			return
		}
	}
}

// next is what to send now; nil: nothing, and the loop ends until it is started again.
func (s *session) next() *ads.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		s.sending = false
		return nil
	}
	out, _ := s.ads.Step(time.Now(), ads.Writable{}) // it ends no stream
	if out.Response == nil {
		s.sending = false
		s.wake(out.Wake)
	}
	return out.Response
}

// wake has the loop look again at a time. Call with mu held.
func (s *session) wake(at time.Time) {
	if at.IsZero() {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(time.Until(at)+time.Millisecond, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.startSending()
	})
}

// end has nothing sent any more.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = errors.New("stream ended")
	}
	if s.timer != nil {
		s.timer.Stop()
	}
}

// tell counts and logs. Call with mu held.
func (s *session) tell(notes []ads.Note) {
	m := s.srv.metrics
	for _, n := range notes {
		switch n := n.(type) {
		case ads.Acknowledged:
			m.acks.WithLabelValues(n.Kind.String()).Inc()
			s.srv.lookSoon()
		case ads.Refused:
			m.nacks.WithLabelValues(n.Kind.String()).Inc()
			s.srv.lookSoon()
			if n.NACK != nil {
				s.tellRefusal(n.NACK)
			}
		case ads.Unserved:
			m.unserved.WithLabelValues(n.Name).Inc()
			url := n.URL[:min(len(n.URL), 300)]
			level := slog.LevelWarn
			if n.Spare {
				level = slog.LevelInfo
			}
			s.srv.report(level, s.node.ID, "a type is not served; the proxy gets all else", url, "type", url)
		case ads.SecretMissing:
			s.missSecret(n.Name, n.Reason)
		}
	}
}

func (s *session) tellRefusal(n *ads.NACK) {
	if ok, left := s.nackLog.pass(n.Type+n.Error, time.Now()); ok {
		s.srv.report(slog.LevelError, s.node.ID, "proxy refused configuration", n.Type+n.Error, append([]any{"type", n.Type, "bundle", s.ads.View().Bundle.Digest.String(),
			"error", n.Error, "resources", n.Resources, "origins", n.Origins}, left...)...)
	}
}

// retarget leads the proxy to another bundle.
func (s *session) retarget(e entitlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = ""
	if s.ads.View() == e.view {
		return nil
	}
	return s.show(e)
}

// renew leads the proxy to other endpoints of the bundle that it has.
func (s *session) renew(e entitlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.ads.View(); v == e.view || v.Bundle != e.view.Bundle {
		return nil // it has them, or another bundle is on its way, or there is none for it
	}
	return s.show(e)
}

// show has the machine lead the proxy to a view. Call with mu held.
func (s *session) show(e entitlement) error { return s.step(ads.ViewChange{View: e.view}) }
