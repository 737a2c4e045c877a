package change

import (
	"github.com/meshc/meshc/compiler/change/replaced"
	"github.com/meshc/meshc/compiler/change/report"
)

// reach counts whom the change reaches: the workloads of which the proxies that both sides have are sent something.
func (f *finder) reach() (out report.Reach) {
	at := map[string]int{} // workload → its place in each, where its pods have several classes
	var each []report.Sent
	for _, p := range f.pairs() {
		if !p.head.proxy && !p.head.gateway() || p.base.class == nil || p.head.class == nil {
			continue
		}
		sum := f.replaced.Sum(p.base.class, p.head.class)
		one := report.Sent{Workload: p.ref(), Proxies: max(1, len(p.head.pods)), Resources: sum.New, Removed: sum.Gone, Bytes: sum.Bytes}
		switch i, again := at[p.head.key()]; {
		case sum == (replaced.Sum{}):
		case !again:
			at[p.head.key()] = len(each)
			each = append(each, one)
		case one.Bytes > each[i].Bytes:
			each[i] = one
		}
	}
	for _, s := range each {
		out.Add(s)
	}
	return out
}

// weigh gives each difference the size of what a proxy is sent for it. Of a name under which classes have several resources the largest
// counts.
func (f *finder) weigh(list []*Difference) {
	sizes := map[string]int{}
	for _, r := range f.head.Resources {
		if _, same := f.base.Find(r); !same {
			name := resourceName(r)
			sizes[name] = max(sizes[name], len(r.Bytes))
		}
	}
	for _, d := range list {
		seen := map[string]bool{}
		d.Bytes = 0
		for _, name := range d.Resources {
			if !seen[name] {
				seen[name] = true
				d.Bytes += sizes[name]
			}
		}
	}
}
