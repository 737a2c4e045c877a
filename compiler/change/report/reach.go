package report

import (
	"fmt"

	"github.com/meshc/meshc/internal/show"
)

// Reach is whom a change reaches: how many workloads there are that both sides have and whose proxies are sent something, and how much that is.
type Reach struct {
	Workloads int    `json:"workloads"`
	Proxies   int    `json:"proxies"` // of these, as far as the input has pods; else one for each workload
	Most      int    `json:"most"`    // bytes that one proxy is sent at most
	Bytes     int    `json:"bytes"`   // that all of them are sent
	Each      []Sent `json:"each"`    // sorted by workload
}

// Sent is what the proxies of a workload are sent: the resources that are not as they were, in bytes before any compression. What a proxy
// asks for only when it needs it, as single virtual hosts, is counted as if it did.
type Sent struct {
	Workload  Ref `json:"workload"`
	Proxies   int `json:"proxies"`
	Resources int `json:"resources"` // that are new or others
	Removed   int `json:"removed"`   // resources that are gone
	Bytes     int `json:"bytes"`     // for each proxy
}

// Add takes one workload more.
func (r *Reach) Add(s Sent) {
	r.Workloads++
	r.Proxies += s.Proxies
	r.Most = max(r.Most, s.Bytes)
	r.Bytes += s.Bytes * s.Proxies
	r.Each = append(r.Each, s)
}

// String says it in a line.
func (r Reach) String() string {
	return fmt.Sprintf("reaches %s of %s: each is sent at most %s, all together %s", show.Count(r.Proxies, "proxy"), show.Count(r.Workloads, "workload"), size(r.Most), size(r.Bytes))
}

// reach is what a difference alone comes to: the workloads at both of its ends, and what one proxy is sent for it.
func (g *group) reach() string {
	n, most := g.workloads(), 0
	for _, d := range g.all {
		most = max(most, d.Bytes)
	}
	return fmt.Sprintf("workloads: %d; each proxy is sent at most %s for one difference", n, size(most))
}

// workloads counts those at both ends of a difference.
func (d *Difference) workloads() int {
	g := newGroup(d)
	g.add(d)
	return g.workloads()
}

// workloads counts those at both ends of a group.
func (g *group) workloads() (n int) {
	for r := range g.refs {
		if r.Kind != KindOutside {
			n++
		}
	}
	return n
}

// size is a number of bytes as people read it.
func size(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
