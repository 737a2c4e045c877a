package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshc/meshc/server/waves"
)

// RolloutStatus is where a rollout is.
type RolloutStatus struct {
	Bundle string       `json:"bundle"` // digest that proxies are led to
	Since  time.Time    `json:"since"`
	Wave   string       `json:"wave"` // the latest that has begun
	Waves  []WaveStatus `json:"waves"`
}

// WaveStatus is one wave of it.
type WaveStatus struct {
	Name    string     `json:"name"`
	Who     string     `json:"who"`
	State   WaveState  `json:"state"`
	Since   *time.Time `json:"since,omitempty"` // of the latest that has begun
	Proxies int        `json:"proxies"`         // connected, of a wave that has begun and of none before it
	Acked   int        `json:"acked"`           // of them, that have acknowledged all of the bundle
}

// WaveState is how far a wave is.
type WaveState string

// States of a wave.
const (
	WaveWaiting       WaveState = "waiting"
	WaveAcknowledging WaveState = "acknowledging"
	WaveBaking        WaveState = "baking"
	WaveDone          WaveState = "done"
)

// rolloutStatus is where the rollout under way is; nil: there is none.
func rolloutStatus(state waves.State, proxies []waves.Seen) *RolloutStatus {
	r := state.Run
	if r == nil {
		return nil
	}
	out := &RolloutStatus{Bundle: r.Bundle, Since: r.Began, Wave: r.WaveName(r.Wave)}
	for i := range r.Plan.Waves {
		out.Waves = append(out.Waves, WaveStatus{Name: r.WaveName(i), Who: r.Plan.Waves[i].String(), State: WaveWaiting})
	}
	if n := len(r.Plan.Waves); n == 0 || !r.Plan.Waves[n-1].Everybody() {
		out.Waves = append(out.Waves, WaveStatus{Name: r.WaveName(n), Who: waves.Rest, State: WaveWaiting})
	}
	for i := range out.Waves[:r.Wave] {
		out.Waves[i].State = WaveDone
	}
	latest := &out.Waves[r.Wave]
	latest.State, latest.Since = WaveAcknowledging, &r.Since
	if r.Baking {
		latest.State = WaveBaking
	}
	for i := range proxies {
		p := &proxies[i]
		if state.Leads(p.Proxy) != r.Bundle {
			continue
		}
		w := &out.Waves[r.WaveOf(p.Proxy)]
		w.Proxies++
		if p.Bundle == r.Bundle && p.Synced {
			w.Acked++
		}
	}
	return out
}

// rolloutGauges tell where a rollout is.
type rolloutGauges struct {
	srv                         *Server
	waves, held, failed, unkept *prometheus.Desc
}

func newRolloutGauges(srv *Server) *rolloutGauges {
	return &rolloutGauges{srv: srv,
		waves:  prometheus.NewDesc("meshc_rollout_wave_proxies", "Proxies of the waves of the rollout under way, by wave, its state (waiting, acknowledging, baking, done) and whether they have acknowledged the bundle.", []string{"wave", "state", "acked"}, nil),
		held:   prometheus.NewDesc("meshc_rollback_holds", "1 while a rollback holds a bundle, and what arrives waits.", nil, nil),
		failed: prometheus.NewDesc("meshc_rollout_failed", "1 while the newest bundle is one that went back.", nil, nil),
		unkept: prometheus.NewDesc("meshc_rollout_state_unsaved", "1 while the state of the rollout is not on disk though it should be.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *rolloutGauges) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.waves, g.held, g.failed, g.unkept} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (g *rolloutGauges) Collect(c chan<- prometheus.Metric) {
	state := g.srv.line.Load().state
	if state.Run != nil {
		for _, w := range rolloutStatus(state, g.srv.seen()).Waves {
			for acked, n := range map[string]int{"true": w.Acked, "false": w.Proxies - w.Acked} {
				c <- prometheus.MustNewConstMetric(g.waves, prometheus.GaugeValue, float64(n), w.Name, string(w.State), acked)
			}
		}
	}
	c <- prometheus.MustNewConstMetric(g.held, prometheus.GaugeValue, truth(state.Held != nil))
	c <- prometheus.MustNewConstMetric(g.failed, prometheus.GaugeValue, truth(state.Failure(state.Newest) != nil))
	if g.srv.opts.Shelf != nil {
		c <- prometheus.MustNewConstMetric(g.unkept, prometheus.GaugeValue, truth(g.srv.saved() != nil))
	}
}
