package telemetry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"
	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/meshc/meshc/compiler/cel"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Logs are the access loggers of one proxy, resolved from Telemetry and MeshConfig.
type Logs struct {
	HTTP     []*accesslogv3.AccessLog // on connection managers
	TCP      []*accesslogv3.AccessLog // on TCP proxies
	Listener []*accesslogv3.AccessLog // on listeners, for connections that match no chain
}

// Side is the end of a call that a proxy observes: gateways and the outbound listeners are clients.
type Side = telemetry.WorkloadMode

const (
	ClientSide = telemetry.WorkloadMode_CLIENT
	ServerSide = telemetry.WorkloadMode_SERVER
)

// AccessLogs lowers Telemetry.accessLogging of all layers (mesh, namespace, workload) and the default providers of
// MeshConfig to loggers. Where those come to no provider at all, not even one that is disabled, accessLogFile and
// enableEnvoyAccessLogService count.
func AccessLogs(m *mesh.Mesh, layers []*mesh.Telemetry, of Side) (*Logs, diag.List) {
	out, found := chosenLogs(m, layers, of)
	if m.Config.GetDisableEnvoyListenerLog() {
		out.Listener = nil
	}
	return out, found
}

func chosenLogs(m *mesh.Mesh, layers []*mesh.Telemetry, of Side) (*Logs, diag.List) {
	var found diag.List
	out, decided := &Logs{}, false
	for _, c := range chooseLoggers(m.Config, layers, of, &found) {
		p := loggingProvider(m.Config, c.provider)
		if p == nil {
			found.Add(c.finding(diag.Error, "MESHC1560", fmt.Sprintf("access log provider %q is not defined: nothing would be logged", c.provider),
				cmp.Or(xds.ProviderHint(m.Config, c.provider), "define it under MeshConfig.extensionProviders, or name another; \"envoy\" logs to standard output")))
			continue
		}
		to := out
		if c.disabled {
			to = &Logs{}
		}
		if err := addLogger(to, m, p, c.expression); err != nil {
			found.Add(c.finding(diag.Error, "MESHC1561", fmt.Sprintf("access log provider %q cannot be used: %v", c.provider, err), "correct the provider in MeshConfig.extensionProviders"))
			continue
		}
		decided = true
	}
	if !decided {
		meshLogs(m.Config, out, &found)
	}
	return out, found
}

// logger is a provider in effect; object and path say where it was named, object nil means MeshConfig.
type logger struct {
	provider   string
	expression string // CEL, "" logs everything
	disabled   bool
	object     *schema.Object
	path       []any
}

func (l logger) finding(sev diag.Severity, code, message, help string) diag.Diagnostic {
	if l.object == nil {
		return diag.Diagnostic{Code: code, Severity: sev, Field: "defaultProviders.accessLogging", Message: message, Help: help}
	}
	return l.object.Finding(sev, code, message, help, l.path...)
}

// chooseLoggers resolves the providers, sorted by name. The last layer that names any says which take part, else they are
// the default ones; the last entry that names a provider gives its filter; and each entry in turn switches on or off the
// providers that it names, or those of the entry before it where it names none.
func chooseLoggers(c *meshconfig.MeshConfig, layers []*mesh.Telemetry, of Side, found *diag.List) []logger {
	part := c.GetDefaultProviders().GetAccessLogging()
	named, spoken := map[string]logger{}, false
	for _, t := range layers {
		var names []string
		for i, e := range t.Spec.GetAccessLogging() {
			spoken = true
			if !matchesSide(e.GetMatch().GetMode(), of) {
				continue
			}
			expr := logFilter(t.Object, e, i, found)
			for j, p := range e.GetProviders() {
				names = append(names, p.GetName())
				named[p.GetName()] = logger{provider: p.GetName(), expression: expr, object: t.Object, path: []any{"spec", "accessLogging", i, "providers", j, "name"}}
			}
		}
		if len(names) > 0 {
			part = names
		}
	}
	chosen := map[string]logger{}
	choose := func(name string, disabled bool) {
		l := named[name]
		l.provider, l.disabled = name, disabled
		chosen[name] = l
	}
	before := c.GetDefaultProviders().GetAccessLogging()
	if !spoken {
		for _, n := range before {
			choose(n, false)
		}
	}
	for _, t := range layers {
		for i, e := range t.Spec.GetAccessLogging() {
			if len(e.GetProviders()) > 0 {
				before = nil
				for _, p := range e.GetProviders() {
					before = append(before, p.GetName())
				}
			}
			if !matchesSide(e.GetMatch().GetMode(), of) {
				continue
			}
			if len(before) == 0 {
				found.Add(t.Object.Finding(diag.Warning, "IST0157", "this Telemetry names no access log provider, and no layer above it or MeshConfig.defaultProviders.accessLogging does: it changes nothing",
					"add providers, or set MeshConfig.defaultProviders.accessLogging", "spec", "accessLogging", i))
			}
			for _, n := range before {
				if slices.Contains(part, n) {
					choose(n, e.GetDisabled().GetValue())
				}
			}
		}
	}
	var out []logger
	for _, n := range slices.Sorted(maps.Keys(chosen)) {
		out = append(out, chosen[n])
	}
	return out
}

