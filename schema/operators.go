package schema

import (
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	mesh "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/internal/near"
)

// operator is a command operator of Envoy, as %REQ(x-user):8% in a header value or log format, or an escaped percent sign.
var operator = regexp.MustCompile(`%(%|([A-Z_0-9]+)(\([^)]*\))?(:[0-9]+)?%)`)

// headerValue refuses a value that Envoy would refuse the route for.
func (r *rules) headerValue(p at, s string) {
	if why, help := headerText(s); why != "" {
		r.bad(p, help, "%s", why)
		return
	}
	if why, help := badFormat(s); why != "" {
		r.bad(p, help, "the header value has %s", why)
	}
}

// badFormat finds a % that begins no command operator of Envoy and is not doubled. extra are operators of extensions.
func badFormat(s string, extra ...string) (why, help string) {
	if strings.Contains(operator.ReplaceAllString(s, ""), "%") {
		return "a % that ends nowhere", "Write %% for a percent sign."
	}
	for _, m := range operator.FindAllStringSubmatch(s, -1) {
		name, args := m[2], m[3]
		needs := slices.Contains(argumentOperators(), name) || slices.Contains(extra, name)
		switch {
		case needs && args == "":
			return "the command operator %" + name + "% without an argument", "Write %" + name + "(…)%."
		case name == "" || needs || slices.Contains(plainOperators(), name):
		default:
			help := "Write %% for a percent sign, or use an operator that Envoy has."
			if n := near.Word(name, slices.Concat(plainOperators(), argumentOperators(), extra)); n != "" {
				help = "Did you mean " + n + "?"
			}
			return "the command operator %" + name + "%, which Envoy does not have", help
		}
	}
	return "", ""
}

// logFormats checks the formats of access logs, for which Envoy would refuse every listener.
func (v *meshCheck) logFormats(c *mesh.MeshConfig) {
	check := func(s string, path ...any) {
		if why, help := badFormat(s, "CEL", "METADATA", "REQ_WITHOUT_QUERY"); why != "" {
			v.bad(help, path, "the log format has %s", why)
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

// plainOperators are the command operators of Envoy that need no argument.
func plainOperators() []string {
	return strings.Fields("ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS CUSTOM_FLAGS DOWNSTREAM_CX_RTT " +
		"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT DOWNSTREAM_DETECTED_CLOSE_TYPE " +
		"DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT " +
		"DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT " +
		"DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_ADDRESS " +
		"DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN " +
		"DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_SUBJECT " +
		"DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 " +
		"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_SERIALS DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_EMAIL_SAN " +
		"DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER " +
		"DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SERIAL " +
		"DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT " +
		"DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_GROUP DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON " +
		"DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT DURATION EMIT_TIME EMIT_TIME_LOCAL FILTER_CHAIN_NAME GRPC_STATUS " +
		"GRPC_STATUS_NUMBER HOSTNAME LISTENER_NAME LOCAL_REPLY_BODY PATH PROTOCOL QUERY_PARAMS REQUESTED_SERVER_NAME REQUEST_DURATION " +
		"REQUEST_HEADERS_BYTES REQUEST_TX_DURATION RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_DURATION RESPONSE_FLAGS RESPONSE_FLAGS_LONG " +
		"RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME ROUTE_RESOLUTION_COUNT " +
		"ROUTE_RESOLUTION_TIME_US SPAN_ID START_TIME START_TIME_LOCAL STREAM_ID TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID " +
		"UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_IDS_ATTEMPTED UPSTREAM_CONNECTION_POOL_READY_DURATION " +
		"UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT UPSTREAM_DETECTED_CLOSE_TYPE " +
		"UPSTREAM_HEADER_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT " +
		"UPSTREAM_HOST_NAME UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT UPSTREAM_HOST_NAME_WITHOUT_PORT " +
		"UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN " +
		"UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_CERT_V_END UPSTREAM_PEER_CERT_V_START UPSTREAM_PEER_DNS_SAN " +
		"UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL UPSTREAM_REMOTE_ADDRESS " +
		"UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT " +
		"UPSTREAM_SERVER_NAME UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION UPSTREAM_TRANSPORT_FAILURE_REASON " +
		"UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME")
}

// argumentOperators are those that need one.
func argumentOperators() []string {
	return strings.Fields("CEL CLUSTER_METADATA COALESCE COMMON_DURATION DYNAMIC_METADATA ENVIRONMENT FILTER_STATE PER_REQUEST_STATE QUERY_PARAM REQ " +
		"REQUEST_HEADER RESP RESPONSE_HEADER RESPONSE_TRAILER STREAM_INFO_REQ TRAILER UPSTREAM_FILTER_STATE UPSTREAM_METADATA")
}
