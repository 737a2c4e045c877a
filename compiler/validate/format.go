package validate

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	celfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	otellogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	otlpv1 "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/cel"
	"github.com/meshc/meshc/compiler/substitution"
)

// format checks a text with command operators (source/common/formatter/substitution_formatter.cc).
func (v *visit) format(field, text string, extra []string) {
	if p := substitution.Check(text, extra...); p != nil {
		v.bad(field, p.Help, "the format has %s", p.Why)
	}
}

// withFormatters are the operators of the extensions that a format names.
func withFormatters(list []*corev3.TypedExtensionConfig) []string {
	for _, f := range list {
		if strings.HasSuffix(f.GetTypedConfig().GetTypeUrl(), ".ReqWithoutQuery") {
			return []string{substitution.WithoutQuery}
		}
	}
	return nil
}

// headerRule is about the value of a header that is set or added.
func headerRule(v *visit, m proto.Message) {
	v.format("header.value", m.(*corev3.HeaderValueOption).GetHeader().GetValue(), nil)
}

// formatRule is about what is written to logs and in local replies.
func formatRule(v *visit, m proto.Message) {
	f := m.(*corev3.SubstitutionFormatString)
	extra := withFormatters(f.GetFormatters())
	v.format("text_format", f.GetTextFormat(), extra) //nolint:staticcheck // Envoy reads it
	v.format("text_format_source", f.GetTextFormatSource().GetInlineString()+string(f.GetTextFormatSource().GetInlineBytes()), extra)
	v.fields("json_format", f.GetJsonFormat(), extra)
}

// fields checks the texts in a JSON format.
func (v *visit) fields(field string, s *structpb.Struct, extra []string) {
	for _, k := range keys(s.GetFields()) {
		v.value(field+"."+k, s.GetFields()[k], extra)
	}
}

func (v *visit) value(field string, x *structpb.Value, extra []string) {
	v.format(field, x.GetStringValue(), extra)
	v.fields(field, x.GetStructValue(), extra)
	for _, e := range x.GetListValue().GetValues() {
		v.value(field, e, extra)
	}
}

// expressionRule is about the filter of a log (source/extensions/access_loggers/filters/cel).
func expressionRule(v *visit, m proto.Message) {
	if err := cel.Check(m.(*celfilterv3.ExpressionFilter).GetExpression()); err != nil {
		v.bad("expression", "Correct the expression.", "Envoy cannot build it: %v", err)
	}
}

// fileLogRule is about the older forms of a log's format.
func fileLogRule(v *visit, m proto.Message) {
	l := m.(*filelogv3.FileAccessLog)
	v.format("format", l.GetFormat(), nil)                     //nolint:staticcheck // Envoy reads it
	v.fields("json_format", l.GetJsonFormat(), nil)            //nolint:staticcheck // Envoy reads it
	v.fields("typed_json_format", l.GetTypedJsonFormat(), nil) //nolint:staticcheck // Envoy reads it
}

// otelLogRule is about the body and the attributes of a log of OpenTelemetry.
func otelLogRule(v *visit, m proto.Message) {
	l := m.(*otellogv3.OpenTelemetryAccessLogConfig)
	extra := withFormatters(l.GetFormatters())
	v.otlp("body", l.GetBody(), extra)
	for _, a := range l.GetAttributes().GetValues() {
		v.otlp("attributes["+a.GetKey()+"]", a.GetValue(), extra)
	}
}

func (v *visit) otlp(field string, x *otlpv1.AnyValue, extra []string) {
	v.format(field, x.GetStringValue(), extra)
	for _, e := range x.GetArrayValue().GetValues() {
		v.otlp(field, e, extra)
	}
	for _, e := range x.GetKvlistValue().GetValues() {
		v.otlp(field+"."+e.GetKey(), e.GetValue(), extra)
	}
}
