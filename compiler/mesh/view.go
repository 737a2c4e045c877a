package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/internal/memo"
)

// View is what scopes see alike: services, one per host, and the DestinationRule in effect for each. Scopes whose
// content is the same hold the same View, so that whatever depends on nothing else is lowered once, however many
// namespaces there are. It is immutable.
type View struct {
	Services []*Service // sorted by hostname
	hosts    map[string]*Service
	rules    map[*Service]*DestinationRule
}

// View returns what the scope shares with others; nil for a scope that was not made by Classes.
func (s *Scope) View() *View { return s.view }

// Service returns the service of a host, nil when it is not visible.
func (v *View) Service(host string) *Service {
	if v == nil {
		return nil
	}
	return v.hosts[host]
}

// Rule returns the DestinationRule in effect for calls to a service, nil when there is none. A service that a listener cuts
// to one port has the rule of the whole.
func (v *View) Rule(svc *Service) *DestinationRule {
	if v == nil || svc == nil {
		return nil
	}
	if r := v.rules[svc]; r != nil {
		return r
	}
	return v.rules[v.hosts[svc.Hostname]]
}

// ServiceForDestination resolves a route destination: its service and port, nil where undefined. Without a port in the
// destination a service with one port takes that one, any other the listener's.
func (v *View) ServiceForDestination(d *networking.Destination, listenerPort uint32) (*Service, *Port) {
	svc := v.Service(d.GetHost())
	if svc == nil {
		return nil, nil
	}
	number := d.GetPort().GetNumber()
	if number == 0 {
		if len(svc.Ports) == 1 {
			return svc, svc.Ports[0]
		}
		number = listenerPort
	}
	return svc, svc.HasPort(number)
}

// sharing finds equal lists, listeners and views, so that there is one of each.
type sharing struct {
	services        memo.Lists[*Service]
	virtualServices memo.Lists[*VirtualService]
	distinct        *memo.Table[memo.List[*Service], distinct]
	views           *memo.Table[memo.List[*Service], *View]
	listeners       *memo.Table[listenerInputs, *EgressListener]
	singlePort      *memo.Table[singlePortInputs, *Service]
	namespaceRules  *memo.Table[string, []string] // hosts of namespaceRules, by namespace
	hidden          func() []*DestinationRule     // that not everybody sees
}

// distinct is one service per hostname.
type distinct struct {
	list  memo.List[*Service]
	hosts map[string]*Service
}

type singlePortInputs struct {
	service *Service
	port    *Port
}

type listenerInputs struct {
	index           int
	spec            *networking.IstioEgressListener
	services        memo.List[*Service]
	virtualServices memo.List[*VirtualService]
}

func newSharing(m *Mesh) *sharing {
	x := &sharing{
		listeners: memo.Plain(func(in listenerInputs) *EgressListener {
			return &EgressListener{Index: in.index, Spec: in.spec, Services: in.services.All(), VirtualServices: in.virtualServices.All()}
		}),
		singlePort: memo.Plain(func(in singlePortInputs) *Service {
			c := *in.service
			c.Ports = []*Port{in.port}
			return &c
		}),
		namespaceRules: memo.Plain(m.namespaceRules),
		views:          memo.Plain(m.publicView),
		hidden: sync.OnceValue(func() []*DestinationRule {
			return slices.DeleteFunc(slices.Clone(m.DestinationRules), func(r *DestinationRule) bool { return r.Visibility.Public })
		}),
	}
	x.distinct = memo.Plain(func(list memo.List[*Service]) distinct {
		out, hosts := oneService(list.All())
		return distinct{x.services.Of(out...), hosts}
	})
	return x
}

// listener returns the one listener with this content.
func (x *sharing) listener(l *EgressListener) *EgressListener {
	return x.listeners.Get(listenerInputs{l.Index, l.Spec, x.services.Of(l.Services...), x.virtualServices.Of(l.VirtualServices...)})
}

// publicView is how namespaces without rules see services to which nothing is exported by name.
func (m *Mesh) publicView(list memo.List[*Service]) *View {
	one := m.index.sharing.distinct.Get(list)
	v := &View{Services: slices.Clone(one.list.All()), hosts: one.hosts, rules: map[*Service]*DestinationRule{}}
	slices.SortStableFunc(v.Services, func(a, b *Service) int { return cmp.Compare(a.Hostname, b.Hostname) })
	for _, svc := range v.Services {
		if r := m.publicRule(svc); r != nil {
			v.rules[svc] = r
		}
	}
	return v
}

// viewOf returns the view of a scope that sees the services. Nearly all namespaces see the rules that everybody sees:
// those are resolved once for a list of services, and only where a rule of the scope's namespace, or one exported to it
// by name, changes something, the scope gets a view of its own.
func (m *Mesh) viewOf(s *Scope, all []*Service) *View {
	base := m.index.sharing.views.Get(m.index.sharing.services.Of(all...))
	changed := map[*Service]*DestinationRule{}
	check := func(svc *Service) {
		if r := m.ruleFor(s.Namespace, s.Labels, svc); r != base.rules[svc] {
			changed[svc] = r
		}
	}
	for _, host := range m.index.sharing.namespaceRules.Get(s.Namespace) {
		if svc := base.hosts[host]; svc != nil {
			check(svc)
		}
		if !strings.HasPrefix(host, "*") {
			continue
		}
		for _, svc := range base.Services {
			if hosts.Within(svc.Hostname, host) {
				check(svc)
			}
		}
	}
	if len(changed) == 0 {
		return base
	}
	own := &View{Services: base.Services, hosts: base.hosts, rules: maps.Clone(base.rules)}
	for svc, r := range changed {
		if own.rules[svc] = r; r == nil {
			delete(own.rules, svc)
		}
	}
	return own
}

// publicRule is ruleFor as a namespace without rules sees it to which nothing is exported by name.
func (m *Mesh) publicRule(svc *Service) *DestinationRule {
	return m.exportedRule(svc, func(r *DestinationRule) bool { return r.Visibility.Public })
}

// namespaceRules returns the hosts of all rules that a namespace may see differently from others: its own, and those that
// are not for everybody and reach it.
func (m *Mesh) namespaceRules(namespace string) []string {
	out := slices.Clone(m.index.ruleHosts[namespace])
	for _, r := range m.index.sharing.hidden() {
		if r.Visibility.In(namespace) {
			out = appendNew(out, r.Spec.Host)
		}
	}
	return out
}
