package patch

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/names"
)

// routerFilter answers a request, so it has to be the last HTTP filter.
const routerFilter = "envoy.filters.http.router"

var errRouterLast = errors.New("the filter " + routerFilter + " has to stay the last; insert before it")

// patchListeners edits listeners, their filter chains, and the filters in them, in this order, and adds listeners last.
func (p *patcher) patchListeners(rs []*xds.Resource) []*xds.Resource {
	var out []*xds.Resource
	for _, r := range rs {
		if r.Type == xds.Listener {
			if r = p.patchListener(r); r == nil {
				continue
			}
		}
		out = append(out, r)
	}
	if !p.room.Listeners {
		return out
	}
	for _, e := range p.patches[networking.EnvoyFilter_LISTENER] {
		if !adds(e.op()) || !p.mayAdd(e) {
			continue
		}
		l := e.value.(*listenerv3.Listener)
		r := &xds.Resource{Type: xds.Listener, Name: l.Name, Message: proto.Clone(l)}
		p.hit(e, r)
		out = append(out, r)
	}
	return out
}

// listenerPatch is a listener while patches are applied to it; r is copied by the first that changes anything.
type listenerPatch struct {
	*patcher
	r       *xds.Resource
	changed bool
}

// write returns the listener for a change.
func (w *listenerPatch) write() *listenerv3.Listener {
	if !w.changed {
		w.r, w.changed = mutable(w.r), true
	}
	return w.r.Message.(*listenerv3.Listener)
}

func (w *listenerPatch) read() *listenerv3.Listener { return w.r.Message.(*listenerv3.Listener) }

func (w *listenerPatch) done(e *envoyPatch) {
	w.hit(e, w.r)
}

// patchListener returns the listener with all patches that match it, nil if one removes it.
func (p *patcher) patchListener(r *xds.Resource) *xds.Resource {
	w := &listenerPatch{patcher: p, r: r}
	for _, e := range p.patches[networking.EnvoyFilter_LISTENER] {
		if adds(e.op()) || !listenerMatches(e, w.read(), false) {
			continue
		}
		if e.op() == opRemove {
			p.hit(e, nil)
			return nil
		}
		merge(w.write(), e.value, e.op() == opMergeReplace)
		w.done(e)
	}
	w.listenerFilters()
	w.filterChains()
	w.eachChain(networking.EnvoyFilter_NETWORK_FILTER, w.networkFilter)
	w.eachChain(networking.EnvoyFilter_HTTP_FILTER, w.httpFilter)
	w.eachChain(networking.EnvoyFilter_ROUTE_CONFIGURATION, w.inlineRoutes)
	w.eachChain(networking.EnvoyFilter_VIRTUAL_HOST, w.inlineRoutes)
	w.eachChain(networking.EnvoyFilter_HTTP_ROUTE, w.inlineRoutes)
	return w.r
}

func (w *listenerPatch) listenerFilters() {
	for _, e := range w.patches[networking.EnvoyFilter_LISTENER_FILTER] {
		if !listenerMatches(e, w.read(), false) {
			continue
		}
		want := e.spec.GetMatch().GetListener().GetListenerFilter()
		if want == "" && merges(e.op()) {
			continue
		}
		value, _ := e.value.(*listenerv3.ListenerFilter)
		out, changed, err := edit(w.read().ListenerFilters, e.op(), value, func(f *listenerv3.ListenerFilter) bool { return want == "" || f.Name == want }, want != "",
			func(f *listenerv3.ListenerFilter) (*listenerv3.ListenerFilter, error) {
				merged, err := mergeAny(f.GetTypedConfig(), value.GetTypedConfig())
				if err != nil {
					return nil, err
				}
				return &listenerv3.ListenerFilter{Name: f.Name, FilterDisabled: f.FilterDisabled, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: merged}}, nil
			})
		if err != nil {
			w.fail(e, "listener "+w.r.Name, err)
		}
		if changed {
			w.write().ListenerFilters = out
			w.done(e)
		}
	}
}

func (w *listenerPatch) filterChains() {
	for _, e := range w.patches[networking.EnvoyFilter_FILTER_CHAIN] {
		if !listenerMatches(e, w.read(), true) {
			continue
		}
		value, _ := e.value.(*listenerv3.FilterChain)
		if adds(e.op()) {
			l := w.write()
			l.FilterChains = append(l.FilterChains, proto.Clone(value).(*listenerv3.FilterChain))
			w.done(e)
			continue
		}
		matches := func(c *listenerv3.FilterChain) bool { return chainMatches(e, w.read(), c) }
		out, changed, _ := edit(w.read().FilterChains, e.op(), value, matches, true, func(c *listenerv3.FilterChain) (*listenerv3.FilterChain, error) {
			c = proto.Clone(c).(*listenerv3.FilterChain)
			merge(c, value, e.op() == opMergeReplace)
			return c, nil
		})
		if changed {
			w.write().FilterChains = out
		}
		if d := w.read().DefaultFilterChain; d != nil && matches(d) && e.op() != opReplace {
			l := w.write()
			changed = true
			if e.op() == opRemove {
				l.DefaultFilterChain = nil
			} else {
				merge(l.DefaultFilterChain, value, e.op() == opMergeReplace)
			}
		}
		if changed {
			w.done(e)
		}
	}
}

