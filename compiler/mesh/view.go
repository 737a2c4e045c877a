package mesh

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
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

// sharing finds equal lists, listeners and views, so that there is one of each. It serves the goroutine that builds
// classes.
type sharing struct {
	services        interner[Service]
	virtualServices interner[VirtualService]
	distinct        map[listKey[Service]]distinct
	views           map[listKey[Service]]*View
	listeners       map[listenerKey]*EgressListener
	cuts            map[cutKey]*Service
	near            map[string][]string // hosts of nearRules, by namespace
	hidden          []*DestinationRule  // that not everybody sees
	hiddenKnown     bool
}

type distinct struct {
	list  []*Service
	hosts map[string]*Service
}

type cutKey struct {
	service *Service
	port    *Port
}

type listenerKey struct {
	index           int
	spec            *networking.IstioEgressListener
	services        listKey[Service]
	virtualServices listKey[VirtualService]
}

func newSharing() *sharing {
	return &sharing{
		distinct: map[listKey[Service]]distinct{}, views: map[listKey[Service]]*View{}, listeners: map[listenerKey]*EgressListener{},
		cuts: map[cutKey]*Service{}, near: map[string][]string{},
	}
}

// interner returns one slice for all lists with the same elements.
type interner[T any] struct {
	seed   maphash.Seed
	byHash map[uint64][][]*T
}

func (x *interner[T]) intern(list []*T) []*T {
	if len(list) == 0 {
		return nil
	}
	if x.byHash == nil {
		x.seed, x.byHash = maphash.MakeSeed(), map[uint64][][]*T{}
	}
	var h uint64
	for _, e := range list {
		h = (h<<7 | h>>57) ^ maphash.Comparable(x.seed, e)
	}
	for _, have := range x.byHash[h] {
		if slices.Equal(have, list) {
			return have
		}
	}
	list = slices.Clip(list)
	x.byHash[h] = append(x.byHash[h], list)
	return list
}

// listKey identifies an interned list.
type listKey[T any] struct {
	first **T
	n     int
}

func keyOf[T any](list []*T) listKey[T] {
	if len(list) == 0 {
		return listKey[T]{}
	}
	return listKey[T]{&list[0], len(list)}
}

// oneService is the function of this name with a memo; the list has to be interned.
func (x *sharing) oneService(list []*Service) ([]*Service, map[string]*Service) {
	d, ok := x.distinct[keyOf(list)]
	if !ok {
		out, hosts := oneService(list)
		d = distinct{x.services.intern(out), hosts}
		x.distinct[keyOf(list)] = d
	}
	return d.list, d.hosts
}

// cut returns the service with only one of its ports.
func (x *sharing) cut(s *Service, p *Port) *Service {
	key := cutKey{s, p}
	if x.cuts[key] == nil {
		c := *s
		c.Ports = []*Port{p}
		x.cuts[key] = &c
	}
	return x.cuts[key]
}

// listener returns the one listener with this content.
func (x *sharing) listener(l *EgressListener) *EgressListener {
	l.Services, l.VirtualServices = x.services.intern(l.Services), x.virtualServices.intern(l.VirtualServices)
	key := listenerKey{l.Index, l.Spec, keyOf(l.Services), keyOf(l.VirtualServices)}
	if have := x.listeners[key]; have != nil {
		return have
	}
	x.listeners[key] = l
	return l
}

// viewOf returns the view of a scope that sees the services. Nearly all namespaces see the rules that everybody sees:
// those are settled once for a list of services, and only where a rule of the scope's namespace, or one exported to it
// by name, changes something, the scope gets a view of its own.
func (m *Mesh) viewOf(s *Scope, all []*Service) *View {
	x := m.index.sharing
	all = x.services.intern(all)
	base := x.views[keyOf(all)]
	if base == nil {
		base = &View{rules: map[*Service]*DestinationRule{}}
		var list []*Service
		list, base.hosts = x.oneService(all)
		base.Services = slices.Clone(list)
		slices.SortStableFunc(base.Services, func(a, b *Service) int { return cmp.Compare(a.Hostname, b.Hostname) })
		for _, svc := range base.Services {
			if r := m.publicRule(svc); r != nil {
				base.rules[svc] = r
			}
		}
		x.views[keyOf(all)] = base
	}
	changed := map[*Service]*DestinationRule{}
	check := func(svc *Service) {
		if r := m.ruleFor(s.Namespace, s.Labels, svc); r != base.rules[svc] {
			changed[svc] = r
		}
	}
	for _, host := range m.nearRules(s.Namespace) {
		if svc := base.hosts[host]; svc != nil {
			check(svc)
		}
		if !strings.HasPrefix(host, "*") {
			continue
		}
		for _, svc := range base.Services {
			if HostWithin(svc.Hostname, host) {
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

// nearRules returns the hosts of all rules that a namespace may see differently from others: its own, and those that
// are not for everybody and reach it.
func (m *Mesh) nearRules(namespace string) []string {
	x := m.index.sharing
	if !x.hiddenKnown {
		x.hiddenKnown = true
		for _, r := range m.DestinationRules {
			if !r.Visibility.Public {
				x.hidden = append(x.hidden, r)
			}
		}
	}
	out, ok := x.near[namespace]
	if !ok {
		out = slices.Clone(m.index.ruleHosts[namespace])
		for _, r := range x.hidden {
			if r.Visibility.In(namespace) {
				out = appendNew(out, r.Spec.Host)
			}
		}
		x.near[namespace] = out
	}
	return out
}
