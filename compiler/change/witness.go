package change

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/bundle"
)

// finder collects witnesses, each once, in the order in which they are found.
type finder struct {
	base, head *bundle.Bundle
	calls      []string
	seen       map[string]bool
	looked     []looked
}

// looked is a resource that differs, with its witnesses.
type looked struct {
	key   resourceKey
	held  held
	calls []string
}

func (f *finder) add(call string) {
	if n := len(f.looked); n > 0 {
		f.looked[n-1].calls = append(f.looked[n-1].calls, call)
	}
	if !f.seen[call] {
		f.seen[call] = true
		f.calls = append(f.calls, call)
	}
}

// held says which resource of each type and name a class has, in both bundles.
type held struct{ base, head *bundle.Resource }

func (h held) differs() bool {
	return h.base == nil || h.head == nil || h.base.Digest != h.head.Digest
}

// states are those of the two that are there.
func (h held) states() []*bundle.Resource {
	return slices.DeleteFunc([]*bundle.Resource{h.base, h.head}, func(r *bundle.Resource) bool { return r == nil })
}

type resourceKey struct{ url, name string }

func witnesses(base, head *bundle.Bundle) (*finder, error) {
	f := &finder{base: base, head: head, seen: map[string]bool{}}
	type change struct {
		key  resourceKey
		from string // digests
	}
	done := map[change]bool{}
	for _, p := range f.pairs() {
		both := compare(p.base, p.head)
		for _, k := range slices.SortedFunc(maps.Keys(both), func(a, b resourceKey) int { return strings.Compare(a.url+a.name, b.url+b.name) }) {
			h := both[k]
			c := change{k, digest(h.base) + digest(h.head)}
			if !h.differs() || k.url != bundle.ListenerType && done[c] {
				continue
			}
			if !done[c] {
				f.looked = append(f.looked, looked{key: k, held: h})
			}
			done[c] = true
			if err := f.look(p, k, h); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// pair is what proxies have in the one bundle and in the other.
type pair struct {
	base, head *bundle.Class
	workload   string // one of them, namespace/name; "" where the input declares none
}

// pairs matches the classes of the bundles by their workloads, since a new rule may split a class or join two; classes
// without workloads by their id.
func (f *finder) pairs() []pair {
	var out []pair
	add := func(p pair) {
		if p.base != nil && p.head != nil && !slices.ContainsFunc(out, func(o pair) bool { return o.base == p.base && o.head == p.head }) {
			out = append(out, p)
		}
	}
	type name struct {
		kind, namespace, name string
		gateway               bool
	}
	before := map[name]string{}
	for _, w := range f.base.Workloads {
		if c := f.base.Class(w.Class); c != nil {
			before[name{w.Kind, w.Namespace, w.Name, c.Gateway}] = c.ID
		}
	}
	seen := map[string]bool{}
	for _, w := range f.head.Workloads {
		if c := f.head.Class(w.Class); c != nil {
			id := before[name{w.Kind, w.Namespace, w.Name, c.Gateway}]
			if key := id + "\x00" + c.ID; !seen[key] {
				seen[key] = true
				out = append(out, pair{f.base.Class(id), c, w.Namespace + "/" + w.Name})
			}
		}
	}
	out = slices.DeleteFunc(out, func(p pair) bool { return p.base == nil })
	for _, c := range f.head.Classes {
		if !slices.ContainsFunc(out, func(p pair) bool { return p.head == c }) {
			add(pair{base: f.base.Class(c.ID), head: c})
		}
	}
	return out
}

func digest(r *bundle.Resource) string {
	if r == nil {
		return "-"
	}
	return r.Digest.Hex()
}

func compare(old, now *bundle.Class) map[resourceKey]held {
	out := map[resourceKey]held{}
	for _, r := range old.Resources() {
		out[resourceKey{r.Type, r.Name}] = held{base: r}
	}
	for _, r := range now.Resources() {
		k := resourceKey{r.Type, r.Name}
		h := out[k]
		h.head = r
		out[k] = h
	}
	return out
}

// look finds the witnesses of one resource that differs for a pair.
func (f *finder) look(p pair, k resourceKey, h held) error {
	switch k.url {
	case bundle.VirtualHostType:
		return f.host(p, k.name, h)
	case bundle.ListenerType:
		if p.head.Gateway {
			return f.gateway(p)
		}
		if k.name == "virtualInbound" {
			return f.server(p, h)
		}
		f.port(p, k.name, h)
	case bundle.ClusterType, bundle.EndpointsType:
		f.service(p, k.name)
	}
	return nil
}

// client is how a call names a caller.
func (p pair) client() string {
	switch {
	case p.head.Gateway:
		return strconv.Quote("gateway " + cmp.Or(p.workload, p.head.ID))
	default:
		return cmp.Or(p.workload, p.head.ID)
	}
}

// host finds one witness for each route of a virtual host, and one that no route is about.
func (f *finder) host(p pair, name string, h held) error {
	config, host := bundle.SplitVirtualHost(name)
	scheme, port := "http", ""
	if strings.HasPrefix(config, "https.") {
		scheme = "https"
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		port = host[i+1:]
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		port = config // "80/allow_any"
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil
		}
	}
	for _, r := range h.states() {
		m, err := r.Message()
		if err != nil {
			return err
		}
		vh, ok := m.(*routev3.VirtualHost)
		if !ok {
			continue
		}
		for _, domain := range sampleDomains(vh.GetDomains()) {
			at := scheme + "://" + domain + ":" + port
			for _, rt := range vh.GetRoutes() {
				if call, ok := callFor(at, rt.GetMatch()); ok {
					f.add(call.text(p.client()))
				}
			}
			f.add(request{at: at, path: "/"}.text(p.client()))
			f.add(request{at: at, path: "/no-such-route"}.text(p.client()))
		}
	}
	return nil
}

// sampleDomains takes one name of a virtual host that is no short form, address or repeat with a port.
func sampleDomains(domains []string) []string {
	for _, d := range domains {
		switch {
		case d == "*":
			return []string{"witness.example"}
		case strings.HasPrefix(d, "*"):
			return []string{"witness" + d[1:]}
		case strings.HasSuffix(d, "*"), strings.HasPrefix(d, "["):
		default:
			if i := strings.LastIndexByte(d, ':'); i >= 0 {
				d = d[:i]
			}
			return []string{strings.TrimSuffix(d, ".")}
		}
	}
	return nil
}

// service calls the service of a cluster: by HTTP, which its listener takes or not, and by TCP.
func (f *finder) service(p pair, cluster string) {
	part := strings.Split(cluster, "|")
	if len(part) != 4 || part[0] != "outbound" || p.head.Gateway {
		return
	}
	host := strings.Replace(part[3], "*", "witness", 1)
	f.add(request{at: "http://" + host + ":" + part[1], path: "/"}.text(p.client()))
	f.add(fmt.Sprintf("tcp://%s:%s from %s", host, part[1], p.client()))
}

// port calls the services whose connections an outbound listener takes, and a host that nobody knows.
func (f *finder) port(p pair, name string, h held) {
	_, port, ok := strings.Cut(name, "_")
	if !ok {
		return
	}
	names := map[string]bool{}
	for _, k := range []*bundle.Class{p.base, p.head} {
		for _, r := range k.Resources() {
			if part := strings.Split(r.Name, "|"); r.Type == bundle.ClusterType && len(part) == 4 && part[1] == port && part[2] == "" && !names[part[3]] && about(r, h) {
				names[part[3]] = true
				f.service(p, r.Name)
			}
		}
	}
	f.add(request{at: "http://witness.example:" + port, path: "/"}.text(p.client()))
}

// about tells whether a cluster and a listener come from one object.
func about(r *bundle.Resource, h held) bool {
	for _, l := range h.states() {
		for _, o := range l.Origins {
			if slices.ContainsFunc(r.Origins, func(x bundle.Origin) bool { return x.Kind == o.Kind && x.Namespace == o.Namespace && x.Name == o.Name }) {
				return true
			}
		}
	}
	return false
}

// gateway calls every host of a gateway.
func (f *finder) gateway(p pair) error {
	for _, k := range []*bundle.Class{p.base, p.head} {
		for _, r := range k.Resources() {
			if r.Type == bundle.VirtualHostType {
				if err := f.host(p, r.Name, held{base: r}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
