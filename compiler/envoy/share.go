package envoy

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// Group is a list of resources, one of each type and name. Scopes that share it hold the same pointer.
type Group struct {
	Resources []*Resource
}

// NewGroup makes a group; of several resources with one type and name the first stays, as in istiod.
func NewGroup(rs []*Resource) *Group {
	type key struct {
		t    Type
		name string
	}
	seen := make(map[key]bool, len(rs))
	g := &Group{Resources: make([]*Resource, 0, len(rs))}
	for _, r := range rs {
		if k := (key{r.Type, r.Name}); !seen[k] {
			seen[k] = true
			g.Resources = append(g.Resources, r)
		}
	}
	return g
}

// reach says what about a client matters to the clusters of a view, for each service and for any of them.
type reach struct {
	once     sync.Once
	services []clientFacts
	any      clientFacts
}

// clusterGroupKey is everything that the clusters of a scope depend on.
type clusterGroupKey struct {
	view   *mesh.View
	client ClusterInputs // without a service
}

type clusterGroup struct {
	once     sync.Once
	group    *Group
	findings diag.List
}

// clusterGroup returns the clusters and endpoints of a scope, with the findings for whoever asks first.
func (l *Lowering) clusterGroup(s *mesh.Scope) (*Group, diag.List) {
	l.mu.Lock()
	r := l.reaches[s.View()]
	if r == nil {
		r = &reach{}
		l.reaches[s.View()] = r
	}
	l.mu.Unlock()
	r.once.Do(func() {
		for _, svc := range s.Services {
			f := clientFactsFor(l.env, s, svc)
			r.services = append(r.services, f)
			r.any.locality, r.any.labels, r.any.cluster = r.any.locality || f.locality, r.any.labels || f.labels, r.any.cluster || f.cluster
		}
	})
	key := clusterGroupKey{s.View(), l.env.client(s, r.any)}
	l.mu.Lock()
	g := l.groups[key]
	if g == nil {
		g = &clusterGroup{}
		l.groups[key] = g
	}
	l.mu.Unlock()
	var findings diag.List
	g.once.Do(func() {
		rs := append([]*Resource(nil), l.system[s.Gateway]...)
		for i, svc := range s.Services {
			in := l.env.client(s, r.services[i])
			in.Service, in.Rule = svc, s.DestinationRule(svc)
			made, f := l.cluster(in)
			rs = append(rs, made...)
			findings.Add(f...)
		}
		g.group = NewGroup(rs)
	})
	return g.group, findings
}

// scopeKey is everything that the outbound listeners and routes of a scope depend on, but for the short names of the
// services in its own namespace.
type scopeKey struct {
	view         *mesh.View
	listeners    string
	proxy        *meshconfig.ProxyConfig
	sidecar      *mesh.Sidecar
	registryOnly bool
	egress       string
	telemetries  string
	caller       string // which matches on the source hold
}

func (m *Memo) scopeKey(s *mesh.Scope) scopeKey {
	k := scopeKey{view: s.View(), proxy: s.Proxy, sidecar: s.Sidecar, registryOnly: s.Outbound.RegistryOnly}
	if d := s.Outbound.EgressProxy; d != nil {
		k.egress = fmt.Sprintf("%q %q %d", d.Host, d.Subset, d.GetPort().GetNumber())
	}
	var listeners, telemetries, callers strings.Builder
	for _, el := range s.Listeners {
		fmt.Fprintf(&listeners, "%p ", el)
		for _, src := range m.sources(el) {
			callers.WriteString(strconv.Itoa(b2i(src.is(s))))
		}
	}
	for _, t := range s.Telemetries {
		fmt.Fprintf(&telemetries, "%p ", t)
	}
	k.listeners, k.telemetries, k.caller = listeners.String(), telemetries.String(), callers.String()
	return k
}

// caller is a condition on the caller in a match of a VirtualService.
type caller struct {
	labels    map[string]string
	namespace string
}

func (x caller) is(s *mesh.Scope) bool {
	for k, v := range x.labels {
		if have, ok := s.Labels[k]; !ok || have != v {
			return false
		}
	}
	return x.namespace == "" || x.namespace == s.Namespace
}

// sources returns all conditions on the caller in the VirtualServices of a listener.
func (m *Memo) sources(el *mesh.EgressListener) []caller {
	m.mu.Lock()
	defer m.mu.Unlock()
	out, ok := m.callers[el]
	if ok {
		return out
	}
	add := func(labels map[string]string, namespace string) {
		if len(labels) > 0 || namespace != "" {
			out = append(out, caller{labels, namespace})
		}
	}
	for _, vs := range el.VirtualServices {
		for _, h := range vs.Spec.GetHttp() {
			for _, x := range h.GetMatch() {
				add(x.GetSourceLabels(), x.GetSourceNamespace())
			}
		}
		for _, t := range vs.Spec.GetTcp() {
			for _, x := range t.GetMatch() {
				add(x.GetSourceLabels(), x.GetSourceNamespace())
			}
		}
		for _, t := range vs.Spec.GetTls() {
			for _, x := range t.GetMatch() {
				add(x.GetSourceLabels(), x.GetSourceNamespace())
			}
		}
	}
	if m.callers == nil {
		m.callers = map[*mesh.EgressListener][]caller{}
	}
	m.callers[el] = out
	return out
}

// outboundSide is the outbound listeners and routes of all scopes with one key.
type outboundSide struct {
	once      sync.Once
	listeners *Group
	tables    []*routeTable
	shared    *Group // the routes of namespaces that have no service in the tables
}

// outbound returns the outbound side of a scope, with the findings for whoever asks first.
func (l *Lowering) outbound(s *mesh.Scope) (*outboundSide, diag.List) {
	key := l.routes.scopeKey(s)
	l.mu.Lock()
	o := l.sides[key]
	if o == nil {
		o = &outboundSide{}
		l.sides[key] = o
	}
	l.mu.Unlock()
	var findings diag.List
	o.once.Do(func() {
		listeners, keys, f := OutboundListeners(s)
		o.listeners = NewGroup(listeners)
		findings.Add(f...)
		o.tables = l.routes.tables(s, keys)
		o.shared = &Group{}
		for _, t := range o.tables {
			findings.Add(t.findings...)
			o.shared.Resources = append(o.shared.Resources, t.resources...)
		}
	})
	return o, findings
}

// routesFor returns the routes of a scope in a namespace.
func (o *outboundSide) routesFor(namespace string) (*Group, diag.List) {
	var findings diag.List
	group := o.shared
	at := 0
	for _, t := range o.tables {
		if own, f := t.in(namespace); own != nil {
			if group == o.shared {
				group = &Group{Resources: append(make([]*Resource, 0, len(o.shared.Resources)+8), o.shared.Resources[:at]...)}
			}
			group.Resources = append(group.Resources, own...)
			findings.Add(f...)
		} else if group != o.shared {
			group.Resources = append(group.Resources, t.resources...)
		}
		at += len(t.resources)
	}
	return group, findings
}