// eachChain applies the patches of a kind to every filter chain that they match.
func (w *listenerPatch) eachChain(kind applyTo, apply func(*envoyPatch, *listenerv3.FilterChain) (*listenerv3.FilterChain, bool)) {
	for _, e := range mergesLast(kind, w.patches[kind]) {
		if !listenerMatches(e, w.read(), true) {
			continue
		}
		changed := false
		for i, c := range w.read().FilterChains {
			if !chainMatches(e, w.read(), c) {
				continue
			}
			if n, ok := apply(e, c); ok {
				w.write().FilterChains[i], changed = n, true
			}
		}
		if d := w.read().DefaultFilterChain; d != nil && chainMatches(e, w.read(), d) {
			if n, ok := apply(e, d); ok {
				w.write().DefaultFilterChain, changed = n, true
			}
		}
		if changed {
			w.done(e)
		}
	}
}

// mergesLast puts patches in the order in which Istio applies them: filters come and go before any is merged into.
func mergesLast(kind applyTo, patches []*envoyPatch) []*envoyPatch {
	if kind != networking.EnvoyFilter_NETWORK_FILTER && kind != networking.EnvoyFilter_HTTP_FILTER {
		return patches
	}
	patches = slices.Clone(patches)
	slices.SortStableFunc(patches, func(a, b *envoyPatch) int {
		switch x, y := merges(a.op()), merges(b.op()); {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	})
	return patches
}

func chainFilter(e *envoyPatch) *networking.EnvoyFilter_ListenerMatch_FilterMatch {
	return e.spec.GetMatch().GetListener().GetFilterChain().GetFilter()
}

func (w *listenerPatch) networkFilter(e *envoyPatch, c *listenerv3.FilterChain) (*listenerv3.FilterChain, bool) {
	want := chainFilter(e).GetName()
	value, _ := e.value.(*listenerv3.Filter)
	out, changed, err := edit(c.Filters, e.op(), value, func(f *listenerv3.Filter) bool { return want == "" || f.Name == want }, want != "",
		func(f *listenerv3.Filter) (*listenerv3.Filter, error) {
			merged, err := mergeAny(f.GetTypedConfig(), value.GetTypedConfig())
			if err != nil {
				return nil, err
			}
			return &listenerv3.Filter{Name: cmp.Or(value.GetName(), f.Name), ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: merged}}, nil
		})
	if err != nil {
		w.fail(e, "a filter chain of listener "+w.r.Name, err)
	}
	if !changed {
		return c, false
	}
	c = proto.Clone(c).(*listenerv3.FilterChain)
	c.Filters = out
	return c, true
}

// editHCM changes the HTTP connection manager of a chain, if it has one that the patch names.
func (w *listenerPatch) editHCM(e *envoyPatch, c *listenerv3.FilterChain, change func(*hcmv3.HttpConnectionManager) bool) (*listenerv3.FilterChain, bool) {
	want := chainFilter(e).GetName()
	for i, f := range c.Filters {
		h := &hcmv3.HttpConnectionManager{}
		if want != "" && f.Name != want || !f.GetTypedConfig().MessageIs(h) || f.GetTypedConfig().UnmarshalTo(h) != nil {
			continue
		}
		if !change(h) {
			continue
		}
		c = proto.Clone(c).(*listenerv3.FilterChain)
		c.Filters[i].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: xds.Any(h)}
		return c, true
	}
	return c, false
}

