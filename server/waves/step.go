package waves

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/meshc/meshc/compiler/rollout"
)

// Event is what happens: Arrived, Looked, RolledBack or Released.
type Event interface {
	step(s *State, out *[]Action)
}

// Action is what is to be done after a step: Lead or Tell.
type Action interface{ action() }

// Lead has proxies led to what State.Leads says, since that may be another bundle than before.
type Lead struct{}

// Tell is worth a line of log and a count.
type Tell struct {
	What   What
	Bundle string
	Wave   string // "": it is about no wave
	Reason string // "": there is nothing to add
	From   *Refusal
}

// What is one of few words, as metrics have them.
type What string

// What can be told.
const (
	Switched  What = "switched"    // everybody is led to the bundle at once
	Began     What = "began"       // a wave is led to the bundle
	Baking    What = "baking"      // all of the wave have acknowledged
	Completed What = "completed"   // the bundle is the base
	WentBack  What = "went-back"   // everybody is led back to the base
	Dropped   What = "dropped"     // something newer takes its place
	Waits     What = "waits"       // it is not begun: a rollback holds, or it went back before
	Rolled    What = "rolled-back" // an earlier bundle is the base, and is held
	Let       What = "released"    // what arrives is taken again
)

func (Lead) action() {}
func (Tell) action() {}

// Step takes an event in. The state that is given stays as it is.
func Step(s State, e Event) (State, []Action) {
	next := s.clone()
	var out []Action
	e.step(&next, &out)
	return next, out
}

// Arrived: the source brought a bundle.
type Arrived struct {
	Now    time.Time
	Bundle string
	Plan   rollout.Plan // zero: the bundle has none, and everybody is led to it at once
}

func (e Arrived) step(s *State, out *[]Action) {
	again := s.Newest == e.Bundle
	s.Newest = e.Bundle
	if s.Base == "" {
		s.Base, s.Plan = e.Bundle, e.Plan
		*out = append(*out, Lead{})
		return
	}
	if s.Held != nil {
		if !again && e.Bundle != s.Base {
			*out = append(*out, Tell{What: Waits, Bundle: e.Bundle, Reason: "a rollback holds " + s.Base})
		}
		return
	}
	s.channels(e.Plan, out)
	s.begin(e.Now, e.Bundle, again, out)
}

// channels takes what a plan says about those that are held. Its waves are those of its own bundle.
func (s *State) channels(p rollout.Plan, out *[]Action) {
	before := s.Plan
	s.Plan = p
	if before.ChannelLabel != p.ChannelLabel || !slices.Equal(before.Channels, p.Channels) {
		*out = append(*out, Lead{})
	}
}

// begin leads to a bundle by the plan that the state has, from the first wave on.
func (s *State) begin(now time.Time, bundle string, again bool, out *[]Action) {
	switch {
	case s.Run != nil && s.Run.Bundle == bundle:
		return // it is under way, by the plan it began with
	case bundle == s.Base:
		s.drop(bundle, out)
		return
	}
	if f := s.Failure(bundle); f != nil {
		s.drop(bundle, out)
		if !again {
			*out = append(*out, Tell{What: Waits, Bundle: bundle, Wave: f.Wave, Reason: "it went back before: " + f.Reason, From: f.Refusal})
		}
		return
	}
	s.drop(bundle, out)
	if len(s.Plan.Waves) == 0 {
		s.makeBase(bundle)
		*out = append(*out, Lead{}, Tell{What: Switched, Bundle: bundle})
		return
	}
	s.Run = &Run{Bundle: bundle, Plan: s.Plan, Since: now.UTC(), Began: now.UTC()}
	s.Run.enter(now, 0, out)
}

// drop ends a rollout under way in favour of another bundle.
func (s *State) drop(by string, out *[]Action) {
	if s.Run == nil {
		return
	}
	*out = append(*out, Lead{}, Tell{What: Dropped, Bundle: s.Run.Bundle, Wave: s.Run.WaveName(s.Run.Wave), Reason: by + " takes its place"})
	s.Run = nil
}

