// Package waves decides which bundle each proxy is led to: the state of a rollout as a pure step from state and event to
// state and what is to be done. It has no network, no disk, no clock and no lock; the server that owns it tells it what
// arrives, what proxies have acknowledged and what was observed, and keeps the state on disk before it acts by it.
//
// All proxies have the base, unless a channel holds them or a rollout is under way and they are in a wave that has begun. A
// wave that has begun is led to the bundle; when all its proxies have acknowledged, it bakes; then the next begins, and after
// the last one all others follow. A refusal, a wave that does not acknowledge in time, a probe that fails or too many errors
// lead everybody back to the base, and that bundle is not begun again until somebody says so. A rollback makes an earlier
// bundle the base and holds it there: what arrives waits until it is released.
package waves

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshc/meshc/compiler/rollout"
)

// State is what has to be known to go on after a restart. Bundles are named by their digest.
type State struct {
	Base   string       `json:"base"`             // what proxies have that nothing else is said about
	Newest string       `json:"newest"`           // what the source brought last
	Before []string     `json:"before,omitempty"` // bases before it, the latest first
	Plan   rollout.Plan `json:"plan"`             // of the bundle that the source brought last, whose channels hold
	Held   *Held        `json:"held,omitempty"`   // by a rollback; nil: what arrives is taken
	Run    *Run         `json:"run,omitempty"`    // a rollout under way
	Failed []Failure    `json:"failed,omitempty"` // bundles that are not begun again, the latest last
}

// Held says since when, and that a person wants it so.
type Held struct {
	Since time.Time `json:"since"`
}

// Run is a rollout under way.
type Run struct {
	Bundle string       `json:"bundle"`
	Plan   rollout.Plan `json:"plan"`
	Wave   int          `json:"wave"`             // position of the latest wave that has begun; len(Plan.Waves): all others
	Bounds []uint64     `json:"bounds,omitempty"` // of the waves that have begun and are a share: the highest rank in it
	Since  time.Time    `json:"since"`            // when the wave began, or all of it had acknowledged
	Baking bool         `json:"baking,omitempty"`
	Began  time.Time    `json:"began"`
}

// Failure is a bundle that was led back.
type Failure struct {
	Bundle string    `json:"bundle"`
	Wave   string    `json:"wave"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
	// Of a refusal by a proxy.
	Refusal *Refusal `json:"refusal,omitempty"`
}

// String says what went wrong and where, with the source lines behind a refusal.
func (f Failure) String() string {
	out := fmt.Sprintf("went back in wave %s at %s: %s", f.Wave, f.Time.Format(time.RFC3339), f.Reason)
	if f.Refusal != nil && len(f.Refusal.Origins) > 0 {
		out += " (" + strings.Join(f.Refusal.Origins, ", ") + ")"
	}
	return out
}

// Refusal is what a proxy would not take.
type Refusal struct {
	Node      string   `json:"node"`
	Type      string   `json:"type"`
	Resources []string `json:"resources"`
	Origins   []string `json:"origins"` // FILE:LINE
	Error     string   `json:"error"`
}

// How many of them are remembered.
const (
	mostBefore = 20
	mostFailed = 20
)

// Rest is the name of the wave of all who are in no other.
const Rest = "all others"

// WaveName is the name of the wave at a position.
func (r *Run) WaveName(i int) string {
	if i < len(r.Plan.Waves) {
		return r.Plan.Waves[i].Name
	}
	return Rest
}

// Has tells whether a proxy is in a wave that has begun.
func (r *Run) Has(p rollout.Proxy) bool { return r.WaveOf(p) >= 0 }

// WaveOf is the position of the first wave that has begun and that a proxy is in; -1: it is in none.
func (r *Run) WaveOf(p rollout.Proxy) int {
	rank, ranked := uint64(0), false
	for i := range r.Plan.Waves[:min(r.Wave+1, len(r.Plan.Waves))] {
		w := &r.Plan.Waves[i]
		if !w.Names(p) {
			continue
		}
		if w.Whole() {
			return i
		}
		if !ranked {
			rank, ranked = p.Rank(), true
		}
		if i < len(r.Bounds) && rank <= r.Bounds[i] {
			return i
		}
	}
	if r.Wave >= len(r.Plan.Waves) {
		return len(r.Plan.Waves)
	}
	return -1
}

// Leads is the bundle that a proxy is led to.
func (s *State) Leads(p rollout.Proxy) string {
	if c := s.Plan.Channel(p.Labels); c != nil {
		return c.Bundle
	}
	if s.Run != nil && s.Run.Has(p) {
		return s.Run.Bundle
	}
	return s.Base
}

// Bundles are those that some proxy may be led to, the base first, each once.
func (s *State) Bundles() []string {
	out := []string{s.Base}
	add := func(digest string) {
		if digest != "" && !slices.Contains(out, digest) {
			out = append(out, digest)
		}
	}
	if s.Run != nil {
		add(s.Run.Bundle)
	}
	for _, c := range s.Plan.Channels {
		add(c.Bundle)
	}
	return out
}

// Needed are those that have to stay at hand: besides, what the source brought last and the base before.
func (s *State) Needed() []string {
	out := append(s.Bundles(), s.Newest)
	return append(out, s.Before[:min(1, len(s.Before))]...)
}

// Failure is that of a bundle; nil: it has not been led back.
func (s *State) Failure(bundle string) *Failure {
	for i := range s.Failed {
		if s.Failed[i].Bundle == bundle {
			return &s.Failed[i]
		}
	}
	return nil
}

// clone is a copy whose parts can be changed.
func (s State) clone() State {
	s.Before, s.Failed = slices.Clone(s.Before), slices.Clone(s.Failed)
	if s.Run != nil {
		r := *s.Run
		r.Bounds = slices.Clone(r.Bounds)
		s.Run = &r
	}
	return s
}
