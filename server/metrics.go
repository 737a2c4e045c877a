package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server/ads"
)

// metrics are the server's own; all names start with meshc_.
type metrics struct {
	registry *prometheus.Registry

	pushes, resources, bytes, acks, nacks *prometheus.CounterVec // by type
	refused                               *prometheus.CounterVec // by reason
	bundles                               *prometheus.CounterVec // by result
	apiErrors                             *prometheus.CounterVec // by reason
	endpoints                             *prometheus.CounterVec // by result
	unserved                              *prometheus.CounterVec // by type
	commands                              *prometheus.CounterVec // by result
	steps                                 *prometheus.CounterVec // of rollouts, by what
	throttled, unlogged                   prometheus.Counter
}

func newMetrics(srv *Server) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	vec := func(name, help, label string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		m.registry.MustRegister(v)
		return v
	}
	m.pushes = vec("meshc_pushes_total", "Responses sent to proxies.", "type")
	m.resources = vec("meshc_resources_sent_total", "Resources sent to proxies.", "type")
	m.bytes = vec("meshc_sent_bytes_total", "Encoded bytes of responses sent to proxies.", "type")
	m.acks = vec("meshc_acks_total", "Responses that proxies took.", "type")
	m.nacks = vec("meshc_nacks_total", "Responses that proxies refused.", "type")
	m.refused = vec("meshc_refused_nodes_total", "Proxies that got no configuration, by reason: tls, node, identity, version, class, update, limit, bundle; or not a secret they asked for: secret.", "reason")
	m.bundles = vec("meshc_bundle_loads_total", "Bundles that were read from the path while serving, by result.", "result")
	m.commands = vec("meshc_commands_total", "Commands by the admin address, by result: done, refused, failed.", "result")
	m.steps = vec("meshc_rollout_steps_total", "Steps of rollouts, by what: switched, began, baking, completed, went-back, dropped, waits, rolled-back, released.", "what")
	m.apiErrors = vec("meshc_kubernetes_errors_total", "Requests to the API server of Kubernetes that failed, by reason: forbidden, unauthorized, unknown, unreachable, error, unreadable.", "reason")
	m.endpoints = vec("meshc_endpoint_loads_total", "Changes of live endpoints that came from the source while serving, by result.", "result")
	m.unserved = vec("meshc_unserved_subscriptions_total", "Types that streams asked for and that are not served, by type: ecds, srds, vhds (state of the world), nds, pcds, wds, wads, other.", "type")
	m.throttled = prometheus.NewCounter(prometheus.CounterOpts{Name: "meshc_throttled_requests_total", Help: "Requests of proxies that had to wait because there were too many of them."})
	m.unlogged = prometheus.NewCounter(prometheus.CounterOpts{Name: "meshc_suppressed_log_lines_total", Help: "Lines about the doings of proxies that were not logged, because there were too many of them."})
	m.registry.MustRegister(m.throttled, m.unlogged, newEndpointGauges(srv), newWatchGauges(srv), newRolloutGauges(srv), &nodeGauges{srv: srv,
		nodes:   prometheus.NewDesc("meshc_connected_nodes", "Proxies connected, by class.", []string{"class"}, nil),
		info:    prometheus.NewDesc("meshc_bundle_info", "The bundle in service; always 1.", []string{"digest", "revision", "compiler"}, nil),
		bad:     prometheus.NewDesc("meshc_bundle_rejected", "1 while the newest bundle at the path cannot be taken into service.", nil, nil),
		ending:  prometheus.NewDesc("meshc_secret_expires_timestamp_seconds", "When the first of the certificates expires that the server hands out, in seconds since 1970; absent without one. /status names it.", nil, nil),
		expires: prometheus.NewDesc("meshc_identity_expires_timestamp_seconds", "When the server's own certificate expires, in seconds since 1970; absent without one.", nil, nil),
		objects: prometheus.NewDesc("meshc_kubernetes_secrets", "Secrets and ConfigMaps that are watched, by state: waiting, present, absent; failing counts those, besides, that cannot be read just now.", []string{"state"}, nil),
		kept:    prometheus.NewDesc("meshc_refused_resources", "Versions of resources that proxies have refused and not taken since, of all proxies, by type.", []string{"type"}, nil),
		lacking: prometheus.NewDesc("meshc_nodes_lacking", "Proxies that do not say they have what their class needs, by requirement: re2-program-size, extension, other.", []string{"requirement"}, nil),
		nacked:  prometheus.NewDesc("meshc_nodes_nacked", "Proxies that refused something and have not taken it since.", nil, nil),
	}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) sent(r *ads.Response) {
	l := r.Kind.String()
	m.pushes.WithLabelValues(l).Inc()
	m.resources.WithLabelValues(l).Add(float64(r.Resources))
	m.bytes.WithLabelValues(l).Add(float64(r.Size))
}