// makeBase makes a bundle the base.
func (s *State) makeBase(bundle string) {
	if s.Base != bundle {
		s.Before = slices.DeleteFunc(s.Before, func(d string) bool { return d == s.Base || d == bundle })
		s.Before = slices.Insert(s.Before, 0, s.Base)
		s.Before = s.Before[:min(len(s.Before), mostBefore)]
	}
	s.Base, s.Run = bundle, nil
}

// enter begins a wave.
func (r *Run) enter(now time.Time, wave int, out *[]Action) {
	r.Wave, r.Since, r.Baking = wave, now, false
	*out = append(*out, Lead{}, Tell{What: Began, Bundle: r.Bundle, Wave: r.WaveName(wave)})
}

// Looked: this is how the proxies are that are connected, and what was observed since the wave began.
type Looked struct {
	Now     time.Time
	Proxies []Seen
	Probe   string // why the probe counts as failed; "": it does not
	Errors  string // why the proxies of the waves fail too many requests; "": they do not
}

// Seen is a proxy that is connected.
type Seen struct {
	rollout.Proxy
	Bundle  string   // that it is led to
	Synced  bool     // it has acknowledged all of it
	Refusal *Refusal // of some of it
	Kept    string   // why it keeps another; "": it does not
}

func (e Looked) step(s *State, out *[]Action) {
	r := s.Run
	if r == nil {
		return
	}
	if r.bound(e.Proxies) {
		*out = append(*out, Lead{}) // and what they make of it is for the next look
		return
	}
	c := s.count(e.Proxies)
	switch {
	case c.refusal != nil:
		s.back(e.Now, fmt.Sprintf("%s refuses %s: %s", c.refusal.Node, strings.Join(c.refusal.Resources, ", "), c.refusal.Error), c.refusal, out)
	case e.Probe != "":
		s.back(e.Now, e.Probe, nil, out)
	case e.Errors != "":
		s.back(e.Now, e.Errors, nil, out)
	case r.Baking:
		s.bake(e.Now, c, out)
	default:
		s.await(e.Now, c, out)
	}
}

// census is how the proxies are that a rollout leads.
type census struct {
	here    int // of all waves that have begun
	latest  int // of them, of the latest wave
	acked   int
	kept    string // why one of them keeps another bundle
	refusal *Refusal
}

// sound tells whether a wave is there, as far as it has to be, and has acknowledged.
func (c census) sound(optional bool) bool { return c.acked == c.here && (c.latest > 0 || optional) }

func (s *State) count(proxies []Seen) (c census) {
	r := s.Run
	for i := range proxies {
		p := &proxies[i]
		if s.Leads(p.Proxy) != r.Bundle {
			continue
		}
		c.here++
		if r.Wave >= len(r.Plan.Waves) || r.Plan.Waves[r.Wave].Names(p.Proxy) {
			c.latest++
		}
		switch {
		case p.Bundle == r.Bundle && p.Refusal != nil:
			if c.refusal == nil {
				c.refusal = p.Refusal
			}
		case p.Kept != "":
			c.kept = p.ID + ": " + p.Kept
		case p.Bundle == r.Bundle && p.Synced:
			c.acked++
		}
	}
	return c
}

// bound fixes who is in a wave that is a share, when the first proxies of it are there.
func (r *Run) bound(proxies []Seen) bool {
	changed := false
	for i := range r.Plan.Waves[:min(r.Wave+1, len(r.Plan.Waves))] {
		if i < len(r.Bounds) {
			continue
		}
		w := &r.Plan.Waves[i]
		if w.Whole() {
			r.Bounds = append(r.Bounds, math.MaxUint64)
			continue
		}
		var ranks []uint64
		for j := range proxies {
			if w.Names(proxies[j].Proxy) && r.Plan.Channel(proxies[j].Labels) == nil {
				ranks = append(ranks, proxies[j].Rank())
			}
		}
		if len(ranks) == 0 {
			return changed
		}
		slices.Sort(ranks)
		n := (len(ranks)*w.Percent + 99) / 100 // one at least
		r.Bounds = append(r.Bounds, ranks[n-1])
		changed = true
	}
	return changed
}

