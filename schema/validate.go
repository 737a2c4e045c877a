package schema

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	extensions "istio.io/api/extensions/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1beta1 "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/meshc/meshc/internal/diag"
)

// relate checks the rules between the fields of a decoded object of Istio.
func relate(o *Object) diag.List {
	r := &rules{o: o}
	switch m := o.Spec.(type) {
	case *networking.VirtualService:
		r.virtualService(m)
		r.out.Add(liveWeights(o, m)...)
	case *networking.DestinationRule:
		r.destinationRule(m)
	case *networking.Gateway:
		r.labels(at{"selector"}, m.Selector)
		r.gateway(m)
	case *networking.ServiceEntry:
		r.serviceEntry(m)
	case *networking.WorkloadEntry:
		r.workloadEntry(nil, m, false)
	case *networking.WorkloadGroup:
		r.workloadGroup(m)
	case *networking.Sidecar:
		r.sidecar(m)
	case *networking.EnvoyFilter:
		r.envoyFilter(m)
	case *networkingv1beta1.ProxyConfig:
		r.attachment(m.Selector, nil, nil)
	case *security.PeerAuthentication:
		r.peerAuthentication(m)
	case *security.AuthorizationPolicy:
		r.authorizationPolicy(m)
	case *security.RequestAuthentication:
		r.requestAuthentication(m)
	case *telemetry.Telemetry:
		r.attachment(m.Selector, m.TargetRef, m.TargetRefs)
		r.tagOverrides(m)
	case *extensions.WasmPlugin:
		r.attachment(m.Selector, m.TargetRef, m.TargetRefs)
		r.wasm(nil, m.Url, m.PluginName, m.VmConfig)
	case *extensions.TrafficExtension:
		r.attachment(m.Selector, nil, m.TargetRefs)
		if m.GetWasm() == nil && m.GetLua() == nil {
			r.bad(nil, "Add wasm or lua.", "the TrafficExtension has neither wasm nor lua")
		}
		if w := m.GetWasm(); w != nil {
			r.wasm(at{"wasm"}, w.Url, w.PluginName, w.VmConfig)
		}
	}
	return r.out
}

func (r *rules) wasm(p at, location, name string, vm *extensions.VmConfig) {
	u, err := url.ParseRequestURI(location)
	if err != nil || u.Scheme != "" && u.Opaque != "" { // an image without a scheme, whose registry may have a port
		u, err = url.ParseRequestURI("oci://" + location)
	}
	switch {
	case err != nil:
		r.bad(p.to("url"), "Write an image name or a URL.", "%q is not the location of a module", location)
	case u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "oci" && u.Scheme != "file":
		r.bad(p.to("url"), "Use oci, http, https or file.", "modules cannot be fetched by the scheme %q", u.Scheme)
	}
	if len(name) > 256 {
		r.bad(p.to("pluginName"), "Shorten it to 256 characters.", "the name of the plugin is too long")
	}
	seen := map[string]bool{}
	for i, e := range vm.GetEnv() {
		q := p.to("vmConfig", "env", i)
		if seen[e.Name] {
			r.bad(q.to("name"), "Keep one of the two.", "the variable %s is set twice", e.Name)
		}
		seen[e.Name] = true
		if len(e.Name) > 256 {
			r.bad(q.to("name"), "Shorten it to 256 characters.", "the name of the variable is too long")
		}
		if len(e.Value) > 2048 {
			r.bad(q.to("value"), "Shorten it to 2048 characters.", "the value of the variable is too long")
		}
		if e.ValueFrom == extensions.EnvValueSource_HOST && e.Value != "" {
			r.bad(q.to("value"), "Remove value, or valueFrom.", "a variable taken from the host has no value of its own")
		}
	}
}

// envoyFilter checks what relates the fields of an EnvoyFilter; what a patch holds is checked when it is applied.
func (r *rules) envoyFilter(f *networking.EnvoyFilter) {
	if f.WorkloadSelector != nil {
		r.labels(at{"workloadSelector", "labels"}, f.WorkloadSelector.Labels)
		if len(f.TargetRefs) > 0 {
			r.bad(at{"targetRefs"}, "Keep one of the two.", "workloadSelector and targetRefs exclude each other")
		}
	}
	for i, t := range f.TargetRefs {
		r.targetRef(at{"targetRefs", i}, t)
	}
	for i, c := range f.ConfigPatches {
		r.configPatch(at{"configPatches", i}, c)
	}
}

