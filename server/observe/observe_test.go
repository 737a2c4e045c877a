package observe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshc/meshc/compiler/rollout"
)

// proxied is a proxy that counts its answers.
type proxied struct {
	all, failed, stats atomic.Int64
	gone               atomic.Bool
	plan               rollout.Errors
}

func newProxied(t *testing.T) *proxied {
	p := &proxied{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if p.gone.Load() {
			http.Error(w, "gone", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `# TYPE envoy_http_downstream_rq_xx counter
envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="outbound_0.0.0.0_80"} %d
envoy_http_downstream_rq_xx{envoy_response_code_class="5",envoy_http_conn_manager_prefix="outbound_0.0.0.0_80"} %d
envoy_http_downstream_rq_xx{envoy_response_code_class="5",envoy_http_conn_manager_prefix="stats"} %d
# TYPE envoy_other gauge
envoy_other{} 7
`, p.all.Load()-p.failed.Load(), p.failed.Load(), p.stats.Load())
	}))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	p.plan = rollout.Errors{Port: n, Percent: 10, Requests: 20, Every: rollout.Duration(time.Second)}
	return p
}

func (p *proxied) answers(all, failed int64) {
	p.all.Add(all)
	p.failed.Add(failed)
}

// TestErrors: what was failed before counts against nobody, nor do too few answers, those of the proxy itself, or a proxy that
// was started again.
func TestErrors(t *testing.T) {
	p, o := newProxied(t), New()
	plan := &rollout.Plan{Errors: &p.plan}
	now := time.Unix(1000, 0)
	look := func(of string) string {
		now = now.Add(time.Second)
		o.Look(context.Background(), now, of, plan, []Target{{"p", "127.0.0.1"}})
		_, says := o.Says(of)
		return says
	}
	p.answers(1000, 900)
	for step, x := range []struct {
		all, failed, stats int64
		want               bool
	}{
		{0, 0, 0, false}, {19, 19, 0, false}, {500, 0, 100, false}, {100, 41, 0, false}, {1, 1, 0, false}, {10, 10, 0, true},
	} {
		p.answers(x.all, x.failed)
		p.stats.Add(x.stats)
		if got := look("a"); (got != "") != x.want {
			t.Fatalf("step %d: %q", step, got)
		}
	}
	if says := look("b"); says != "" {
		t.Errorf("another rollout begins with %q", says)
	}
	p.all.Store(30)
	p.failed.Store(30)
	if says := look("b"); says != "" {
		t.Errorf("started again: %q", says)
	}
	p.gone.Store(true)
	for range unreadRounds - 1 {
		if says := look("b"); says != "" {
			t.Errorf("%q", says)
		}
	}
	if says := look("b"); !strings.Contains(says, "the metrics of no proxy") {
		t.Errorf("%q", says)
	}
}

// TestAddresses: what a proxy says of its address leads to no other place of the machine's own network.
func TestAddresses(t *testing.T) {
	o := New()
	for _, a := range []string{"", "169.254.169.254", "0.0.0.0", "::", "224.0.0.1", "fe80::1", "metadata.internal", "127.0.0.1/x", "ff02::1"} {
		if _, err := o.scrape(context.Background(), &rollout.Errors{}, Target{"p", a}); err == nil || !strings.Contains(err.Error(), "none of a workload") {
			t.Errorf("%q: %v", a, err)
		}
	}
}

// TestProbe: so many failures in a row, no fewer.
func TestProbe(t *testing.T) {
	code := atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) }))
	defer s.Close()
	o, now := New(), time.Unix(1000, 0)
	plan := &rollout.Plan{Probe: &rollout.Probe{URL: s.URL, Every: rollout.Duration(time.Second), Failures: 2}}
	for step, x := range []struct {
		code  int64
		after time.Duration
		want  bool
	}{
		{200, 1, false}, {503, 1, false}, {302, 1, false}, {404, 1, false}, {404, 0, false}, {500, 1, true},
	} {
		code.Store(x.code)
		now = now.Add(x.after * time.Second)
		if got := o.Look(context.Background(), now, "a", plan, nil); got != x.want {
			says, _ := o.Says("a")
			t.Fatalf("step %d: %q", step, says)
		}
	}
}

// Counters are read by the labels that meshc's bootstrap and Istio's proxies have, and by those of an Envoy that nobody told; what the
// proxy answers for itself, and for probes, is nobody's answer.
func TestForms(t *testing.T) {
	for _, text := range []string{
		"envoy_http_downstream_rq{response_code_class=\"2xx\",http_conn_manager_prefix=\"inbound_0.0.0.0_80\"} 6\nenvoy_http_downstream_rq{response_code_class=\"5xx\",http_conn_manager_prefix=\"inbound_0.0.0.0_80\"} 4\n" +
			"envoy_http_downstream_rq{response_code_class=\"5xx\",http_conn_manager_prefix=\"probes\"} 9\nenvoy_http_downstream_rq_total{} 3\n",
		"envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"x\"} 6\nenvoy_http_downstream_rq_xx{envoy_response_code_class=\"5\",envoy_http_conn_manager_prefix=\"x\"} 4\n",
	} {
		if c, err := parse(strings.NewReader(text)); err != nil || c.all != 10 || c.failed != 4 {
			t.Errorf("%+v, %v in\n%s", c, err, text)
		}
	}
}

// FuzzMetrics: whatever a proxy answers, reading it ends, with counts that are none below zero.
func FuzzMetrics(f *testing.F) {
	for _, of := range forms {
		f.Add(of.counter + "{" + of.class + "=\"" + of.failed + "\"} 3\n")
		f.Add(of.counter + " NaN\n" + of.counter + "{a=\"b\"} -1\n")
	}
	f.Add("# TYPE A histogram\n{}")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parse(strings.NewReader(text)); err == nil && (c.all < 0 || c.failed < 0 || c.failed > c.all) {
			t.Errorf("%+v", c)
		}
	})
}
