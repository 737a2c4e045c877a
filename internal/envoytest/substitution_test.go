package envoytest_test

import (
	"errors"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/substitution"
	"github.com/meshc/meshc/internal/envoytest"
)

// The operators of header values, and what may stand behind them, are those of a stock Envoy.
func TestFormats(t *testing.T) {
	p := envoytest.Start(t)
	for _, format := range formats() {
		err := p.Probe(&routev3.VirtualHost{Name: "x", Domains: []string{"*"}, RequestHeadersToAdd: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-a", Value: format}}}})
		if is := (*envoytest.Refusal)(nil); err != nil && !errors.As(err, &is) {
			t.Fatal(err)
		}
		if problem := substitution.Check(format); (problem == nil) != (err == nil) {
			t.Errorf("%s: %+v; Envoy: %v", format, problem, err)
		}
	}
}

// formats is a grid of all operators and forms, and what else is odd.
func formats() []string {
	var out []string
	for _, name := range append(substitution.Names(), "A_B", "_", "1", "FILE_CONTENT", "SECRET", substitution.WithoutQuery) {
		for _, rest := range []string{"", "()", "(a)", ":5", "(a):5", "():5", ":", "(a):b", "(a):-1"} {
			out = append(out, "%"+name+rest+"%")
		}
	}
	return append(out, "", "a", "%", "%%", "%%%", "%%%%", "a%%b%PROTOCOL%%%", "%PROTOCOL%%PROTOCOL%", "%PROTOCOL", "PROTOCOL%", "%%PROTOCOL%", "%%PROTOCOL%%", "%PROTOCOL%:5", "%protocol%",
		`%REQ(a?b)%`, `%REQ(a)b)%`, `%REQ(a%b)%`, `%REQ( a )%`,
		`%REQ(a):99999999999999999999999%`, `%REQ(a):0%`, `%REQ(:path)%`, `%REQ(a?)%`,
		`%REQ(?a)%`, `%RESP(a?b?c)%`, `%TRAILER(a?b?c)%`, `%START_TIME(%E6S)%`,
		`%START_TIME(%#)%`, `%START_TIME(%3f%3f)%`, `%START_TIME(%99f)%`, `%START_TIME(%10f)%`,
		`%START_TIME(%0f)%`, `%START_TIME(%Q)%`, `%START_TIME(%)%`, `%START_TIME(a%)%`,
		`%DOWNSTREAM_PEER_CERT_V_START(%n)%`, `%DOWNSTREAM_PEER_CERT_V_START(%Y)%`, `%EMIT_TIME(%n)%`, `%GRPC_STATUS(CAMEL_STRING)%`,
		`%GRPC_STATUS(NUMBER)%`, `%GRPC_STATUS(number)%`, `%COMMON_DURATION(a:b:c:d)%`, `%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)%`,
		`%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ns)%`, `%COMMON_DURATION(x:y:us)%`, `%COMMON_DURATION(::us)%`, `%FILTER_STATE(a)%`,
		`%FILTER_STATE(a:)%`, `%FILTER_STATE(a:PLAIN:x)%`, `%FILTER_STATE(a:FIELD:)%`, `%FILTER_STATE(a:FIELD:b:c)%`,
		`%FILTER_STATE(a:TYPED:b)%`, `%FILTER_STATE(a:plain)%`, `%FILTER_STATE(:PLAIN)%`, `%UPSTREAM_FILTER_STATE(a:OTHER)%`,
		`%UPSTREAM_FILTER_STATE(a:FIELD)%`, `%UPSTREAM_FILTER_STATE(a:FIELD:b)%`, `%DYNAMIC_METADATA(a:)%`, `%DYNAMIC_METADATA(:)%`,
		`%DYNAMIC_METADATA(a:b:c)%`, `%CLUSTER_METADATA(a)%`, `%CLUSTER_METADATA(:)%`, `%UPSTREAM_METADATA(a:b)%`,
		`%UPSTREAM_METADATA([a])%`, `%UPSTREAM_METADATA(["a"])%`, `%UPSTREAM_METADATA(["a", "b", "c"])%`, `%UPSTREAM_METADATA("a")%`,
		`%PER_REQUEST_STATE(a)%`, `%ENVIRONMENT(a b)%`, `%QUERY_PARAM(a)%`, `%PATH(NQ)%`,
		`%PATH(WQ:ORIG)%`, `%PATH(NQ:ORIG_OR_PATH)%`, `%PATH(WQ:ORIG:x)%`, `%PATH(:ORIG)%`,
		`%REQUESTED_SERVER_NAME(SNI_ONLY)%`, `%REQUESTED_SERVER_NAME(HOST_FIRST)%`, `%REQUESTED_SERVER_NAME(SNI_FIRST:HOST)%`, `%REQUESTED_SERVER_NAME(SNI_FIRST:ORIG)%`,
		`%REQUESTED_SERVER_NAME(SNI_FIRST:X)%`, `%REQUESTED_SERVER_NAME(SNI_FIRST:ORIG:X)%`, `%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%`, `%RESPONSE_CODE_DETAILS(X)%`,
		`%CEL(request.path)%`, `%CEL(request.path):5%`, `%CEL(request.)%`, `%CEL(a(b)c)%`,
		`%CEL(re:x)%`, `%CEL(size(request.path))%`, `%METADATA(ROUTE:a:b)%`, `%METADATA(NOSUCH:a)%`,
		`%METADATA(ROUTE)%`, `%METADATA(CLUSTER:a)%`, `%METADATA(LISTENER:a)%`, `%METADATA(UPSTREAM_HOST:a)%`,
		`%METADATA(VIRTUAL_HOST:a)%`, `%METADATA(LISTENER_FILTER_CHAIN:a)%`, `%METADATA(DYNAMIC:a)%`, `%REQ_WITHOUT_QUERY(a)%`,
		`%REQ_WITHOUT_QUERY(a?b)%`, `%REQ_WITHOUT_QUERY(a?b?c)%`, `%REQ_WITHOUT_QUERY()%`, `%COALESCE({"operators": [{"command": "REQ", "param": "a"}]})%`,
		`%COALESCE({"operators": ["PROTOCOL"]})%`, `%COALESCE({"operators": []})%`, `%COALESCE({})%`, `%COALESCE(x)%`,
		`%COALESCE({"operators": ["NOSUCH"]})%`, `%COALESCE({"operators": [{"command": "REQ"}]})%`, `%COALESCE({"operators": [{"command": "REQ", "param": "a", "max_length": 3}]})%`, `%FILE_CONTENT(/etc/hostname)%`,
		`%SECRET(a)%`, `%FIXED_VALUE(a)%`, `%DOWNSTREAM_LOCAL_URI_SAN:3%`, `%TLS_JA3_FINGERPRINT%`,
		`%A_B%`, `%_%`, `%1%`, `PROTOCOL%`,
		`%REQ(ä)%`, `%REQ(a b)%`, `%REQ(a"b)%`, `%REQ(a{b)%`,
		`%REQ(a/b)%`, `%REQ(a(b)%`, `%REQ(a:b)%`, `%REQ(a,b)%`,
		`%REQ(a;b)%`, `%REQ(a=b)%`, `%REQ(a@b)%`, `%REQ(a[b)%`,
		`%REQ(a\b)%`, `%REQ(a|b)%`, `%REQ(a!b)%`, `%QUERY_PARAMS(DECODED)%`,
		`%QUERY_PARAMS(ORIG:x)%`, `%QUERY_PARAM(a b)%`, `%METADATA(FILTER:a)%`, `%PATH()%`,
		`%REQ(a):18446744073709551615%`, `%REQ(a):18446744073709551616%`, `%REQ(a):9999999999999%`, `%COALESCE({"operators": [{"command": "PROTOCOL", "param": "x"}]})%`,
		`%COALESCE({"operators": [{"command": "PATH", "param": "XX"}]})%`, `%COALESCE({"operators": [{"param": "XX"}]})%`, `%COALESCE({"operators": "PROTOCOL"})%`, `%COALESCE({"operators": [1]})%`,
		`%COALESCE({"operators": [{"command": "PROTOCOL", "max_length": 3}]})%`, `%COALESCE({"operators": ["REQ(a)"]})%`, `%COALESCE({"operators": [{"command": "REQ", "param": "a", "max_length": 0}]})%`)
}
