// Package observe asks from outside how a rollout goes: whether a probe is answered, and how many of the requests that the
// proxies of the waves answered have failed, by their own counters.
//
// A probe counts as failed when so many of its requests in a row were. Errors are counted for each proxy from the first time
// its counters are read after it was led to the bundle, so what it has failed before counts against nobody; the counts of all
// proxies are added, and judged when there are enough. Counters that run backwards are those of a proxy that was started
// again, and begin anew. Metrics that no proxy gives count as too many errors: what was to be watched is not.
package observe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/internal/limit"
)

// Target is a proxy whose counters are read.
type Target struct {
	ID      string
	Address string // IP address
}

// Observer observes one rollout at a time.
type Observer struct {
	client *http.Client

	mu sync.Mutex
	of string // what is observed
	probing
	counting
}

type probing struct {
	failed    int // in a row
	probeSays string
	nextProbe time.Time
}

type counting struct {
	from       map[string]counts // by proxy, when it was first read
	now        map[string]counts
	unread     int // rounds in a row in which no proxy could be read
	errorsSay  string
	nextErrors time.Time
}

// counts are the answers of a proxy.
type counts struct{ all, failed float64 }

// unreadRounds is how often in a row the metrics of all proxies may be missing.
const unreadRounds = 3

// New makes an observer.
func New() *Observer {
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: limit.ObserveTime}).DialContext, DisableKeepAlives: true, ResponseHeaderTimeout: limit.ObserveTime}
	return &Observer{client: &http.Client{Transport: transport, Timeout: limit.ObserveTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Says tells why the probe counts as failed and why there are too many errors, as far as has been observed of what; "": neither.
func (o *Observer) Says(of string) (probe, errors string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of != of {
		return "", ""
	}
	return o.probeSays, o.errorsSay
}

// Look asks what is due by a plan. of names the rollout; with another, all begins anew. It returns whether there is news.
func (o *Observer) Look(ctx context.Context, now time.Time, of string, p *rollout.Plan, targets []Target) bool {
	o.mu.Lock()
	if o.of != of {
		o.of, o.probing, o.counting = of, probing{}, counting{from: map[string]counts{}, now: map[string]counts{}}
	}
	probe := p.Probe != nil && !now.Before(o.nextProbe)
	count := p.Errors != nil && len(targets) > 0 && !now.Before(o.nextErrors)
	o.mu.Unlock()
	if probe {
		err := o.probe(ctx, p.Probe.URL)
		o.probed(now, p.Probe, err)
	}
	if count {
		read, err := o.read(ctx, p.Errors, targets)
		o.counted(now, p.Errors, read, err)
	}
	a, b := o.Says(of)
	return a+b != ""
}

func (o *Observer) get(ctx context.Context, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return o.client.Do(r)
}

func (o *Observer) probe(ctx context.Context, url string) error {
	resp, err := o.get(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

func (o *Observer) probed(now time.Time, p *rollout.Probe, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.nextProbe = now.Add(p.Every.Or(rollout.DefaultProbeEvery))
	if err == nil {
		o.failed = 0
		return
	}
	most := p.Failures
	if most == 0 {
		most = rollout.DefaultProbeFailures
	}
	if o.failed++; o.failed >= most {
		o.probeSays = fmt.Sprintf("the probe has failed %d times in a row: %v", o.failed, err)
	}
}

// read reads the counters of proxies, of those with the lowest ids where there are many.
func (o *Observer) read(ctx context.Context, e *rollout.Errors, targets []Target) (map[string]counts, error) {
	targets = slices.Clone(targets)
	slices.SortFunc(targets, func(a, b Target) int { return compare(a.ID, b.ID) })
	targets = targets[:min(len(targets), limit.ObservedProxies)]
	var mu sync.Mutex
	out, failures := map[string]counts{}, []error(nil)
	work := make(chan Target)
	var wg sync.WaitGroup
	for range min(8, len(targets)) {
		wg.Go(func() {
			for t := range work {
				c, err := o.scrape(ctx, e, t)
				mu.Lock()
				if err == nil {
					out[t.ID] = c
				} else {
					failures = append(failures, fmt.Errorf("%s: %w", t.ID, err))
				}
				mu.Unlock()
			}
		})
	}
	for _, t := range targets {
		work <- t
	}
	close(work)
	wg.Wait()
	if len(failures) == 0 {
		return out, nil
	}
	return out, failures[0]
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// scrape reads the counters of one proxy. Its address is its own word, so it leads to no place that is none of a workload.
func (o *Observer) scrape(ctx context.Context, e *rollout.Errors, t Target) (counts, error) {
	ip, err := netip.ParseAddr(t.Address)
	if err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() {
		return counts{}, fmt.Errorf("its address %q is none of a workload", t.Address)
	}
	port, path := e.Port, e.Path
	if port == 0 {
		port = rollout.DefaultMetricsPort
	}
	if path == "" {
		path = rollout.DefaultMetricsPath
	}
	resp, err := o.get(ctx, "http://"+net.JoinHostPort(ip.String(), strconv.Itoa(port))+path)
	if err != nil {
		return counts{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return counts{}, fmt.Errorf("its metrics answer %s", resp.Status)
	}
	return parse(io.LimitReader(resp.Body, limit.MetricsBytes))
}

// form is how a counter of answers by class of status is called.
type form struct{ counter, class, prefix, failed string }

// forms are those of Envoy's counter of the answers of its HTTP listeners, by class of status: as the bootstrap of meshc and Istio's
// proxies name it, and as an Envoy does that nobody told.
var forms = []form{
	{"envoy_http_downstream_rq", "response_code_class", "http_conn_manager_prefix", "5xx"},
	{"envoy_http_downstream_rq_xx", "envoy_response_code_class", "envoy_http_conn_manager_prefix", "5"},
}

// own are listeners of the proxy itself, not of the mesh.
var own = []string{"admin", "stats", "ready", "health", "probes"}

// parse adds up the answers in Prometheus' text. Of all its lines only those of one counter are looked at: a proxy may be
// hostile, and the readers there are for the whole format are made for those who are not.
func parse(r io.Reader) (c counts, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, limit.MetricsLine)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), "{")
		i := slices.IndexFunc(forms, func(f form) bool { return f.counter == name })
		if i < 0 {
			continue
		}
		labels, value, ok := strings.Cut(rest, "} ")
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if !ok || err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return c, fmt.Errorf("its metrics cannot be read: the line %.200q", lines.Text())
		}
		if slices.Contains(own, labelOf(labels, forms[i].prefix)) {
			continue
		}
		c.all += v
		if labelOf(labels, forms[i].class) == forms[i].failed {
			c.failed += v
		}
	}
	if err := lines.Err(); err != nil {
		return c, fmt.Errorf("its metrics cannot be read: %w", err)
	}
	return c, nil
}

// labelOf is the value of a label, a name of Envoy's without quotes in it.
func labelOf(labels, name string) string {
	for l := range strings.SplitSeq(labels, ",") {
		if k, v, _ := strings.Cut(l, "="); k == name {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

func (o *Observer) counted(now time.Time, e *rollout.Errors, read map[string]counts, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.nextErrors = now.Add(e.Every.Or(rollout.DefaultErrorsEvery))
	if len(read) == 0 {
		if o.unread++; o.unread >= unreadRounds {
			o.errorsSay = fmt.Sprintf("the metrics of no proxy of the waves can be read: %v", errors.Join(err))
		}
		return
	}
	o.unread = 0
	for id, c := range read {
		if was, ok := o.now[id]; !ok || c.all < was.all {
			o.from[id] = c
		}
		o.now[id] = c
	}
	var sum counts
	for id, c := range o.now {
		sum.all += c.all - o.from[id].all
		sum.failed += c.failed - o.from[id].failed
	}
	enough := e.Requests
	if enough == 0 {
		enough = rollout.DefaultRequests
	}
	if sum.all >= float64(enough) && 100*sum.failed > float64(e.Percent)*sum.all {
		o.errorsSay = fmt.Sprintf("%.0f of %.0f answers of the proxies of the waves had a status of 500 or more; %d %% may", sum.failed, sum.all, e.Percent)
	}
}
