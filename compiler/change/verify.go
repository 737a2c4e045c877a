package change

import (
	"net/netip"
	"slices"

	"github.com/meshc/meshc/compiler/change/behaviour"
	"github.com/meshc/meshc/compiler/change/witness"
	"github.com/meshc/meshc/compiler/trace"
)

// Bounds of the requests of one difference.
const (
	mostTries   = 4  // that are walked until one shows it
	mostCallers = 32 // that are kept, for where servers let only some through
	mostNear    = 2  // of each group of callers, from where the requests end
)

// What walks say of a difference.
const (
	shown    = iota // a request shows it
	notShown        // none of those that were walked does
	refuted         // there is none: servers expect another protocol, or refuse connections of which it is another whether they leave
)

// verify walks the witness of a difference through both bundles, and more of its requests if the first does not show it.
func (f *finder) verify(d *Difference) int {
	verdict, lost := refuted, false
	for _, try := range f.tries[d][:min(mostTries, len(f.tries[d]))] {
		kind, base, head, err := f.walked(try)
		if err == nil && confirms(d.Kind, kind, base, head) {
			// Where a policy refuses this one at one of two places, others may pass at both.
			if d.Kind == Moved && border(kind, base, head) == trace.Denied && f.verifyPast(d) {
				return shown
			}
			f.show(d, try, kind, base, head)
			return shown
		}
		lost = err == nil && !base.Passes() && !head.Passes() // refused on both sides
		if !lost || try.conn.HTTP || d.Category != Egress && !base.Misread() && !head.Misread() {
			verdict = notShown
		}
	}
	if lost && f.verifyPast(d) {
		return shown
	}
	return verdict
}

// verifyPast walks requests of a difference that the servers behind it let through, of callers of each identity.
func (f *finder) verifyPast(d *Difference) bool {
	done := map[string]bool{}
	for _, try := range f.tries[d] {
		identity := try.from.Namespace + "/" + try.from.Name
		if w := f.head.byName[identity]; w != nil {
			identity = f.head.identity(w)
		}
		if done[identity] {
			continue
		}
		done[identity] = true
		for _, past := range f.letThrough(try) {
			if kind, base, head, err := f.walked(past); err == nil && confirms(d.Kind, kind, base, head) {
				f.show(d, past, kind, base, head)
				return true
			}
		}
	}
	return false
}

// show makes a request the witness of a difference, and says of it what the walks say.
func (f *finder) show(d *Difference, try attempt, kind string, base, head behaviour.Behaviour) {
	at := border(kind, base, head)
	switch {
	case d.Kind == Changed && at != "": // the servers refuse what the client now sends otherwise
		d.Kind, d.Base, d.Head = kind, base.End(), head.End()
		if d.Category != Encryption && d.Category != Egress { // what is refused is no matter of a timeout or a route
			d.Category = categoryBehind(kind, at, base, head)
		}
	case d.Kind == Moved && at != "":
		f.refusedElsewhere(d, try, kind, at, base, head)
	case d.Kind == Moved && (kind == "" || kind == Tuned): // another way to the same end
		d.Kind = Changed
	}
	asked := d.Witness.Server != nil
	d.Witness, d.Host, d.Port = try.request(), try.at.host, try.at.port
	if asked {
		d.Witness.Server = &try.server
	}
}

// refusedElsewhere adds to a difference of requests that go elsewhere the graver one that they are refused at one of two places.
func (f *finder) refusedElsewhere(d *Difference, try attempt, kind, verdict string, base, head behaviour.Behaviour) {
	more := *d
	more.Kind, more.Category, more.Base, more.Head = kind, categoryBehind(kind, verdict, base, head), base.End(), head.End()
	more.Resources = slices.Clone(d.Resources)
	more.Witness, more.Host, more.Port = try.request(), try.at.host, try.at.port
	if kind == Opened {
		d.Base = behindEnd(d.Base, more.Base)
	} else {
		d.Head = behindEnd(d.Head, more.Head)
	}
	if !slices.ContainsFunc(f.found, func(o *Difference) bool { // as what servers do otherwise with a workload that is somebody else
		return o.Kind == more.Kind && o.Host == more.Host && o.Port == more.Port && o.Witness.To == more.Witness.To &&
			!slices.ContainsFunc(more.From, func(r Ref) bool { return !slices.Contains(o.From, r) })
	}) {
		f.elsewhere = append(f.elsewhere, &more)
	}
}

// behindEnd is where a request goes, and what refuses it there.
func behindEnd(goes, refused End) End {
	return End{Verdict: refused.Verdict, Detail: goes.Detail + ", and " + refused.Detail}
}

// border is how the one of two walks ends that is refused, where the other passes: denied, failed or answered; "": there is no such one.
// What only may be refused, as by an external authorizer, passes.
func border(kind string, base, head behaviour.Behaviour) string {
	switch {
	case kind == Opened && !base.Passes():
		return base.End().Verdict
	case kind == Closed && !head.Passes():
		return head.End().Verdict
	}
	return ""
}

// categoryBehind is that of a request which goes elsewhere and is refused there on one side.
func categoryBehind(kind, verdict string, base, head behaviour.Behaviour) string {
	switch {
	case verdict == trace.Denied && kind == Opened:
		return AccessWidened
	case verdict == trace.Denied:
		return AccessNarrowed
	case !base.Passes() && base.Unprotected(), !head.Passes() && head.Unprotected():
		return Encryption
	}
	return Availability
}

// confirms tells whether a difference of a kind may be said where the walks of its witness differ in another. Not all settings
// show in a walk, and servers may refuse what a client sends elsewhere or otherwise.
func confirms(said, walked string, base, head behaviour.Behaviour) bool {
	switch said {
	case Tuned, Changed:
		return true
	case Moved:
		return walked != "" && walked != Tuned || base.Passes() && head.Passes()
	}
	return said == walked
}

// attempt is one request of a difference, as it comes to the proxies of both sides.
type attempt struct {
	*placed
	witness *Witness // without its caller
	from    Ref
	server  Ref // of a request from anybody
}

// request is the witness.
func (a attempt) request() Witness {
	w := *a.witness
	w.From = a.from
	return w
}

// walked follows one request through both bundles.
func (f *finder) walked(a attempt) (kind string, base, head behaviour.Behaviour, err error) {
	var results [2]behaviour.Behaviour
	for i, m := range a.connections {
		r, err := witness.Walked(*a.witness, a.token, m.principal)
		if err != nil {
			return "", base, head, err
		}
		results[i] = m.follow(r, a)
	}
	return behaviour.Kind(results[0], results[1]), results[0], results[1], nil
}

// follow is what becomes of a request that comes over a connection.
func (m *connection) follow(r trace.Request, a attempt) behaviour.Behaviour {
	c, identity := m.conn, ""
	who := a.from
	if m.place == atServer {
		who = a.server
	}
	if x := m.byName[who.Namespace+"/"+who.Name]; x != nil {
		r.From, identity = x.key(), m.identity(x)
		if m.place == atClient {
			c.Source = firstAddress(x)
		}
	}
	if ip, err := netip.ParseAddr(a.witness.Source); err == nil {
		c.Source = ip
	}
	switch {
	case m.proxy != nil:
		return behaviour.Of(m.proxy.WalkFrom(c, m.place == atClient, identity, r))
	case c.TLS && m.place != atClient:
		return behaviour.Refused("there is no proxy that could end the TLS")
	}
	return behaviour.Untouched(who.Namespace + "/" + who.Name)
}
