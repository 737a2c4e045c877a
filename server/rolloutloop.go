package server

import (
	"context"
	"strconv"
	"time"

	"github.com/meshc/meshc/server/observe"
	"github.com/meshc/meshc/server/waves"
)

// How often a rollout is looked at when nobody answers, and how soon after somebody did.
const (
	lookEvery = time.Second
	lookAfter = 50 * time.Millisecond
)

// followRollout looks at a rollout that is under way as proxies answer and as time passes.
func (srv *Server) followRollout(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-srv.answered:
			if srv.assigned.Load().state.Run == nil {
				continue
			}
			time.Sleep(lookAfter) // more answers are on their way
		}
		if srv.assigned.Load().state.Run != nil {
			srv.advanceRollout(time.Now())
		}
	}
}

// observe asks what a plan names besides the proxies' acknowledgements, as long as a rollout is under way.
func (srv *Server) observe(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r := srv.assigned.Load().state.Run
		if r == nil || r.Plan.Probe == nil && r.Plan.Errors == nil {
			continue
		}
		if srv.observer.Look(ctx, time.Now(), observationOf(r), &r.Plan, srv.targets(r)) {
			srv.lookSoon()
		}
	}
}

// observationOf names a rollout for its observer.
func observationOf(r *waves.Run) string {
	return r.Bundle + " " + strconv.FormatInt(r.Began.UnixNano(), 10)
}

// observed is what has been observed of a rollout.
func (srv *Server) observed(r *waves.Run) (probe, errors string) {
	return srv.observer.Says(observationOf(r))
}

// targets are the proxies that a rollout leads to its bundle.
func (srv *Server) targets(r *waves.Run) (out []observe.Target) {
	for _, s := range srv.snapshot() {
		if p := member(s.node); r.Plan.Channel(p.Labels) == nil && r.Has(p) && len(s.node.Addresses) > 0 {
			out = append(out, observe.Target{ID: s.node.ID, Address: s.node.Addresses[0]})
		}
	}
	return out
}
