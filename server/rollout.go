package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/server/live"
	"github.com/meshc/meshc/server/waves"
)

// BundleStore keeps bundles besides those in service, and what has to be known to go on after a restart.
type BundleStore interface {
	// Bundle reads a bundle by its digest; nil: it is not kept.
	Bundle(digest string) (*bundle.Bundle, error)
	// List tells what is kept, the latest first.
	List() ([]bundle.Kept, error)
	// Save remembers a state in the place of the one before, at once or not at all, and keeps the bundles that it needs.
	Save(state []byte, needed []string) error
	// State is what was saved last; nil: nothing was.
	State() ([]byte, error)
}

// Switch takes what the source brought into service: everybody is led to it at once or wave by wave, as its plan says, or it
// waits as long as a rollback holds. Of a bundle that is in service already, only the account of how it came to be is taken.
// An error leaves all as it was.
func (srv *Server) Switch(b *bundle.Bundle) error {
	srv.turn.Lock()
	defer srv.turn.Unlock()
	digest, plan := b.Digest.String(), planOf(b)
	if err := srv.known(digest, plan); err != nil {
		return err
	}
	if at := srv.assigned.Load().by[digest]; at != nil && at.provenance().Digest != b.Provenance.Digest {
		at.tell(b)
		srv.log.Info("the same configuration from another source", "bundle", digest, "revision", b.Provenance.Source.Revision)
	}
	before := srv.brought
	srv.brought = b
	err := srv.advance(waves.Arrived{Now: time.Now(), Bundle: digest, Plan: plan}, b)
	if err != nil {
		srv.brought = before
	}
	return err
}

// planOf is what a bundle says about how it is taken into service.
func planOf(b *bundle.Bundle) rollout.Plan {
	if b.Rollout == nil {
		return rollout.Plan{}
	}
	return *b.Rollout
}

// known refuses a plan with a channel that holds proxies on a bundle which nobody has.
func (srv *Server) known(brought string, p rollout.Plan) error {
	for _, c := range p.Channels {
		if c.Bundle == brought || srv.assigned.Load().by[c.Bundle] != nil {
			continue
		}
		if b, err := srv.find(c.Bundle); err != nil || b == nil {
			return fmt.Errorf("the channel %s of the bundle %s holds proxies on the bundle %s, which is not kept: %w", c.Name, brought, c.Bundle, cmpErr(err, errNotKept))
		}
	}
	return nil
}

var errNotKept = errors.New("a server keeps what it served with --keep; meshc rollback --list shows it")

func cmpErr(err, other error) error {
	if err == nil {
		return other
	}
	return err
}

// find looks for a bundle that is in service, was brought last, or is kept; nil: it is not at hand.
func (srv *Server) find(digest string) (*bundle.Bundle, error) {
	if g := srv.assigned.Load().by[digest]; g != nil {
		return g.bundle, nil
	}
	if srv.brought != nil && srv.brought.Digest.String() == digest {
		return srv.brought, nil
	}
	if srv.opts.Store == nil {
		return nil, nil
	}
	return srv.opts.Store.Bundle(digest)
}

// advance takes an event in: what changes is kept, then done. Call with turn held.
func (srv *Server) advance(e waves.Event, brought ...*bundle.Bundle) error {
	before := srv.assigned.Load()
	state, actions := waves.Step(before.state, e)
	bundles := map[string]*bundle.Bundle{}
	for _, b := range brought {
		bundles[b.Digest.String()] = b
	}
	for _, digest := range state.Bundles() {
		if bundles[digest] != nil || before.by[digest] != nil {
			continue
		}
		b, err := srv.find(digest)
		if err == nil && b == nil {
			err = fmt.Errorf("the bundle %s is not kept: %w", digest, errNotKept)
		}
		if err != nil {
			return err
		}
		bundles[digest] = b
	}
	if err := srv.remember(before.state, state, slices.Contains(actions, waves.Action(waves.Lead{}))); err != nil {
		return err
	}
	assigned, err := newAssignment(state, before.live, before, bundles, srv.endpoints)
	if err != nil {
		return err
	}
	streams := srv.assign(assigned)
	srv.logActions(actions, before, len(streams))
	if slices.Contains(actions, waves.Action(waves.Lead{})) {
		forEach(streams, func(s *session) { srv.move(s, assigned.of(s.node)) })
		srv.sweep()
	}
	return nil
}

