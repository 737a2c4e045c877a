package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshc/meshc/server/waves"
)

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
	state := g.srv.assigned.Load().state
	if state.Run != nil {
		for _, w := range waves.StatusOf(state, g.srv.seen()).Waves {
			for acked, n := range map[string]int{"true": w.Acked, "false": w.Proxies - w.Acked} {
				c <- prometheus.MustNewConstMetric(g.waves, prometheus.GaugeValue, float64(n), w.Name, string(w.State), acked)
			}
		}
	}
	c <- prometheus.MustNewConstMetric(g.held, prometheus.GaugeValue, truth(state.Held != nil))
	c <- prometheus.MustNewConstMetric(g.failed, prometheus.GaugeValue, truth(state.Failure(state.Newest) != nil))
	if g.srv.opts.Store != nil {
		c <- prometheus.MustNewConstMetric(g.unkept, prometheus.GaugeValue, truth(g.srv.saved() != nil))
	}
}
