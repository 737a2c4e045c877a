package envoy

import (
	"fmt"
	"slices"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"
	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// side is the end of a call that a proxy observes: gateways and the outbound listeners are clients.
type side = telemetry.WorkloadMode

const (
	clientSide = telemetry.WorkloadMode_CLIENT
	serverSide = telemetry.WorkloadMode_SERVER
)

// accessLogs lowers Telemetry.accessLogging of all layers (mesh, namespace, workload) to loggers. Without any, the
// default providers of MeshConfig count, and without those accessLogFile and enableEnvoyAccessLogService.
func accessLogs(m *mesh.Mesh, layers []*mesh.Telemetry, of side) (*Logs, diag.List) {
	out, found := chosenLogs(m, layers, of)
	if m.Config.GetDisableEnvoyListenerLog() {
		out.Listener = nil
	}
	return out, found
}

func chosenLogs(m *mesh.Mesh, layers []*mesh.Telemetry, of side) (*Logs, diag.List) {
	var found diag.List
	out := &Logs{}
	chosen, decided := chooseLoggers(m.Config, layers, of, &found)
	if !decided {
		meshLogs(m.Config, out, &found)
		return out, found
	}
	for _, c := range chosen {
		p := loggingProvider(m.Config, c.provider)
		if p == nil {
			found.Add(c.finding(diag.Error, "MESHC1560", fmt.Sprintf("access log provider %q is not defined: nothing would be logged", c.provider),
				"define it under MeshConfig.extensionProviders, or name another; \"envoy\" logs to standard output"))
			continue
		}
		if err := addLogger(out, m, p, c.expression); err != nil {
			found.Add(c.finding(diag.Error, "MESHC1561", fmt.Sprintf("access log provider %q cannot be used: %v", c.provider, err), "correct the provider in MeshConfig.extensionProviders"))
		}
	}
	return out, found
}

// logger is a provider in effect; object and path say where it was named, object nil means MeshConfig.
type logger struct {
	provider   string
	expression string // CEL, "" logs everything
	object     *schema.Object
	path       []any
}

func (l logger) finding(sev diag.Severity, code, message, help string) diag.Diagnostic {
	if l.object == nil {
		return diag.Diagnostic{Code: code, Severity: sev, Field: "defaultProviders.accessLogging", Message: message, Help: help}
	}
	return l.object.Finding(sev, code, message, help, l.path...)
}

// chooseLoggers walks the layers from mesh to workload. A layer that names providers replaces those of the layers above
// it, others change the ones they inherit: disabled removes, a filter replaces. decided is false when nothing anywhere
// speaks about access logging.
func chooseLoggers(c *meshconfig.MeshConfig, layers []*mesh.Telemetry, of side, found *diag.List) (out []logger, decided bool) {
	for _, n := range c.GetDefaultProviders().GetAccessLogging() {
		out, decided = append(out, logger{provider: n}), true
	}
	for _, t := range layers {
		entries := t.Spec.GetAccessLogging()
		decided = decided || len(entries) > 0
		var named []logger
		replaced := false
		for i, e := range entries {
			if !matchesSide(e.GetMatch().GetMode(), of) {
				continue
			}
			at := []any{"spec", "accessLogging", i}
			expr := e.GetFilter().GetExpression()
			if expr != "" && !balanced(expr) {
				found.Add(t.Object.Finding(diag.Error, "MESHC1562", fmt.Sprintf("filter expression %q is not a complete CEL expression; Envoy would refuse the whole listener", expr),
					"close all quotes and brackets", pathTo(at, "filter", "expression")...))
				expr = ""
			}
			if len(e.GetProviders()) == 0 {
				if len(out) == 0 && !e.GetDisabled().GetValue() && !replaced {
					found.Add(t.Object.Finding(diag.Warning, "IST0157", "this Telemetry names no access log provider, and no layer above it or MeshConfig.defaultProviders.accessLogging does: it logs nothing",
						"add providers, or set MeshConfig.defaultProviders.accessLogging", at...))
				}
				out = applyLogging(out, nil, e, expr, t.Object, at)
				continue
			}
			replaced = true
			for j, p := range e.GetProviders() {
				named = applyLogging(named, []string{p.GetName()}, e, expr, t.Object, pathTo(at, "providers", j, "name"))
			}
		}
		if replaced {
			out = named
		}
	}
	return out, decided
}

// applyLogging changes the loggers in list by one entry; without names, all that are there.
func applyLogging(list []logger, names []string, e *telemetry.AccessLogging, expr string, o *schema.Object, at []any) []logger {
	if names == nil {
		if e.GetDisabled().GetValue() {
			return nil
		}
		list = slices.Clone(list)
		for i := range list {
			if e.GetFilter() != nil {
				list[i].expression = expr
			}
		}
		return list
	}
	for _, n := range names {
		i := slices.IndexFunc(list, func(l logger) bool { return strings.EqualFold(l.provider, n) })
		switch {
		case e.GetDisabled().GetValue() && i >= 0:
			list = slices.Delete(list, i, i+1)
		case e.GetDisabled().GetValue():
		case i >= 0:
			if e.GetFilter() != nil {
				list[i].expression = expr
			}
		default:
			list = append(list, logger{provider: n, expression: expr, object: o, path: at})
		}
	}
	return list
}

func matchesSide(mode, of side) bool {
	return mode == telemetry.WorkloadMode_CLIENT_AND_SERVER || mode == of
}

// balanced is a first check of a CEL expression: quotes and brackets are closed.
func balanced(expr string) bool {
	var stack []byte
	var quote byte
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		switch {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(' || c == '[' || c == '{':
			stack = append(stack, ")]}"[strings.IndexByte("([{", c)])
		case c == ')' || c == ']' || c == '}':
			if len(stack) == 0 || stack[len(stack)-1] != c {
				return false
			}
			stack = stack[:len(stack)-1]
		}
	}
	return quote == 0 && len(stack) == 0
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
	return &accesslogv3.AccessLog{Name: name, Filter: f, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: Any(config)}}
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
		ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: Any(&celv3.ExpressionFilter{Expression: expression})}}}}
}

func bothFilters(a, b *accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	if b == nil {
		return a
	}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{
		AndFilter: &accesslogv3.AndFilter{Filters: []*accesslogv3.AccessLogFilter{a, b}}}}
}
