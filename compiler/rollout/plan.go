// Package rollout is what a MeshRollout says: in which waves a server leads proxies to another bundle, what stops it, and
// which proxies are held on a bundle of their own.
//
// A Plan is plain data: it is written in a file of the source, sealed beside the configuration of a bundle, and read by the
// server that takes the bundle into service. Who is in a wave depends on the proxy alone (Wave.Names) and, where a wave is a
// share of them, on its Rank, a number that is made of its id: so every replica of a server, and a server that was started
// again, come to the same answer without asking each other.
package rollout

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Plan is the spec of a MeshRollout.
type Plan struct {
	// Waves are the proxies that get a bundle first, wave by wave, each besides those before it. All others follow the last.
	Waves []Wave `json:"waves,omitempty"`
	// Deadline is how long a wave may take to acknowledge the bundle; 0: DefaultDeadline.
	Deadline Duration `json:"deadline,omitzero"`
	Probe    *Probe   `json:"probe,omitempty"`
	Errors   *Errors  `json:"errors,omitempty"`

	// ChannelLabel is the label of a proxy that names its channel; "": DefaultChannelLabel.
	ChannelLabel string    `json:"channelLabel,omitempty"`
	Channels     []Channel `json:"channels,omitempty"`
}

// DefaultDeadline and DefaultChannelLabel stand for what a plan does not say.
const (
	DefaultDeadline     = Duration(10 * time.Minute)
	DefaultChannelLabel = "istio.io/rev"
)

// Wave names proxies: those that meet all its conditions, or a share of them.
type Wave struct {
	Name       string    `json:"name"`
	Selector   *Selector `json:"selector,omitempty"`
	Namespaces []string  `json:"namespaces,omitempty"`
	Locality   string    `json:"locality,omitempty"` // region, region/zone or region/zone/subzone
	Cluster    string    `json:"cluster,omitempty"`
	Percent    int       `json:"percent,omitempty"`  // of the proxies that the conditions name; 0: all
	Bake       Duration  `json:"bake,omitzero"`      // how long the wave is watched once it has acknowledged
	Optional   bool      `json:"optional,omitempty"` // none of its proxies may be connected: then only the time of Bake passes
}

// Selector is the one of Kubernetes, as far as a wave takes it.
type Selector struct {
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// Probe is a request that has to be answered with a status below 400 as long as a rollout is under way.
type Probe struct {
	URL      string   `json:"url"`
	Every    Duration `json:"every,omitzero"`     // 0: DefaultProbeEvery
	Failures int      `json:"failures,omitempty"` // in a row that stop the rollout; 0: DefaultProbeFailures
}

// Errors is how many of the requests that the proxies of the waves answer may fail, by their own count.
type Errors struct {
	Port     int      `json:"port,omitempty"`     // of the proxy, for its metrics; 0: DefaultMetricsPort
	Path     string   `json:"path,omitempty"`     // "": DefaultMetricsPath
	Percent  int      `json:"percent"`            // of the answers that may have a status of 500 or more
	Requests int      `json:"requests,omitempty"` // answers that there have to be before they are judged; 0: DefaultRequests
	Every    Duration `json:"every,omitzero"`     // 0: DefaultErrorsEvery
}

// What stands for what a Probe and Errors do not say. The port is that of the bootstrap that meshc writes, as of Istio's.
const (
	DefaultProbeEvery    = Duration(10 * time.Second)
	DefaultProbeFailures = 3
	DefaultMetricsPort   = 15090
	DefaultMetricsPath   = "/stats/prometheus"
	DefaultRequests      = 50
	DefaultErrorsEvery   = Duration(10 * time.Second)
)

// Channel holds the proxies whose label names it on a bundle.
type Channel struct {
	Name   string `json:"name"`
	Bundle string `json:"bundle"` // sha256:…
}

// Duration is written as Go and Kubernetes write durations: 90s, 5m.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil && v < 0 {
		err = fmt.Errorf("%s is negative", text)
	}
	*d = Duration(v)
	return err
}

// Or is a duration, or another where it is zero.
func (d Duration) Or(other Duration) time.Duration {
	if d == 0 {
		d = other
	}
	return time.Duration(d)
}

// Proxy is what is known of a proxy that can make it one of a wave or a channel.
type Proxy struct {
	ID        string
	Namespace string
	Labels    map[string]string
	Locality  string
	Cluster   string
}

// Rank is a number that each proxy has, all as likely as any other. A share of proxies are those of the lowest ranks, so
// that the same are first each time.
func (p Proxy) Rank() uint64 {
	sum := sha256.Sum256([]byte(p.ID))
	return binary.BigEndian.Uint64(sum[:])
}

// Names tells whether a proxy meets the conditions of a wave. Where the wave is a share, its rank decides besides.
func (w *Wave) Names(p Proxy) bool {
	if len(w.Namespaces) > 0 && !slices.Contains(w.Namespaces, p.Namespace) || w.Cluster != "" && w.Cluster != p.Cluster {
		return false
	}
	if w.Locality != "" && p.Locality != w.Locality && !strings.HasPrefix(p.Locality, w.Locality+"/") {
		return false
	}
	if w.Selector != nil {
		for k, v := range w.Selector.MatchLabels {
			if got, ok := p.Labels[k]; !ok || got != v {
				return false
			}
		}
	}
	return true
}

// Whole tells whether a wave is all that its conditions name, and not a share of it.
func (w *Wave) Whole() bool { return w.Percent == 0 || w.Percent == 100 }

// Everybody tells whether a wave is all proxies.
func (w *Wave) Everybody() bool {
	return w.Whole() && (w.Selector == nil || len(w.Selector.MatchLabels) == 0) && len(w.Namespaces) == 0 && w.Locality == "" && w.Cluster == ""
}

// Channel is the channel that holds a proxy; nil: none.
func (p *Plan) Channel(labels map[string]string) *Channel {
	if len(p.Channels) == 0 {
		return nil
	}
	key := p.ChannelLabel
	if key == "" {
		key = DefaultChannelLabel
	}
	name, ok := labels[key]
	if !ok {
		return nil
	}
	i := slices.IndexFunc(p.Channels, func(c Channel) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Channels[i]
}

// String names what a wave is, for people.
func (w *Wave) String() string {
	var parts []string
	if w.Selector != nil {
		for _, k := range sortedKeys(w.Selector.MatchLabels) {
			parts = append(parts, k+"="+w.Selector.MatchLabels[k])
		}
	}
	add := func(what, value string) {
		if value != "" {
			parts = append(parts, what+" "+value)
		}
	}
	add("namespace", strings.Join(w.Namespaces, " or "))
	add("locality", w.Locality)
	add("cluster", w.Cluster)
	if len(parts) == 0 {
		parts = []string{"all proxies"}
	}
	out := strings.Join(parts, ", ")
	if !w.Whole() {
		out = fmt.Sprintf("%d %% of: %s", w.Percent, out)
	}
	return out
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