// logFilter returns the filter expression of an entry, "" for none. It belongs to the providers that the entry names.
func logFilter(o *schema.Object, e *telemetry.AccessLogging, index int, found *diag.List) string {
	expr := e.GetFilter().GetExpression()
	at := []any{"spec", "accessLogging", index, "filter", "expression"}
	if expr == "" {
		return ""
	}
	err := cel.Check(expr)
	switch {
	case err != nil:
		found.Add(o.Finding(diag.Error, "MESHC1562", fmt.Sprintf("Envoy cannot build the filter expression %q, and would refuse the whole listener: %v", expr, err),
			"correct the expression; Envoy has no loops in CEL, and no string()", at...))
		return ""
	case len(e.GetProviders()) == 0:
		found.Add(o.Finding(diag.Warning, "MESHC1564", "this filter has no effect: it holds for the providers named beside it, and there are none", "add providers", at...))
	}
	return expr
}

func matchesSide(mode, of Side) bool {
	return mode == telemetry.WorkloadMode_CLIENT_AND_SERVER || mode == of
}

// loggingProvider finds a provider without regard to case. "envoy" is built in: it logs to standard output.
func loggingProvider(c *meshconfig.MeshConfig, name string) *meshconfig.MeshConfig_ExtensionProvider {
	for _, p := range slices.Backward(c.GetExtensionProviders()) {
		if strings.EqualFold(p.GetName(), name) {
			return p
		}
	}
	if strings.EqualFold(name, "envoy") {
		return &meshconfig.MeshConfig_ExtensionProvider{Name: "envoy", Provider: &meshconfig.MeshConfig_ExtensionProvider_EnvoyFileAccessLog{
			EnvoyFileAccessLog: &meshconfig.MeshConfig_ExtensionProvider_EnvoyFileAccessLogProvider{Path: "/dev/stdout"}}}
	}
	return nil
}

// add puts a logger on every place it fits: requests (http), connections (tcp) and connections that no chain takes.
func (l *Logs) add(name string, http, tcp proto.Message, expression string) {
	if http != nil {
		l.HTTP = append(l.HTTP, accessLog(name, http, celFilter(expression)))
	}
	if tcp != nil {
		l.TCP = append(l.TCP, accessLog(name, tcp, celFilter(expression)))
		l.Listener = append(l.Listener, accessLog(name, tcp, bothFilters(noRouteFilter(), celFilter(expression))))
	}
}

func accessLog(name string, config proto.Message, f *accesslogv3.AccessLogFilter) *accesslogv3.AccessLog {
	return &accesslogv3.AccessLog{Name: name, Filter: f, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: xds.Any(config)}}
}

// noRouteFilter lets a listener log only connections that match no filter chain: all others log for themselves.
func noRouteFilter() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{"NR"}}}}
}

func celFilter(expression string) *accesslogv3.AccessLogFilter {
	if expression == "" {
		return nil
	}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{ExtensionFilter: &accesslogv3.ExtensionFilter{
		Name:       "envoy.access_loggers.extension_filters.cel",
		ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: xds.Any(&celv3.ExpressionFilter{Expression: expression})}}}}
}

func bothFilters(a, b *accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	if b == nil {
		return a
	}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{
		AndFilter: &accesslogv3.AndFilter{Filters: []*accesslogv3.AccessLogFilter{a, b}}}}
}
