package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	otellogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	celformatterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/cel/v3"
	metadataformatterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/metadata/v3"
	queryformatterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
	otlpv1 "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

const (
	fileLogger = "envoy.access_loggers.file"
	httpLogger = "envoy.access_loggers.http_grpc"
	tcpLogger  = "envoy.access_loggers.tcp_grpc"
	otelLogger = "envoy.access_loggers.open_telemetry"

	// BootstrapLogCluster is the static cluster that the bootstrap makes of ProxyConfig.envoyAccessLogService.
	BootstrapLogCluster = "envoy_accesslog_service"
)

// logFields is Istio's default access log line, name by name; the text format has them in this order.
func logFields() [][2]string {
	return [][2]string{
		{"start_time", `%START_TIME%`}, {"method", `%REQ(:METHOD)%`}, {"path", `%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%`},
		{"protocol", `%PROTOCOL%`}, {"response_code", `%RESPONSE_CODE%`}, {"response_flags", `%RESPONSE_FLAGS%`},
		{"response_code_details", `%RESPONSE_CODE_DETAILS%`}, {"connection_termination_details", `%CONNECTION_TERMINATION_DETAILS%`},
		{"upstream_transport_failure_reason", `%UPSTREAM_TRANSPORT_FAILURE_REASON%`}, {"bytes_received", `%BYTES_RECEIVED%`},
		{"bytes_sent", `%BYTES_SENT%`}, {"duration", `%DURATION%`}, {"upstream_service_time", `%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%`},
		{"x_forwarded_for", `%REQ(X-FORWARDED-FOR)%`}, {"user_agent", `%REQ(USER-AGENT)%`}, {"request_id", `%REQ(X-REQUEST-ID)%`},
		{"authority", `%REQ(:AUTHORITY)%`}, {"upstream_host", `%UPSTREAM_HOST%`}, {"upstream_cluster", `%UPSTREAM_CLUSTER_RAW%`},
		{"upstream_local_address", `%UPSTREAM_LOCAL_ADDRESS%`}, {"downstream_local_address", `%DOWNSTREAM_LOCAL_ADDRESS%`},
		{"downstream_remote_address", `%DOWNSTREAM_REMOTE_ADDRESS%`}, {"requested_server_name", `%REQUESTED_SERVER_NAME%`},
		{"route_name", `%ROUTE_NAME%`},
	}
}

// defaultLogText writes logFields as Istio's line: start time in brackets, the request line together in quotes, and
// values that may hold blanks quoted.
func defaultLogText() string {
	var b strings.Builder
	for _, f := range logFields() {
		switch f[0] {
		case "start_time":
			b.WriteString("[" + f[1] + "]")
		case "method":
			b.WriteString(` "` + f[1])
		case "protocol":
			b.WriteString(" " + f[1] + `"`)
		case "upstream_transport_failure_reason", "x_forwarded_for", "user_agent", "request_id", "authority", "upstream_host":
			b.WriteString(` "` + f[1] + `"`)
		default:
			b.WriteString(" " + f[1])
		}
	}
	return b.String() + "\n"
}

func defaultLogJSON() *structpb.Struct {
	out := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for _, f := range logFields() {
		out.Fields[f[0]] = structpb.NewStringValue(f[1])
	}
	return out
}

// textFormat is one line per request; "" is the default line.
func textFormat(text string) *corev3.SubstitutionFormatString {
	if text == "" {
		text = defaultLogText()
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return &corev3.SubstitutionFormatString{Formatters: formatters(text), Format: &corev3.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}}}
}

// jsonFormat is one JSON object per request; nil or empty are the default fields.
func jsonFormat(fields *structpb.Struct) *corev3.SubstitutionFormatString {
	if len(fields.GetFields()) == 0 {
		fields = defaultLogJSON()
	}
	return &corev3.SubstitutionFormatString{Formatters: formatters(fields.String()), Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: fields}}
}

