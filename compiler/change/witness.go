package change

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// finder collects witnesses, each once, in the order in which they are found.
type finder struct {
	base, head *bundle.Bundle
	requests   []trace.Request
	seen       map[string]int // position of a request, by how a call writes it
	looked     []looked
	untried    []Untried
}

// looked is a resource that differs, with its witnesses.
type looked struct {
	key      resourceKey
	held     held
	requests []int // positions
}

func (f *finder) add(r trace.Request) {
	key := r.Call()
	at, ok := f.seen[key]
	if !ok {
		at = len(f.requests)
		f.seen[key] = at
		f.requests = append(f.requests, r)
	}
	if n := len(f.looked); n > 0 {
		f.looked[n-1].requests = append(f.looked[n-1].requests, at)
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
	f := &finder{base: base, head: head, seen: map[string]int{}}
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
		if k.name == names.VirtualInbound {
			return f.server(p, h)
		}
		f.port(p, k.name, h)
	case bundle.ClusterType, bundle.EndpointsType:
		f.service(p, k.name)
	}
	return nil
}

// client is how a request names its caller.
func (p pair) client() string {
	name := cmp.Or(p.workload, p.head.ID)
	if p.head.Gateway {
		return "gateway " + name
	}
	return name
}

// place is a host and port to call.
type place struct {
	scheme, host string
	port         uint16
}

// request makes one for a path and query, which are as they go over the wire.
func (at place) request(from, method, path string, headers ...header) trace.Request {
	r := trace.Request{From: from, Method: method, URL: fmt.Sprintf("%s://%s:%d%s", at.scheme, at.host, at.port, path), Headers: map[string][]string{}}
	for _, h := range headers {
		r.Headers[h.name] = append(r.Headers[h.name], h.value)
	}
	return r
}

type header struct{ name, value string }

// host finds one witness for each route of a virtual host, and one that no route is about.
func (f *finder) host(p pair, name string, h held) error {
	config, host := names.ParseVirtualHost(name)
	at := place{scheme: "http"}
	if names.TLSRoutes(config) {
		at.scheme = "https"
	}
	port, known := names.RoutesPort(host)
	if !known {
		port, known = names.RoutesPort(config) // the host for all others
	}
	for _, r := range h.states() {
		m, e := r.Message()
		if e != nil {
			return e
		}
		vh, ok := m.(*routev3.VirtualHost)
		switch domain := sampleDomain(vh.GetDomains()); {
		case !ok:
		case !known:
			f.missed(r, names.Part{}, Untried{What: "host", Value: host, Why: "its port is not in its name"})
		case domain == "":
			f.missed(r, names.Part{}, Untried{What: "host", Value: strings.Join(vh.GetDomains(), " "), Why: "no name was found that it takes"})
		default:
			at.host, at.port = domain, uint16(port)
			f.routes(p, at, r, vh)
		}
	}
	return nil
}

func (f *finder) routes(p pair, at place, r *bundle.Resource, vh *routev3.VirtualHost) {
	for i, rt := range vh.GetRoutes() {
		req, untried := requestFor(at, p.client(), rt.GetMatch())
		f.missed(r, names.RoutePart(i), untried...)
		if len(untried) == 0 {
			f.add(req)
		}
	}
	f.add(at.request(p.client(), "GET", "/"))
	f.add(at.request(p.client(), "GET", "/no-such-route"))
}

// sampleDomain takes one name of a virtual host that is no short form, address or repeat with a port.
func sampleDomain(domains []string) string {
	for _, d := range domains {
		switch {
		case d == "*":
			return "witness.example"
		case strings.HasPrefix(d, "*"):
			return "witness" + d[1:]
		case strings.HasSuffix(d, "*"), strings.HasPrefix(d, "["):
		default:
			if i := strings.LastIndexByte(d, ':'); i >= 0 {
				d = d[:i]
			}
			return strings.TrimSuffix(d, ".")
		}
	}
	return ""
}

// service calls the service of a cluster: by HTTP, which its listener takes or not, and by TCP.
func (f *finder) service(p pair, cluster string) {
	c, ok := names.ParseCluster(cluster)
	if !ok || c.Inbound || p.head.Gateway {
		return
	}
	at := place{"http", strings.Replace(c.Host, "*", "witness", 1), uint16(c.Port)}
	f.add(at.request(p.client(), "GET", "/"))
	at.scheme = "tcp"
	f.add(at.request(p.client(), "", ""))
}

// port calls the services whose connections an outbound listener takes, and a host that nobody knows.
func (f *finder) port(p pair, name string, h held) {
	port, ok := names.ListenerPort(name)
	if !ok {
		return
	}
	called := map[string]bool{}
	for _, k := range []*bundle.Class{p.base, p.head} {
		for _, r := range k.Resources() {
			if r.Type != bundle.ClusterType || called[r.Name] || !about(r, h) {
				continue
			}
			if c, ok := names.ParseCluster(r.Name); ok && !c.Inbound && c.Port == port && c.Subset == "" {
				called[r.Name] = true
				f.service(p, r.Name)
			}
		}
	}
	f.add(place{"http", "witness.example", uint16(port)}.request(p.client(), "GET", "/"))
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
