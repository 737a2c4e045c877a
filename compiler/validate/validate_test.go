package validate_test

import (
	"regexp"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/meshc/meshc/compiler/bundle" // registers what may be packed

	"github.com/meshc/meshc/compiler/validate"
)

// refused is a message and what Envoy 1.40 has against it: the path and a part of what is said. "" is nothing.
type refused struct {
	message proto.Message
	json    string
	want    string
}

// Each kind of rule finds what breaks it and nothing else. internal/envoytest holds the rules to a real Envoy.
func TestCheck(t *testing.T) {
	vh, cluster, listener := &routev3.VirtualHost{}, &clusterv3.Cluster{}, &listenerv3.Listener{}
	const filter = `{"address":{"pipe":{"path":"@x"}},"filterChains":[{"filters":[{"name":"x","typedConfig":{"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"statPrefix":"x","routeConfig":{},"httpFilters":[{"name":"f","typedConfig":{"@type":"type.googleapis.com/%"}}]}}]}]}`
	for _, c := range []refused{
		{vh, `{"name":"a","domains":["a"]}`, ""},
		{vh, `{"name":"a"}`, "domains: value must contain at least 1 item(s)"},
		{vh, `{"name":"a","domains":["a"],"requestHeadersToAdd":[{"header":{"key":"k","value":"` + strings.Repeat("v", 16385) + `"}}]}`, "request_headers_to_add[0].header.value: value length must be at most 16384 bytes"},
		{vh, `{"name":"a","domains":["a"],"routes":[{"match":{"safeRegex":{"regex":"[a-z]{1,1000}"}},"directResponse":{"status":200}}]}`, ""},
		{vh, `{"name":"a","domains":["a"],"routes":[{"match":{"safeRegex":{"regex":"` + strings.Repeat("[a-z]{1,1000}", 17) + `"}},"directResponse":{"status":200}}]}`, "routes[0].match.safe_regex.regex: the regular expression has the RE2 program size"},
		{vh, `{"name":"a","domains":["a"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"c","timeout":"-1s"}}]}`, "routes[0].route.timeout: the duration is negative"},
		{vh, `{"name":"a","domains":["a"],"typedPerFilterConfig":{"x":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}}`, "typed_per_filter_config[x]: stock Envoy has no extension of per-route"},
		{vh, `{"name":"a","domains":["a"],"typedPerFilterConfig":{"x":{"@type":"type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute","disabled":true}}}`, ""},
		{cluster, `{"name":"c","type":"EDS"}`, "eds_cluster_config: a cluster of type EDS does not say where its endpoints come from"},
		{cluster, `{"name":"c","type":"ORIGINAL_DST"}`, "lb_policy: a cluster of type ORIGINAL_DST has lb_policy ROUND_ROBIN"},
		{listener, `{"address":{"pipe":{"path":"@x"}}}`, "filter_chains: the listener has no filter chain"},
		{listener, strings.Replace(filter, "%", `envoy.extensions.filters.http.lua.v3.Lua","inlineCode":"x (","x":"`, 1), "inline_code: the script cannot be loaded: line 1: unexpected symbol near '<eof>'"},
		{cluster, `{"name":"c","connectTimeout":"0s"}`, "connect_timeout: value must be greater than 0s"},
		{cluster, `{"name":"c","transportSocket":{"name":"x","typedConfig":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"}}}`,
			"transport_socket.typed_config: stock Envoy has no extension of envoy.transport_sockets.upstream"},
		{listener, strings.Replace(filter, "%", "envoy.extensions.filters.http.router.v3.Router", 1), ""},
		{listener, strings.Replace(filter, "%", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", 1), "http_filters[0].typed_config: stock Envoy has no extension of envoy.filters.http"},
		{listener, strings.Replace(filter, "%", `udpa.type.v1.TypedStruct","type_url":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router","value":{"nosuch":1},"x":"`, 1), `http_filters[0].typed_config: (line 1:2): unknown field "nosuch"`},
	} {
		m := c.message.ProtoReflect().New().Interface()
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(c.json), m); err != nil {
			t.Fatalf("%s: %v", c.json, err)
		}
		var got []string
		for _, p := range validate.New().Pass().Check(m).Problems {
			got = append(got, p.String())
		}
		all := strings.Join(got, "\n")
		if c.want == "" && all != "" || !strings.Contains(all, c.want) {
			t.Errorf("%.300s: %q, want %q", c.json, all, c.want)
		}
	}
}

// noReference are fields of Envoy's API whose names are those of references and that are none, and why.
var noReference = map[protoreflect.FullName]string{
	"envoy.config.bootstrap.v3.ClusterManager.local_cluster_name":                                        "part of the bootstrap",
	"envoy.config.core.v3.Node.cluster":                                                                  "what a node calls itself",
	"envoy.config.endpoint.v3.ClusterLoadAssignment.cluster_name":                                        "the name of the endpoints themselves",
	"envoy.config.endpoint.v3.ClusterStats.cluster_name":                                                 "a report",
	"envoy.config.metrics.v3.StatsdSink.tcp_cluster_name":                                                "part of the bootstrap",
	"envoy.config.trace.v3.LightstepConfig.collector_cluster":                                            "a tracer that Envoy has no more",
	"envoy.data.accesslog.v3.AccessLogCommon.upstream_cluster":                                           "a report",
	"envoy.data.cluster.v3.OutlierDetectionEvent.cluster_name":                                           "a report",
	"envoy.data.core.v3.HealthCheckEvent.cluster_name":                                                   "a report",
	"envoy.extensions.clusters.dynamic_modules.v3.ClusterConfig.cluster_name":                            "a name inside a module",
	"envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute.per_route_config_name": "a name inside a module",
	"envoy.extensions.filters.http.fault.v3.HTTPFault.upstream_cluster":                                  "a condition",
	"envoy.extensions.filters.network.reverse_tunnel.v3.ReverseTunnel.required_cluster_name":             "a condition",
}

// unasked are fields of Envoy's API with a source of configuration that are none of a resource, and why.
var unasked = map[protoreflect.FullName]string{
	"envoy.config.route.v3.Vhds.config_source": "virtual hosts are asked for by the route configuration that has them",

	"envoy.extensions.filters.http.on_demand.v3.OnDemandCds.source":                                  "clusters that requests name",
	"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes.rds_config_source":     "route configurations that scopes name",
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.OnDemand.odcds_config":                   "clusters that connections name",
	"envoy.extensions.transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config.config_source": "secrets that connections name",
}

// Every field that can hold a reference is known: that of a new version of the API is named here until it is.
func TestReferences(t *testing.T) {
	name := regexp.MustCompile(`(^|_)clusters?(_names?)?$|cluster_name|route_config_name$|listener_name$`)
	c := validate.New()
	protoregistry.GlobalFiles.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(fd.Package()), "envoy.") || strings.HasPrefix(string(fd.Package()), "envoy.service.") {
			return true
		}
		eachField(fd.Messages(), func(f protoreflect.FieldDescriptor) {
			switch {
			case f.Kind() == protoreflect.StringKind && name.MatchString(string(f.Name())):
				if known := c.Refers(f) || noReference[f.FullName()] != ""; !known {
					t.Errorf("%s may be a reference, and nothing looks at it", f.FullName())
				}
			case f.Message() != nil && f.Message().FullName() == "envoy.config.core.v3.ConfigSource":
				if known := c.Refers(f) || unasked[f.FullName()] != "" || strings.HasPrefix(string(f.FullName()), "envoy.config.bootstrap."); !known {
					t.Errorf("%s asks for something, and nothing looks at it", f.FullName())
				}
			}
		})
		return true
	})
}

func eachField(list protoreflect.MessageDescriptors, do func(protoreflect.FieldDescriptor)) {
	for i := range list.Len() {
		eachField(list.Get(i).Messages(), do)
		for j := range list.Get(i).Fields().Len() {
			do(list.Get(i).Fields().Get(j))
		}
	}
}