// formatters returns the extensions behind the commands of a format that Envoy does not have built in.
func formatters(format string) []*corev3.TypedExtensionConfig {
	var out []*corev3.TypedExtensionConfig
	for _, f := range []struct {
		command, name string
		config        proto.Message
	}{
		{"%REQ_WITHOUT_QUERY(", "envoy.formatter.req_without_query", &queryformatterv3.ReqWithoutQuery{}},
		{"%METADATA(", "envoy.formatter.metadata", &metadataformatterv3.Metadata{}},
		{"%CEL(", "envoy.formatter.cel", &celformatterv3.Cel{}},
	} {
		if strings.Contains(format, f.command) {
			out = append(out, &corev3.TypedExtensionConfig{Name: f.name, TypedConfig: xds.Any(f.config)})
		}
	}
	return out
}

// meshLogs lowers MeshConfig.accessLogFile, accessLogEncoding, accessLogFormat and enableEnvoyAccessLogService.
func meshLogs(c *meshconfig.MeshConfig, out *Logs, found *diag.List) {
	if c.GetAccessLogFile() != "" {
		format, err := meshFormat(c)
		if err != nil {
			found.Add(diag.Diagnostic{Code: "MESHC1563", Severity: diag.Error, Field: "accessLogFormat",
				Message: err.Error(), Help: "write a JSON object of strings, or set accessLogEncoding: TEXT"})
		} else {
			file := &filelogv3.FileAccessLog{Path: c.GetAccessLogFile(), AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: format}}
			out.add(fileLogger, file, file, "")
		}
	}
	if c.GetEnableEnvoyAccessLogService() {
		out.add(httpLogger, &grpclogv3.HttpGrpcAccessLogConfig{CommonConfig: grpcLog("http_envoy_accesslog", BootstrapLogCluster, nil)}, nil, "")
		out.add(tcpLogger, nil, &grpclogv3.TcpGrpcAccessLogConfig{CommonConfig: grpcLog("tcp_envoy_accesslog", BootstrapLogCluster, nil)}, "")
	}
}

