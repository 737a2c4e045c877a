package schema

import (
	"slices"

	"google.golang.org/protobuf/types/known/structpb"
	mesh "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/substitution"
	"github.com/meshc/meshc/internal/suggest"
)

// headerValue refuses a value that Envoy would refuse the route for.
func (r *rules) headerValue(p at, s string) {
	if why, help := headerFormat(s); why != "" {
		r.bad(p, help, "%s", why)
	}
}

// badFormat tells what is wrong with a format. extra are operators of extensions that what is lowered from it names.
func badFormat(s string, extra ...string) (why, help string) {
	p := substitution.Check(s, extra...)
	if p == nil {
		return "", ""
	}
	if p.Unknown != "" {
		if n := suggest.Word(p.Unknown, append(substitution.Names(), extra...)); n != "" {
			return p.Why, "Did you mean " + n + "?"
		}
	}
	return p.Why, p.Help
}

// logFormats checks the formats of access logs, for which Envoy would refuse every listener.
func (r *rules) logFormats(c *mesh.MeshConfig) {
	check := func(s string, path ...any) {
		if why, help := badFormat(s, substitution.WithoutQuery); why != "" {
			r.bad(path, help, "the log format has %s", why)
		}
	}
	fields := func(in *structpb.Struct, path ...any) {
		for _, k := range keys(in.GetFields()) {
			check(in.Fields[k].GetStringValue(), append(slices.Clip(path), k)...)
		}
	}
	check(c.AccessLogFormat, "accessLogFormat")
	for i, p := range c.ExtensionProviders {
		file, otel := p.GetEnvoyFileAccessLog().GetLogFormat(), p.GetEnvoyOtelAls().GetLogFormat()
		check(file.GetText(), "extensionProviders", i, "envoyFileAccessLog", "logFormat", "text")
		fields(file.GetLabels(), "extensionProviders", i, "envoyFileAccessLog", "logFormat", "labels")
		check(otel.GetText(), "extensionProviders", i, "envoyOtelAls", "logFormat", "text")
		fields(otel.GetLabels(), "extensionProviders", i, "envoyOtelAls", "logFormat", "labels")
	}
}
