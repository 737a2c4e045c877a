// Package ads is the aggregated discovery service of one proxy, delta or state of the world, as a state machine: Stream.Step takes an event
// and returns what is to be done. It has no network, no goroutine, no lock and no clock, so a test is a list of events.
//
// Events are requests, another view (what the proxy is to have), other secrets, and word that the transport takes one more
// response or that the time has come that the machine asked for. Only that last event gives a response, and at most one: a
// proxy that reads slowly is sent the difference to what is in service when it reads on, not all that was meanwhile.
//
// What a proxy is to have and what it holds are sets of numbers (Bitset), one for each version of a resource (Registry), so
// the difference costs a few word operations. For each kind of resource a subscription knows what is wanted, held, sent
// and not answered yet, and refused.
//
//   - A change goes out in the order make before break: clusters and endpoints that are new or changed; when the proxy
//     has acknowledged them, or has had AckTimeout to do so, listeners, route configurations and virtual hosts; and after
//     the time of Grace, clusters that are gone are removed (plan.go).
//   - What is refused is not sent again before it, or what it may collide with, has changed. A response that was refused
//     whole is cut in halves, so that what is good in it arrives (isolate.go); what names a refused cluster waits.
//   - A proxy that reconnects says what it holds, and is sent what differs (delta.go). Proxies of state of the world are
//     sent all clusters or listeners with each change of any, and of other kinds what has changed (sotw.go).
package ads

import (
	"time"
)

// Options say how a stream behaves.
type Options struct {
	Delta      bool          // delta xDS; else state of the world
	Grace      time.Duration // how long a cluster that is gone stays
	AckTimeout time.Duration // how long dependent changes wait for an acknowledgement
}

// Stream is what is known of one proxy's stream.
type Stream struct {
	o    Options
	view *View
	reg  *Registry // of all numbers here
	subs [Kinds]subscription

	nonce       uint64
	initialized bool      // has had a whole configuration: changes are updates from now on
	waiting     bool      // something is held back because it depends on a cluster that was refused
	deadline    time.Time // for acknowledgements that a change waits for
	removeAt    time.Time // when clusters that are gone may be removed

	nacks    []NACK
	unserved []string            // types asked for that no bundle has
	fresh    map[string]struct{} // route configurations just sent: their virtual hosts follow, or word that there are none

	secretNames  map[string]string // asked for → why there is none
	secretTarget Bitset

	out Output // of the step under way
}

// NewStream begins a stream for a proxy that is to have what is in the view. The first event is its first request.
func NewStream(o Options, v *View) *Stream {
	s := &Stream{o: o}
	s.show(v, nil)
	return s
}

// Event is what happens to a stream: DeltaRequest, WorldRequest, ViewChange, SecretChange or Writable.
type Event interface {
	// step takes the event in; an error ends the stream.
	step(s *Stream, now time.Time) error
}

// Writable says that the transport takes one more response, or that the time of an earlier Wake has come.
type Writable struct{}

// ViewChange says what the proxy is to have from now on, and the secrets that NeedsSecrets names.
type ViewChange struct {
	View    *View
	Secrets map[string]Secret
}

// SecretChange has the secrets that NeedsSecrets names as they are now.
type SecretChange struct{ Secrets map[string]Secret }

// Output is what is to be done after a step.
type Output struct {
	Pending  bool      // something may have to be sent: Writable is to follow as soon as the transport allows
	Response *Response // to be sent; then Writable is to follow. Nil: nothing is left to send
	Wake     time.Time // when Writable is to follow at the latest; zero: no time in particular
	Notes    []Note    // what is worth a count or a line
}

// Note is what is worth a count or a line: Acknowledged, Refused, Unserved or SecretMissing.
type Note interface{ note() }

// Acknowledged: the proxy has taken a response.
type Acknowledged struct{ Kind Kind }

// Refused: the proxy has refused a response. The NACK is nil as long as the machine looks for the resource that is to blame.
type Refused struct {
	Kind Kind
	NACK *NACK
}

// Unserved: the proxy asked for a type that no bundle has, for the first time.
type Unserved struct {
	URL, Name string // Name is a short one, of few
	Spare     bool   // nobody misses it
}

// SecretMissing: there is no such secret for the proxy, which it asked for.
type SecretMissing struct{ Name, Reason string }

func (Acknowledged) note()  {}
func (Refused) note()       {}
func (Unserved) note()      {}
func (SecretMissing) note() {}

// Step takes an event in. After an error the stream is over.
func (s *Stream) Step(now time.Time, e Event) (Output, error) {
	s.out = Output{}
	err := e.step(s, now)
	out := s.out
	s.out = Output{}
	return out, err
}

func (s *Stream) note(n Note) { s.out.Notes = append(s.out.Notes, n) }

func (Writable) step(s *Stream, now time.Time) error {
	if p := s.next(now); p != nil {
		s.out.Response = s.commit(p)
	}
	return nil
}

func (e ViewChange) step(s *Stream, _ time.Time) error {
	s.show(e.View, e.Secrets)
	s.out.Pending = true
	return nil
}

func (e SecretChange) step(s *Stream, _ time.Time) error {
	s.setSecrets(e.Secrets)
	s.out.Pending = true
	return nil
}

// View is what the proxy is to have.
func (s *Stream) View() *View { return s.view }

// Synced tells whether all that the proxy is to have was sent and acknowledged.
func (s *Stream) Synced() bool {
	synced := s.subs[Listeners].asked && s.quiet() && len(s.nacks) == 0
	for _, k := range s.order() {
		sub := &s.subs[k]
		synced = synced && len(sub.refused)+len(sub.suspects) == 0 && (!sub.asked || s.diff(k) == nil && s.rest(k) == nil)
	}
	return synced
}

// Has tells whether the proxy asks for a kind, and has acknowledged all that it is to have of it.
func (s *Stream) Has(k Kind) bool {
	sub := &s.subs[k]
	return sub.asked && len(sub.sent)+len(sub.refused)+len(sub.suspects) == 0 && s.diff(k) == nil
}

// NACKs are the latest refusals of what the proxy has not taken since.
func (s *Stream) NACKs() []NACK { return append([]NACK{}, s.nacks...) }

// State is how far a proxy is with a kind.
type State int

const (
	NotSent    State = iota // it asks, and was sent nothing yet
	Unanswered              // it has not answered all that it was sent
	Taken
	HasRefused
)

// EachAsked calls f with the state of each kind that the proxy asks for.
func (s *Stream) EachAsked(f func(Kind, State)) {
	for _, k := range s.order() {
		sub := &s.subs[k]
		switch {
		case !sub.asked:
		case len(sub.refused)+len(sub.suspects) > 0:
			f(k, HasRefused)
		case sub.last == "":
			f(k, NotSent)
		case len(sub.sent) > 0:
			f(k, Unanswered)
		default:
			f(k, Taken)
		}
	}
}

// EachRefused calls f with the number of versions of each kind that the proxy has refused and not taken since.
func (s *Stream) EachRefused(f func(k Kind, versions int)) {
	for _, k := range s.order() {
		for _, r := range s.subs[k].refused {
			f(k, len(r.ids))
		}
	}
}
