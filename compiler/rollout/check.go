package rollout

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Most waves and channels of one plan.
const (
	mostWaves    = 100
	mostChannels = 100
	longest      = Duration(7 * 24 * time.Hour)
)

// Problem is what is wrong with a plan.
type Problem struct {
	Path    []any // below the plan: keys and positions
	Message string
	Help    string
}

// Check tells what is wrong with a plan, in the order of its fields.
func (p *Plan) Check() (out []Problem) {
	bad := func(help string, path []any, format string, args ...any) {
		out = append(out, Problem{path, fmt.Sprintf(format, args...), help})
	}
	if len(p.Waves) == 0 && len(p.Channels) == 0 {
		bad("Write waves, channels or both.", nil, "the rollout has neither waves nor channels")
	}
	if len(p.Waves) > mostWaves || len(p.Channels) > mostChannels {
		bad("Write fewer.", nil, "the rollout has %d waves and %d channels; there may be %d of each", len(p.Waves), len(p.Channels), mostWaves)
	}
	names := map[string]bool{}
	for i := range p.Waves {
		w := &p.Waves[i]
		if w.Name == "" || names[w.Name] {
			bad("Give each wave a name of its own.", []any{"waves", i, "name"}, "the wave %d has no name, or that of another", i+1)
		}
		names[w.Name] = true
		if w.Percent < 0 || w.Percent > 100 {
			bad("Write a number from 1 to 100.", []any{"waves", i, "percent"}, "%d is no share of proxies in percent", w.Percent)
		}
		if w.Everybody() && i < len(p.Waves)-1 {
			bad("Narrow it, or remove the waves behind it.", []any{"waves", i}, "the wave %s is all proxies, so nobody is left for the waves behind it", w.Name)
		}
		p.checkBake(i, bad)
	}
	p.checkDurations(bad)
	p.checkObserved(bad)
	p.checkChannels(bad)
	return out
}

type report func(help string, path []any, format string, args ...any)

// checkBake wants a wave to be watched for as long as what watches it needs.
func (p *Plan) checkBake(i int, bad report) {
	w := &p.Waves[i]
	at := []any{"waves", i, "bake"}
	if e := p.Errors; e != nil && time.Duration(w.Bake) < e.Every.Or(DefaultErrorsEvery) {
		bad("Write a longer bake, or a shorter every.", at, "the wave %s is over after %v, before its errors are counted, every %v", w.Name, time.Duration(w.Bake), e.Every.Or(DefaultErrorsEvery))
	}
	if q := p.Probe; q != nil {
		if needs := time.Duration(q.most()) * q.Every.Or(DefaultProbeEvery); time.Duration(w.Bake) < needs {
			bad("Write a longer bake, or a shorter every.", at, "the wave %s is over after %v, before a probe can fail %d times, which takes %v", w.Name, time.Duration(w.Bake), q.most(), needs)
		}
	}
}

func (q *Probe) most() int {
	if q.Failures == 0 {
		return DefaultProbeFailures
	}
	return q.Failures
}

func (p *Plan) checkDurations(bad report) {
	one := func(d Duration, path ...any) {
		if d < 0 || d > longest {
			bad("Write a shorter one, such as 10m.", path, "%v is no time for this: at most %v", time.Duration(d), time.Duration(longest))
		}
	}
	for i := range p.Waves {
		one(p.Waves[i].Bake, "waves", i, "bake")
	}
	one(p.Deadline, "deadline")
	if p.Probe != nil {
		one(p.Probe.Every, "probe", "every")
	}
	if p.Errors != nil {
		one(p.Errors.Every, "errors", "every")
	}
}

func (p *Plan) checkObserved(bad report) {
	if len(p.Waves) == 0 && (p.Probe != nil || p.Errors != nil) {
		bad("Write waves.", nil, "the rollout has no waves that a probe or errors could stop")
	}
	if q := p.Probe; q != nil {
		u, err := url.Parse(q.URL)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			bad("Write http://HOST:PORT/PATH.", []any{"probe", "url"}, "%q is no URL that can be asked", q.URL)
		case u.User != nil:
			bad("Remove it: a rollout is read by many.", []any{"probe", "url"}, "the URL of the probe holds a password")
		}
		if q.Failures < 0 {
			bad("Write a number from 1 on.", []any{"probe", "failures"}, "%d is no number of failures", q.Failures)
		}
	}
	if e := p.Errors; e != nil {
		if e.Port < 0 || e.Port > 65535 {
			bad("Write a number from 1 to 65535.", []any{"errors", "port"}, "%d is no port", e.Port)
		}
		if e.Percent < 0 || e.Percent > 99 {
			bad("Write a number from 0 to 99.", []any{"errors", "percent"}, "%d is no share of errors that could be too many", e.Percent)
		}
		if e.Path != "" && !strings.HasPrefix(e.Path, "/") {
			bad("Begin it with /.", []any{"errors", "path"}, "%q is no path", e.Path)
		}
		if e.Requests < 0 {
			bad("Write a number from 1 on.", []any{"errors", "requests"}, "%d is no number of requests", e.Requests)
		}
	}
}

func (p *Plan) checkChannels(bad report) {
	names := map[string]bool{}
	for i, c := range p.Channels {
		if c.Name == "" || names[c.Name] {
			bad("Give each channel a name of its own.", []any{"channels", i, "name"}, "the channel %d has no name, or that of another", i+1)
		}
		names[c.Name] = true
		if hex, ok := strings.CutPrefix(c.Bundle, "sha256:"); !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
			bad("Write the digest that meshc compile prints, sha256:…", []any{"channels", i, "bundle"}, "%q is no digest of a bundle", c.Bundle)
		}
	}
}

// Absent are the positions of the waves that name none of the proxies that there will be.
func (p *Plan) Absent(proxies []Proxy) (out []int) {
	for i := range p.Waves {
		named := false
		for _, x := range proxies {
			// What the source does not say of a workload may be as the wave wants it.
			x.Cluster, x.Locality = cmp.Or(x.Cluster, p.Waves[i].Cluster), cmp.Or(x.Locality, p.Waves[i].Locality)
			named = named || p.Waves[i].Names(x)
		}
		if !named {
			out = append(out, i)
		}
	}
	return out
}
