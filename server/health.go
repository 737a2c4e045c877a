package server

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshc/meshc/server/watch"
)

// watches tells of all that the server reads again and again. It reads nothing itself and waits for no read.
func (srv *Server) watches() (list []watch.Status) {
	if srv.opts.Watch {
		list = append(list, srv.bundleWatch.Status())
	}
	if srv.opts.Endpoints != "" {
		list = append(list, srv.endpointWatch.Status())
	}
	if srv.opts.KubernetesEndpoints {
		st := srv.source.status()
		list = append(list, watch.Status{Name: srv.endpointWatch.Name, Path: st.Source, LastSuccess: st.Updated, Error: st.Error})
	}
	if srv.secrets != nil {
		list = append(list, srv.secrets.Status())
	}
	if srv.credentials != nil {
		list = append(list, srv.credentials.Health())
	}
	if srv.own != nil {
		list = append(list, srv.own.status())
	}
	if srv.keys != nil {
		list = append(list, srv.keys.Status())
	}
	return list
}

// warnings has a line for each of them that brings nothing newer.
func (srv *Server) warnings() (text string) {
	for _, w := range srv.watches() {
		if why := w.Problem(); why != "" {
			text += fmt.Sprintf("warning: no newer %s: %s\n", w.Name, why)
		}
	}
	return text
}

// reportStalls logs reads that hang, and that they came back. What fails is logged by who reads.
func (srv *Server) reportStalls(ctx context.Context) {
	tick := time.NewTicker(srv.opts.Poll)
	defer tick.Stop()
	stalled := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, w := range srv.watches() {
			switch hangs := w.StalledSince != nil; {
			case hangs && !stalled[w.Name]:
				srv.log.Error("reading hangs; what was read last stays in service", "what", w.Name, "path", w.Path, "since", w.StalledSince)
			case !hangs && stalled[w.Name]:
				srv.log.Info("reading hangs no more", "what", w.Name, "path", w.Path)
			}
			stalled[w.Name] = w.StalledSince != nil
		}
	}
}

// watchGauges tells Prometheus how the reading goes.
type watchGauges struct {
	srv                       *Server
	success, failing, stalled *prometheus.Desc
}

func newWatchGauges(srv *Server) *watchGauges {
	label := []string{"watch"}
	return &watchGauges{srv: srv,
		success: prometheus.NewDesc("meshc_watch_last_success_timestamp_seconds", "When what the server follows was last found to be what is in service, or taken into service, in seconds since 1970, by watch: bundle, endpoints, secrets (of all that are needed, the one for which that is longest ago), identity, token keys.", label, nil),
		failing: prometheus.NewDesc("meshc_watch_failing", "1 while what the last look found could not be taken into service, by watch.", label, nil),
		stalled: prometheus.NewDesc("meshc_watch_stalled", "1 while a look does not come back, as with a network file system that hangs, by watch.", label, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *watchGauges) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.success, g.failing, g.stalled} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (g *watchGauges) Collect(c chan<- prometheus.Metric) {
	for _, w := range g.srv.watches() {
		gauge := func(d *prometheus.Desc, v float64) {
			c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, w.Name)
		}
		if w.LastSuccess != nil {
			gauge(g.success, float64(w.LastSuccess.UnixMilli())/1000)
		}
		gauge(g.failing, truth(w.Error != ""))
		gauge(g.stalled, truth(w.StalledSince != nil))
	}
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