// remember keeps a state on disk before anything is done by it. What leads nobody to anything new is done though it cannot be
// kept: a full disk holds nobody on what is bad.
func (srv *Server) remember(before, state waves.State, leads bool) error {
	if srv.opts.Store == nil {
		return nil
	}
	was, err := json.Marshal(before)
	if err != nil {
		return err
	}
	text, err := json.Marshal(state)
	if err != nil || string(was) == string(text) && srv.saved() == nil {
		return err
	}
	err = srv.save(state, srv.assigned.Load().live)
	if err == nil {
		return nil
	}
	away := state.Run == nil && state.Base == before.Base
	if !leads || away || state.Held != nil {
		srv.log.Error("the state of the rollout is not on disk: a restart begins with the one before", "error", err.Error())
		return nil
	}
	return fmt.Errorf("the state of the rollout cannot be kept, and all stays as it is: %w", err)
}

// logActions logs and counts what a step told.
func (srv *Server) logActions(actions []waves.Action, before *assignment, proxies int) {
	for _, a := range actions {
		t, ok := a.(waves.Tell)
		if !ok {
			continue
		}
		srv.metrics.steps.WithLabelValues(string(t.What)).Inc()
		level, args := slog.LevelInfo, []any{"bundle", t.Bundle}
		if t.Wave != "" {
			args = append(args, "wave", t.Wave)
		}
		if t.Reason != "" {
			args = append(args, "reason", t.Reason)
		}
		if t.From != nil {
			args = append(args, "node", t.From.Node, "resources", t.From.Resources, "origins", t.From.Origins)
		}
		switch t.What {
		case waves.Switched, waves.Completed:
			args = append(args, "before", before.base.bundle.Digest.String(), "proxies", proxies)
		case waves.WentBack:
			level = slog.LevelError
		case waves.Waits:
			level = slog.LevelWarn
		default: // as it goes
		}
		srv.log.Log(context.Background(), level, message(t.What), args...)
		if t.What == waves.Switched || t.What == waves.Began {
			srv.warnOfPlan()
		}
	}
}

// message is what a step says in the log.
func message(w waves.What) string {
	switch w {
	case waves.Switched:
		return "bundle in service"
	case waves.Began:
		return "a wave is led to the bundle"
	case waves.Baking:
		return "the wave has acknowledged the bundle"
	case waves.Completed:
		return "bundle in service, the rollout is complete"
	case waves.WentBack:
		return "the rollout went back"
	case waves.Dropped:
		return "the rollout is given up"
	case waves.Waits:
		return "the bundle waits"
	case waves.Rolled:
		return "rolled back; what arrives waits until it is released"
	default:
		return "released: what arrives is taken into service"
	}
}

func (srv *Server) warnOfPlan() {
	if srv.endpoints == nil {
		return
	}
	for digest, g := range srv.assigned.Load().by {
		if g.joiner == nil {
			srv.log.Warn(noPlan, "bundle", digest)
		}
	}
}

// begin takes up what the state on disk says, and then the bundle that the source has now.
func (srv *Server) begin(b *bundle.Bundle) error {
	if srv.opts.Store != nil {
		srv.setUnsaved(errors.New("nothing was saved yet"))
	}
	resumed, err := srv.resume()
	if err != nil {
		srv.log.Error("the state on disk cannot be gone on with; all proxies get the bundle of the source", "error", err.Error())
	}
	if err := srv.Switch(b); err != nil && !resumed {
		return err
	} else if err != nil {
		srv.rejected(err)
	}
	return nil
}