func meshFormat(c *meshconfig.MeshConfig) (*corev3.SubstitutionFormatString, error) {
	if c.GetAccessLogEncoding() == meshconfig.MeshConfig_TEXT {
		return textFormat(c.GetAccessLogFormat()), nil
	}
	if c.GetAccessLogFormat() == "" {
		return jsonFormat(nil), nil
	}
	fields := &structpb.Struct{}
	var raw map[string]any
	err := json.Unmarshal([]byte(c.GetAccessLogFormat()), &raw)
	if err == nil {
		fields, err = structpb.NewStruct(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("accessLogFormat is no JSON object, as accessLogEncoding: JSON needs: %w", err)
	}
	return jsonFormat(fields), nil
}

// addLogger lowers one logging provider of MeshConfig.extensionProviders.
func addLogger(out *Logs, m *mesh.Mesh, p *meshconfig.MeshConfig_ExtensionProvider, expression string) error {
	switch {
	case p.GetEnvoyFileAccessLog() != nil:
		file := fileLog(m.Config, p.GetName(), p.GetEnvoyFileAccessLog())
		out.add(fileLogger, file, file, expression)
	case p.GetEnvoyHttpAls() != nil:
		a := p.GetEnvoyHttpAls()
		_, cluster, err := xds.ProviderCluster(m, a.GetService(), a.GetPort())
		if err != nil {
			return err
		}
		log := &grpclogv3.HttpGrpcAccessLogConfig{
			CommonConfig:                    grpcLog(or(a.GetLogName(), "http_envoy_accesslog"), cluster, a.GetFilterStateObjectsToLog()),
			AdditionalRequestHeadersToLog:   a.GetAdditionalRequestHeadersToLog(),
			AdditionalResponseHeadersToLog:  a.GetAdditionalResponseHeadersToLog(),
			AdditionalResponseTrailersToLog: a.GetAdditionalResponseTrailersToLog(),
		}
		out.add(httpLogger, log, log, expression)
	case p.GetEnvoyTcpAls() != nil:
		a := p.GetEnvoyTcpAls()
		_, cluster, err := xds.ProviderCluster(m, a.GetService(), a.GetPort())
		if err != nil {
			return err
		}
		log := &grpclogv3.TcpGrpcAccessLogConfig{CommonConfig: grpcLog(or(a.GetLogName(), "tcp_envoy_accesslog"), cluster, a.GetFilterStateObjectsToLog())}
		out.add(tcpLogger, log, log, expression)
	case p.GetEnvoyOtelAls() != nil:
		a := p.GetEnvoyOtelAls()
		_, cluster, err := xds.ProviderCluster(m, a.GetService(), a.GetPort())
		if err != nil {
			return err
		}
		log, err := otelLog(a, cluster)
		if err != nil {
			return err
		}
		out.add(otelLogger, log, log, expression)
	default:
		return errors.New("it does not log requests with stock Envoy")
	}
	return nil
}

func fileLog(c *meshconfig.MeshConfig, name string, p *meshconfig.MeshConfig_ExtensionProvider_EnvoyFileAccessLogProvider) *filelogv3.FileAccessLog {
	var format *corev3.SubstitutionFormatString
	switch f := p.GetLogFormat().GetLogFormat().(type) {
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyFileAccessLogProvider_LogFormat_Text:
		format = textFormat(f.Text)
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyFileAccessLogProvider_LogFormat_Labels:
		format = jsonFormat(f.Labels)
	default:
		format = textFormat("")
		if strings.EqualFold(name, "envoy") { // the built-in provider follows the mesh
			if f, err := meshFormat(c); err == nil {
				format = f
			}
		}
	}
	format.OmitEmptyValues = p.GetOmitEmptyValues()
	return &filelogv3.FileAccessLog{Path: or(p.GetPath(), "/dev/stdout"), AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: format}}
}

func grpcLog(name, cluster string, state []string) *grpclogv3.CommonGrpcAccessLogConfig {
	return &grpclogv3.CommonGrpcAccessLogConfig{LogName: name, TransportApiVersion: corev3.ApiVersion_V3, FilterStateObjectsToLog: state, GrpcService: grpcService(cluster)}
}

// grpcService calls a cluster by gRPC.
func grpcService(cluster string) *corev3.GrpcService {
	return &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster, Authority: names.Authority(cluster)}}}
}

// otelLog lowers envoyOtelAls: text is the body, labels are attributes.
func otelLog(p *meshconfig.MeshConfig_ExtensionProvider_EnvoyOpenTelemetryLogProvider, cluster string) (*otellogv3.OpenTelemetryAccessLogConfig, error) {
	text := or(p.GetLogFormat().GetText(), defaultLogText())
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	out := &otellogv3.OpenTelemetryAccessLogConfig{
		CommonConfig:         grpcLog(or(p.GetLogName(), "otel_envoy_accesslog"), cluster, nil),
		DisableBuiltinLabels: true, Body: otlpString(text), Formatters: formatters(text + p.GetLogFormat().GetLabels().String()),
	}
	labels := p.GetLogFormat().GetLabels().GetFields()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		s, ok := labels[k].GetKind().(*structpb.Value_StringValue)
		if !ok {
			return nil, fmt.Errorf("label %q of logFormat is no string", k)
		}
		if out.Attributes == nil {
			out.Attributes = &otlpv1.KeyValueList{}
		}
		out.Attributes.Values = append(out.Attributes.Values, &otlpv1.KeyValue{Key: k, Value: otlpString(s.StringValue)})
	}
	return out, nil
}

func otlpString(s string) *otlpv1.AnyValue {
	return &otlpv1.AnyValue{Value: &otlpv1.AnyValue_StringValue{StringValue: s}}
}

func or(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}