// nodeGauges reads the gauges when they are asked for.
type nodeGauges struct {
	srv                               *Server
	nodes, info, bad, nacked, expires *prometheus.Desc
	ending, kept, lacking             *prometheus.Desc
	objects                           *prometheus.Desc // none where the API server is not asked
}

// Describe implements prometheus.Collector.
func (l *nodeGauges) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.nodes, l.info, l.bad, l.nacked, l.expires, l.ending, l.objects, l.kept, l.lacking} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (l *nodeGauges) Collect(c chan<- prometheus.Metric) {
	count := map[string]int{}
	nacked := 0
	kept := map[string]int{}
	lacking := map[string]int{bundle.ProgramSize: 0, bundle.Extension: 0, "other": 0}
	for _, s := range l.srv.snapshot() {
		for _, name := range s.lackedNames() {
			lacking[name]++
		}
		s.mu.Lock()
		count[s.ads.View().Class.ID]++
		if len(s.ads.NACKs()) > 0 {
			nacked++
		}
		s.ads.EachRefused(func(k ads.Kind, versions int) { kept[k.String()] += versions })
		s.mu.Unlock()
	}
	for k := range ads.Kinds {
		if k != ads.Routes { // has the name of the other form
			c <- prometheus.MustNewConstMetric(l.kept, prometheus.GaugeValue, float64(kept[k.String()]), k.String())
		}
	}
	for name, n := range lacking {
		c <- prometheus.MustNewConstMetric(l.lacking, prometheus.GaugeValue, float64(n), name)
	}
	for class, n := range count {
		c <- prometheus.MustNewConstMetric(l.nodes, prometheus.GaugeValue, float64(n), class)
	}
	gen := l.srv.base()
	from := gen.provenance()
	c <- prometheus.MustNewConstMetric(l.info, prometheus.GaugeValue, 1, gen.bundle.Digest.String(), from.Source.Revision, from.Compiler)
	if list := l.srv.expiring(); len(list) > 0 {
		c <- prometheus.MustNewConstMetric(l.ending, prometheus.GaugeValue, float64(list[0].Expires.Unix()))
	}
	if l.srv.own != nil {
		if o, err := l.srv.own.current(); err == nil {
			c <- prometheus.MustNewConstMetric(l.expires, prometheus.GaugeValue, float64(o.leaf.NotAfter.Unix()))
		}
	}
	c <- prometheus.MustNewConstMetric(l.bad, prometheus.GaugeValue, truth(l.srv.bundleWatch.Status().Error != ""))
	c <- prometheus.MustNewConstMetric(l.nacked, prometheus.GaugeValue, float64(nacked))
	if l.srv.credentials != nil {
		states := map[string]float64{"waiting": 0, "present": 0, "absent": 0, "failing": 0}
		for _, o := range l.srv.credentials.Status() {
			if states[o.State]++; o.Problem != "" {
				states["failing"]++
			}
		}
		for state, n := range states {
			c <- prometheus.MustNewConstMetric(l.objects, prometheus.GaugeValue, n, state)
		}
	}
}