// resume goes on where the state on disk left off, and returns whether it does.
func (srv *Server) resume() (bool, error) {
	if srv.opts.Store == nil {
		return false, nil
	}
	text, err := srv.opts.Store.State()
	if err != nil || text == nil {
		return false, err
	}
	var state remembered
	if err := json.Unmarshal(text, &state); err != nil {
		return false, fmt.Errorf("the state of the rollout on disk: %w", err)
	}
	if state.Base == "" {
		return false, errors.New("the state of the rollout on disk names no bundle")
	}
	bundles := map[string]*bundle.Bundle{}
	for _, digest := range state.Bundles() {
		b, err := srv.find(digest)
		if err == nil && b == nil {
			err = fmt.Errorf("the bundle %s is not kept", digest)
		}
		if err != nil {
			return false, err
		}
		bundles[digest] = b
	}
	assigned, err := newAssignment(state.State, state.Live, srv.assigned.Load(), bundles, srv.endpoints)
	if err != nil {
		return false, err
	}
	srv.assign(assigned)
	srv.log.Info("goes on where it left off", "bundle", state.Base, "rollout", state.Run != nil, "rolled-back", state.Held != nil)
	return true, nil
}

// lookSoon has a rollout under way looked at: a proxy has answered.
func (srv *Server) lookSoon() {
	select {
	case srv.answered <- struct{}{}:
	default:
	}
}

// mostSteps is how many steps are taken by one look: one leads to the next where there is nothing to wait for.
const mostSteps = 8

// advanceRollout tells a rollout under way how the proxies are.
func (srv *Server) advanceRollout(now time.Time) {
	srv.turn.Lock()
	defer srv.turn.Unlock()
	for range mostSteps {
		assigned := srv.assigned.Load()
		if assigned.state.Run == nil {
			return
		}
		e := waves.Looked{Now: now, Proxies: srv.seen()}
		e.Probe, e.Errors = srv.observed(assigned.state.Run)
		if err := srv.advance(e); err != nil {
			if srv.stuck != err.Error() {
				srv.stuck = err.Error()
				srv.log.Error("the rollout does not go on", "error", err.Error())
			}
			return
		}
		srv.stuck = ""
		if srv.assigned.Load().state.Run == assigned.state.Run || sameStep(srv.assigned.Load().state.Run, assigned.state.Run) {
			return
		}
	}
}

// sameStep tells whether nothing has changed that makes another look worth while.
func sameStep(a, b *waves.Run) bool {
	return a != nil && b != nil && a.Wave == b.Wave && a.Baking == b.Baking && len(a.Bounds) == len(b.Bounds)
}

// seen is how the proxies are that are connected.
func (srv *Server) seen() (out []waves.Seen) {
	for _, s := range srv.snapshot() {
		out = append(out, s.seen())
	}
	return out
}

func (s *session) seen() waves.Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := waves.Seen{Proxy: member(s.node), Bundle: s.ads.View().Bundle.Digest.String(), Kept: s.lost, Synced: !s.sending && s.lost == "" && s.ads.Synced()}
	for _, n := range s.ads.NACKs() {
		if n.Bundle == x.Bundle { // what it refuses of one before is nothing that this one has brought
			x.Refusal = &waves.Refusal{Node: s.node.ID, Type: n.Type, Resources: n.Resources, Origins: n.Origins, Error: n.Error}
			break
		}
	}
	return x
}

// remembered is what a server wants to know after a restart.
type remembered struct {
	waves.State
	Live live.Weights `json:"live,omitempty"`
}

// save puts a state and the weights that are set on disk, where there is a store.
func (srv *Server) save(state waves.State, set live.Weights) error {
	if srv.opts.Store == nil {
		return nil
	}
	text, err := json.Marshal(remembered{state, set})
	if err != nil {
		return err
	}
	err = srv.opts.Store.Save(text, state.Needed())
	srv.setUnsaved(err)
	return err
}

// saved is why the state of the rollout is not on disk; nil: it is, or is not to be.
func (srv *Server) saved() error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.unsaved
}

func (srv *Server) setUnsaved(err error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.unsaved = err
}