// await waits until all of the waves that have begun have acknowledged.
func (s *State) await(now time.Time, c census, out *[]Action) {
	r := s.Run
	last := r.Wave >= len(r.Plan.Waves)
	switch {
	case last && c.acked == c.here:
		s.complete(out)
		return
	case !last && c.sound(r.Plan.Waves[r.Wave].Optional):
		r.Baking, r.Since = true, now
		*out = append(*out, Tell{What: Baking, Bundle: r.Bundle, Wave: r.WaveName(r.Wave)})
		s.bake(now, c, out)
		return
	}
	deadline := r.Plan.Deadline.Or(rollout.DefaultDeadline)
	if now.Sub(r.Since) < deadline {
		return
	}
	reason := fmt.Sprintf("%d of %d proxies have acknowledged it after %v", c.acked, c.here, deadline)
	if c.latest == 0 {
		reason = fmt.Sprintf("the wave names no proxy that is connected, for %v", deadline)
	}
	if c.kept != "" {
		reason += "; " + c.kept
	}
	s.back(now, reason, nil, out)
}

// bake goes on when the wave has been watched for long enough and all of it are still there.
func (s *State) bake(now time.Time, c census, out *[]Action) {
	r := s.Run
	w := &r.Plan.Waves[r.Wave]
	over := now.Sub(r.Since) - time.Duration(w.Bake)
	switch {
	case over >= 0 && c.sound(w.Optional) && w.Everybody():
		s.complete(out)
	case over >= 0 && c.sound(w.Optional):
		r.enter(now, r.Wave+1, out)
	case over >= r.Plan.Deadline.Or(rollout.DefaultDeadline):
		s.back(now, "proxies that had acknowledged it are gone, or have not acknowledged it again", nil, out)
	}
}

func (s *State) complete(out *[]Action) {
	bundle := s.Run.Bundle
	s.makeBase(bundle)
	*out = append(*out, Lead{}, Tell{What: Completed, Bundle: bundle})
}

// back leads everybody to the base again.
func (s *State) back(now time.Time, reason string, refusal *Refusal, out *[]Action) {
	f := Failure{Bundle: s.Run.Bundle, Wave: s.Run.WaveName(s.Run.Wave), Reason: reason, Time: now.UTC(), Refusal: refusal}
	s.Failed = append(s.Failed, f)
	s.Failed = s.Failed[max(0, len(s.Failed)-mostFailed):]
	s.Run = nil
	*out = append(*out, Lead{}, Tell{What: WentBack, Bundle: f.Bundle, Wave: f.Wave, Reason: reason, From: refusal})
}

// RolledBack: a person wants an earlier bundle, or the base in the place of a rollout under way.
type RolledBack struct {
	Now time.Time
	To  string
}

func (e RolledBack) step(s *State, out *[]Action) {
	s.makeBase(e.To)
	s.Held = &Held{Since: e.Now.UTC()}
	*out = append(*out, Lead{}, Tell{What: Rolled, Bundle: e.To})
}

// Released: a person wants what the source brought last, be it held back or have it gone back before.
type Released struct {
	Now  time.Time
	Plan rollout.Plan // of the bundle that the source brought last
}

func (e Released) step(s *State, out *[]Action) {
	s.Held = nil
	s.Failed = slices.DeleteFunc(s.Failed, func(f Failure) bool { return f.Bundle == s.Newest })
	*out = append(*out, Tell{What: Let, Bundle: s.Newest})
	s.channels(e.Plan, out)
	s.begin(e.Now, s.Newest, false, out)
}
