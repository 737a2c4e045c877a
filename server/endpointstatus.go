package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// EndpointStatus is what /status shows of the source of endpoints.
type EndpointStatus struct {
	Source  string     `json:"source"`
	Synced  bool       `json:"synced"`            // false: nothing has been read from it yet, and the endpoints of the bundle are served
	Updated *time.Time `json:"updated,omitempty"` // when something was last read from it
	Error   string     `json:"error,omitempty"`   // why what it tells now is not in service
	Warning string     `json:"warning,omitempty"`
	Slices  int        `json:"endpointSlices"`
	Pods    int        `json:"pods"`
	Nodes   int        `json:"nodes"`
	Ignored int        `json:"ignored"` // objects of other kinds
	Missing int        `json:"missing"` // endpoints left out because their Pod is not known
}

// sourceState is what is known about the source.
type sourceState struct {
	mu sync.Mutex
	st EndpointStatus
}

// loaded notes what the source has loaded, and answers whether it is the first.
func (s *sourceState) loaded(t endpointUpdate) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = !s.st.Synced
	now := time.Now().UTC()
	s.st.Synced, s.st.Updated, s.st.Error = true, &now, ""
	s.st.Slices, s.st.Pods, s.st.Nodes, s.st.Ignored = t.slices, t.pods, len(t.snapshot.source.Nodes), t.ignored
	return first
}

// unheard is why proxies have to wait; nil: they need not. An API server tells everything or nothing, so before it was
// heard the endpoints of the bundle would take away those that proxies have from before a restart.
func (srv *Server) unheard() error {
	if !srv.opts.KubernetesEndpoints {
		return nil
	}
	srv.source.mu.Lock()
	defer srv.source.mu.Unlock()
	switch {
	case srv.source.st.Synced:
		return nil
	case srv.source.st.Error != "":
		return fmt.Errorf("%w: %s", errEndpointsUnheard, srv.source.st.Error)
	}
	return errEndpointsUnheard
}

func (s *sourceState) status() EndpointStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st
}

func (s *sourceState) failed(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.Error = why
}

// endpointStatus returns the state of the source; nil where there is none.
func (srv *Server) endpointStatus() *EndpointStatus {
	st := srv.source.status()
	if st.Source == "" {
		return nil
	}
	if gen := srv.base(); gen.joiner == nil {
		st.Warning = noPlan
	} else {
		gen.mu.Lock()
		st.Missing = gen.joiner.missing()
		gen.mu.Unlock()
	}
	return &st
}

// endpointGauges tells the state of the source to Prometheus.
type endpointGauges struct {
	srv                             *Server
	objects, lost, failing, updated *prometheus.Desc
}

func newEndpointGauges(srv *Server) *endpointGauges {
	return &endpointGauges{srv: srv,
		objects: prometheus.NewDesc("meshc_endpoint_objects", "Objects that the source of live endpoints tells, by kind.", []string{"kind"}, nil),
		lost:    prometheus.NewDesc("meshc_endpoints_without_pod", "Endpoints left out because their Pod is not known.", nil, nil),
		failing: prometheus.NewDesc("meshc_endpoint_source_failing", "1 while what the source of live endpoints tells cannot be taken into service.", nil, nil),
		updated: prometheus.NewDesc("meshc_endpoint_source_updated_timestamp_seconds", "When something was last read from the source of live endpoints, in seconds since 1970; absent before.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *endpointGauges) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.objects, g.lost, g.failing, g.updated} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (g *endpointGauges) Collect(c chan<- prometheus.Metric) {
	st := g.srv.endpointStatus()
	if st == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(g.objects, float64(st.Slices), "EndpointSlice")
	gauge(g.objects, float64(st.Pods), "Pod")
	gauge(g.objects, float64(st.Nodes), "Node")
	gauge(g.lost, float64(st.Missing))
	gauge(g.failing, truth(st.Error != ""))
	if st.Updated != nil {
		gauge(g.updated, float64(st.Updated.Unix()))
	}
}
