// Package statistics says which statistics a proxy keeps and how it shows them: one description, Settings, which injection reads off
// the annotations of a pod and its ProxyConfig and puts on the command line of meshc bootstrap, which reads it there. Each setting
// is one Option, so that an annotation and its flag cannot come to mean different things.
//
// A proxy keeps what Istio's proxies keep, what the settings add, and the answers of its listeners by class of status, which
// rollouts are judged by; of a mesh of some size everything else is most of the memory of an Envoy.
package statistics

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshc/meshc/compiler/re2"
)

// Settings describe the statistics of a proxy. The zero value is what a proxy keeps by default.
type Settings struct {
	All         bool     // every statistic that Envoy has
	Prefixes    []string // of names that are kept besides; {pod_ip} stands for each address of the proxy
	Suffixes    []string
	Regexps     []string // of whole names
	Buckets     []Buckets
	Flush       time.Duration // of push-based sinks; 0: Envoy's own, 5 s
	Eviction    time.Duration // after which what is not used any more is forgotten; 0: never
	Compression string        // of what Prometheus is shown: gzip, brotli or zstd; "": none
}

// Buckets are the bounds of histograms whose names begin so.
type Buckets struct {
	Prefix string
	Bounds []float64
}

// PodIP stands for each address of the proxy in Prefixes, Suffixes and Regexps.
const PodIP = "{pod_ip}"

// Option is one setting: a flag, and the annotation of a pod with the same meaning.
type Option struct {
	Flag       string
	Annotation string // "": none
	Help       string
	List       bool // the annotation has several, separated by commas, and the flag is repeated
	Set        func(*Settings, string) error
	Get        func(Settings) []string
}

const prefix = "sidecar.istio.io/"

// Options lists the settings.
var Options = []Option{
	{"all-statistics", "", "true: keep every statistic that Envoy has, not those of Istio's proxies only", false,
		func(s *Settings, text string) (err error) {
			s.All, err = strconv.ParseBool(text)
			return err
		},
		func(s Settings) []string { return some(s.All, "true") }},
	{"stats-inclusion-prefix", prefix + "statsInclusionPrefixes", "keep statistics whose names begin so, too; may be repeated", true,
		func(s *Settings, text string) error { s.Prefixes = append(s.Prefixes, text); return nil },
		func(s Settings) []string { return s.Prefixes }},
	{"stats-inclusion-suffix", prefix + "statsInclusionSuffixes", "keep statistics whose names end so, too; may be repeated", true,
		func(s *Settings, text string) error { s.Suffixes = append(s.Suffixes, text); return nil },
		func(s Settings) []string { return s.Suffixes }},
	{"stats-inclusion-regexp", prefix + "statsInclusionRegexps", "keep statistics whose names match RE2 as a whole, too; may be repeated", true,
		func(s *Settings, text string) error { s.Regexps = append(s.Regexps, text); return expression(text) },
		func(s Settings) []string { return s.Regexps }},
	{"stats-histogram-buckets", prefix + "statsHistogramBuckets", "bounds of histograms by the prefix of their names, as JSON", false,
		func(s *Settings, text string) (err error) { s.Buckets, err = buckets(text); return err },
		func(s Settings) []string { return some(len(s.Buckets) > 0, bucketsText(s.Buckets)) }},
	{"stats-flush-interval", prefix + "statsFlushInterval", "how often statistics are pushed to sinks", false,
		func(s *Settings, text string) (err error) { s.Flush, err = duration(text, 5*time.Minute); return err },
		func(s Settings) []string { return some(s.Flush != 0, s.Flush.String()) }},
	{"stats-eviction-interval", prefix + "statsEvictionInterval", "after which statistics that are not used any more are forgotten; a multiple of the flush interval", false,
		func(s *Settings, text string) (err error) { s.Eviction, err = duration(text, 24*time.Hour); return err },
		func(s Settings) []string { return some(s.Eviction != 0, s.Eviction.String()) }},
	{"stats-compression", prefix + "statsCompression", "how statistics are compressed for Prometheus: gzip, brotli or zstd", false,
		func(s *Settings, text string) error { s.Compression = text; return compression(text) },
		func(s Settings) []string { return some(s.Compression != "", s.Compression) }},
}

// Read adds what an annotation says to settings.
func (o Option) Read(s *Settings, text string) error {
	if !o.List {
		return o.Set(s, strings.TrimSpace(text))
	}
	for e := range strings.SplitSeq(text, ",") {
		if e = strings.TrimSpace(e); e != "" {
			if err := o.Set(s, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Args are the settings as arguments of meshc bootstrap.
func (s Settings) Args() []string {
	var out []string
	for _, o := range Options {
		for _, v := range o.Get(s) {
			out = append(out, "--"+o.Flag+"="+v)
		}
	}
	return out
}

// flushInterval is Envoy's own.
const flushInterval = 5 * time.Second

// Check tells what settings cannot be together.
func (s Settings) Check() error {
	if flush := cmp.Or(s.Flush, flushInterval); s.Eviction%flush != 0 {
		return fmt.Errorf("the eviction interval %s is no multiple of the flush interval %s", s.Eviction, flush)
	}
	return nil
}

func some(is bool, text string) []string {
	if !is {
		return nil
	}
	return []string{text}
}

// expression takes what Envoy takes: RE2.
func expression(text string) error {
	if _, err := re2.Parse(text); err != nil {
		return fmt.Errorf("%q is no regular expression: %w", text, err)
	}
	return nil
}

func buckets(text string) ([]Buckets, error) {
	var m map[string][]float64
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, errors.New(`that is no JSON of bounds by prefix, such as {"cluster": [1, 5, 10]}`)
	}
	var out []Buckets
	for _, p := range slices.Sorted(maps.Keys(m)) {
		bounds := m[p]
		if p == "" || len(bounds) == 0 || bounds[0] <= 0 || !slices.IsSorted(bounds) || len(slices.Compact(slices.Clone(bounds))) < len(bounds) {
			return nil, fmt.Errorf("the bounds of %q have to be more than nothing, each greater than the one before, for a prefix that is not empty", p)
		}
		out = append(out, Buckets{p, bounds})
	}
	return out, nil
}

func bucketsText(list []Buckets) string {
	m := map[string][]float64{}
	for _, b := range list {
		m[b.Prefix] = b.Bounds
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic("statistics: " + err.Error()) // numbers that were read from JSON
	}
	return string(text)
}

// duration is one that Envoy takes, below a limit.
func duration(text string, limit time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Millisecond || d >= limit {
		return 0, fmt.Errorf("%q is no duration of at least 1ms and less than %s, such as 10s", text, limit)
	}
	return d, nil
}

// compressions are those that Envoy has.
var compressions = []string{"gzip", "brotli", "zstd"}

func compression(text string) error {
	if !slices.Contains(compressions, text) {
		return fmt.Errorf("%q is none of %s", text, strings.Join(compressions, ", "))
	}
	return nil
}