func (r *rules) configPatch(p at, c *networking.EnvoyFilter_EnvoyConfigObjectPatch) {
	if c.ApplyTo == networking.EnvoyFilter_INVALID {
		r.bad(p, "Say what is patched, as HTTP_FILTER.", "applyTo is missing")
	}
	switch {
	case c.Patch == nil:
		r.bad(p, "Add patch.", "the patch is missing")
	case c.Patch.Operation == networking.EnvoyFilter_Patch_INVALID:
		r.bad(p.to("patch"), "Say what is done, as MERGE.", "patch.operation is missing")
	case c.Patch.Operation != networking.EnvoyFilter_Patch_REMOVE && c.Patch.Value == nil:
		r.bad(p.to("patch"), "Add value.", "the operation %s needs a value", c.Patch.Operation)
	}
	m := c.Match
	switch c.ApplyTo {
	case networking.EnvoyFilter_LISTENER, networking.EnvoyFilter_FILTER_CHAIN, networking.EnvoyFilter_NETWORK_FILTER, networking.EnvoyFilter_HTTP_FILTER, networking.EnvoyFilter_LISTENER_FILTER:
		if m.GetRouteConfiguration() != nil || m.GetCluster() != nil {
			r.bad(p.to("match"), "Match by listener.", "%s belongs to a listener, and is matched by one", c.ApplyTo)
		}
		r.filterMatch(p.to("match", "listener", "filterChain"), c)
	case networking.EnvoyFilter_ROUTE_CONFIGURATION, networking.EnvoyFilter_VIRTUAL_HOST, networking.EnvoyFilter_HTTP_ROUTE:
		if m.GetListener() != nil || m.GetCluster() != nil {
			r.bad(p.to("match"), "Match by routeConfiguration.", "%s belongs to a route configuration, and is matched by one", c.ApplyTo)
		}
	case networking.EnvoyFilter_CLUSTER:
		if m.GetListener() != nil || m.GetRouteConfiguration() != nil {
			r.bad(p.to("match"), "Match by cluster.", "a cluster is matched by cluster")
		}
	}
	if v := m.GetProxy().GetProxyVersion(); v != "" {
		r.program(p.to("match", "proxy", "proxyVersion"), v)
	}
}

func (r *rules) filterMatch(p at, c *networking.EnvoyFilter_EnvoyConfigObjectPatch) {
	f := c.GetMatch().GetListener().GetFilterChain().GetFilter()
	if f == nil {
		return
	}
	if f.Name == "" {
		r.bad(p.to("filter"), "Add name.", "the match of a filter has no name")
	}
	s := f.SubFilter
	if s == nil {
		return
	}
	if c.ApplyTo != networking.EnvoyFilter_HTTP_FILTER {
		r.bad(p.to("filter", "subFilter"), "Use applyTo HTTP_FILTER.", "subFilter names an HTTP filter, so it goes only with applyTo HTTP_FILTER")
	}
	if !strings.HasSuffix(f.Name, "http_connection_manager") {
		r.bad(p.to("filter", "name"), "Name envoy.filters.network.http_connection_manager.", "only the HTTP connection manager has sub-filters")
	}
	if s.Name == "" {
		r.bad(p.to("filter", "subFilter"), "Add name.", "the match of a sub-filter has no name")
	}
}

// tagOverrides: a tag is given a value, or removed.
func (r *rules) tagOverrides(m *telemetry.Telemetry) {
	for i, x := range m.GetMetrics() {
		for j, o := range x.GetOverrides() {
			for _, tag := range slices.Sorted(maps.Keys(o.GetTagOverrides())) {
				t := o.GetTagOverrides()[tag]
				p := at{"metrics", i, "overrides", j, "tagOverrides", tag}
				switch upsert := t.GetOperation() == telemetry.MetricsOverrides_TagOverride_UPSERT; {
				case upsert && t.GetValue() == "":
					r.bad(p, "Add value, or use operation REMOVE.", "tag %s is given no value", tag)
				case !upsert && t.GetValue() != "":
					r.bad(p.to("value"), "Remove it, or use operation UPSERT.", "tag %s is removed and given a value", tag)
				}
			}
		}
	}
}