func (w *listenerPatch) httpFilter(e *envoyPatch, c *listenerv3.FilterChain) (*listenerv3.FilterChain, bool) {
	sub := chainFilter(e).GetSubFilter().GetName()
	value, _ := e.value.(*hcmv3.HttpFilter)
	value, err := w.withExtension(value)
	if err != nil {
		w.fail(e, "listener "+w.r.Name, err)
		return c, false
	}
	return w.editHCM(e, c, func(h *hcmv3.HttpConnectionManager) bool {
		out, changed, err := edit(h.HttpFilters, e.op(), value, func(f *hcmv3.HttpFilter) bool { return sub == "" || f.Name == sub }, sub != "",
			func(f *hcmv3.HttpFilter) (*hcmv3.HttpFilter, error) {
				merged, err := mergeAny(f.GetTypedConfig(), value.GetTypedConfig())
				if err != nil {
					return nil, err
				}
				f = proto.Clone(f).(*hcmv3.HttpFilter)
				f.Name = cmp.Or(value.GetName(), f.Name) // what routes say of the filter, they say by its name
				f.ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: merged}
				return f, nil
			})
		if err != nil {
			w.fail(e, "listener "+w.r.Name, err)
		}
		if i := slices.IndexFunc(out, func(f *hcmv3.HttpFilter) bool { return f.Name == routerFilter }); changed && i != len(out)-1 {
			w.fail(e, "listener "+w.r.Name, errRouterLast)
			return false
		}
		h.HttpFilters = out
		return changed
	})
}

// withExtension puts the configuration of an EXTENSION_CONFIG patch into the filter that asks for it by name. Istio
// streams it as a resource of its own; in a bundle it is resolved.
func (p *patcher) withExtension(f *hcmv3.HttpFilter) (*hcmv3.HttpFilter, error) {
	if f.GetConfigDiscovery() == nil {
		return f, nil
	}
	list := p.patches[networking.EnvoyFilter_EXTENSION_CONFIG]
	for i := len(list) - 1; i >= 0; i-- { // the last of a name counts
		if x, ok := list[i].value.(*corev3.TypedExtensionConfig); ok && x.Name == f.Name {
			p.hit(list[i], nil)
			f = proto.Clone(f).(*hcmv3.HttpFilter)
			f.ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: x.TypedConfig}
			return f, nil
		}
	}
	return nil, errors.New("its configuration comes by discovery, and no EXTENSION_CONFIG patch has the name " + f.Name)
}

// listenerMatches compares name and port. The listeners that take all intercepted connections have chains for each port,
// so that the port of a patch to a chain or filter is compared with those.
func listenerMatches(e *envoyPatch, l *listenerv3.Listener, chain bool) bool {
	m := e.spec.GetMatch().GetListener()
	if m == nil {
		return true
	}
	if m.Name != "" && m.Name != l.Name {
		return false
	}
	if m.PortNumber == 0 || chain && takesAllPorts(l) {
		return true
	}
	return l.GetAddress().GetSocketAddress().GetPortValue() == m.PortNumber
}

func takesAllPorts(l *listenerv3.Listener) bool {
	return l.Name == names.VirtualInbound || l.Name == names.VirtualOutbound
}

func chainMatches(e *envoyPatch, l *listenerv3.Listener, c *listenerv3.FilterChain) bool {
	m := e.spec.GetMatch().GetListener()
	if m == nil {
		return true
	}
	port := c.GetFilterChainMatch().GetDestinationPort().GetValue()
	if takesAllPorts(l) && m.PortNumber != 0 && m.PortNumber != port {
		return false
	}
	f := m.GetFilterChain()
	if f == nil {
		return true
	}
	if f.Name != "" && f.Name != c.Name || f.DestinationPort != 0 && f.DestinationPort != port || !transportMatches(f, c) {
		return false
	}
	name := f.GetFilter().GetName()
	return name == "" || slices.ContainsFunc(c.Filters, func(x *listenerv3.Filter) bool { return x.Name == name }) || !needsFilter(e)
}

// transportMatches is about what a chain takes from the handshake, and what handles its bytes.
func transportMatches(f *networking.EnvoyFilter_ListenerMatch_FilterChainMatch, c *listenerv3.FilterChain) bool {
	m := c.GetFilterChainMatch()
	if f.Sni != "" && !slices.Contains(m.GetServerNames(), f.Sni) || f.TransportProtocol != "" && f.TransportProtocol != m.GetTransportProtocol() ||
		f.TransportSocket != "" && f.TransportSocket != transportSocket(c) {
		return false
	}
	return f.ApplicationProtocols == "" || !slices.ContainsFunc(strings.Split(f.ApplicationProtocols, ","), func(want string) bool {
		return !slices.Contains(m.GetApplicationProtocols(), want)
	})
}

// transportSocket names what handles the bytes of a chain; Envoy takes raw_buffer where nothing is said.
func transportSocket(c *listenerv3.FilterChain) string {
	return cmp.Or(c.GetTransportSocket().GetName(), "envoy.transport_sockets.raw_buffer")
}

// needsFilter tells whether the chain must already have the filter that the match names.
func needsFilter(e *envoyPatch) bool {
	a := e.spec.GetApplyTo()
	return a == networking.EnvoyFilter_HTTP_FILTER || a == networking.EnvoyFilter_FILTER_CHAIN
}
