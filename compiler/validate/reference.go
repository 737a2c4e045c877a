package validate

import (
	"cmp"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// ReferenceKind says what a reference is to.
type ReferenceKind string

// The kinds of what a resource refers to by name.
const (
	ToCluster   ReferenceKind = "cluster"
	ToEndpoints ReferenceKind = "endpoints"
	ToListener  ReferenceKind = "listener"
	ToRoutes    ReferenceKind = "route configuration"
	ToSecret    ReferenceKind = "secret"
	ToPlugin    ReferenceKind = "cluster specifier plugin"

	// ToStaticSecret is a secret of the bootstrap, and ToDiscovered what is asked for over ADS and is none of the above.
	ToStaticSecret ReferenceKind = "static secret"
	ToDiscovered   ReferenceKind = "resource of discovery"
)

// Reference is a name in a resource that stands for something which the proxy has to have.
type Reference struct {
	Kind ReferenceKind
	Name string
}

// named are the fields that hold the names of something.
func named() map[protoreflect.FullName]ReferenceKind {
	out := map[protoreflect.FullName]ReferenceKind{
		"envoy.config.core.v3.EnvoyInternalAddress.server_listener_name": ToListener,
		"envoy.config.route.v3.RouteAction.cluster_specifier_plugin":     ToPlugin,
	}
	const network = "envoy.extensions.filters.network."
	for _, f := range []protoreflect.FullName{
		"envoy.config.core.v3.ApiConfigSource.cluster_names",
		"envoy.config.core.v3.GrpcService.EnvoyGrpc.cluster_name",
		"envoy.config.core.v3.HttpUri.cluster",
		"envoy.config.route.v3.RouteAction.RequestMirrorPolicy.cluster",
		"envoy.config.route.v3.RouteAction.cluster",
		"envoy.config.route.v3.WeightedCluster.ClusterWeight.name",
		"envoy.config.trace.v3.DatadogConfig.collector_cluster",
		"envoy.config.trace.v3.ZipkinConfig.collector_cluster",
		"envoy.data.dns.v3.DnsTable.DnsEndpoint.cluster_name",
		"envoy.data.dns.v3.DnsTable.DnsServiceTarget.cluster_name",
		"envoy.extensions.access_loggers.fluentd.v3.FluentdAccessLogConfig.cluster",
		"envoy.extensions.clusters.aggregate.v3.ClusterConfig.clusters",
		"envoy.extensions.clusters.composite.v3.ClusterConfig.ClusterEntry.name",
		"envoy.extensions.clusters.mcp_multicluster.v3.ClusterConfig.McpCluster.cluster",
		"envoy.extensions.filters.http.cache_v2.v3.CacheV2Config.override_upstream_cluster",
		"envoy.extensions.filters.http.gcp_authn.v3.GcpAuthnFilterConfig.cluster",
		"envoy.extensions.filters.http.mcp_router.v3.McpRouter.McpCluster.cluster",
		network + "dubbo_proxy.v3.RouteAction.cluster",
		network + "generic_proxy.action.v3.RouteAction.cluster",
		network + "redis_proxy.v3.RedisProxy.PrefixRoutes.Route.ReadCommandPolicy.cluster",
		network + "redis_proxy.v3.RedisProxy.PrefixRoutes.Route.RequestMirrorPolicy.cluster",
		network + "redis_proxy.v3.RedisProxy.PrefixRoutes.Route.cluster",
		network + "tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight.name",
		network + "tcp_proxy.v3.TcpProxy.cluster",
		network + "thrift_proxy.v3.RouteAction.RequestMirrorPolicy.cluster",
		network + "thrift_proxy.v3.RouteAction.cluster",
		network + "thrift_proxy.v3.WeightedCluster.ClusterWeight.name",
		"envoy.extensions.filters.udp.udp_proxy.v3.Route.cluster",
		"envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig.cluster",
		"envoy.extensions.router.cluster_specifiers.lua.v3.LuaConfig.default_cluster",
		"envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction.cluster",
		"envoy.extensions.router.cluster_specifiers.priority_group.v3.ClusterWeight.cluster_name",
		"envoy.extensions.tracers.fluentd.v3.FluentdConfig.cluster",
	} {
		out[f] = ToCluster
	}
	return out
}

// asked are the messages that make Envoy ask a server for something, and what for.
func asked() map[protoreflect.FullName]func(proto.Message) Reference {
	discovered := func(source *corev3.ConfigSource, name string) Reference { return over(source, ToDiscovered, name) }
	const network = "envoy.extensions.filters.network."
	return map[protoreflect.FullName]func(proto.Message) Reference{
		"envoy.config.cluster.v3.Cluster": func(m proto.Message) Reference {
			c := m.(*clusterv3.Cluster)
			if c.GetType() != clusterv3.Cluster_EDS {
				return Reference{}
			}
			return over(c.GetEdsClusterConfig().GetEdsConfig(), ToEndpoints, cmp.Or(c.GetEdsClusterConfig().GetServiceName(), c.GetName()))
		},
		network + "http_connection_manager.v3.Rds": func(m proto.Message) Reference {
			r := m.(*hcmv3.Rds)
			return over(r.GetConfigSource(), ToRoutes, r.GetRouteConfigName())
		},
		"envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig": func(m proto.Message) Reference {
			s := m.(*tlsv3.SdsSecretConfig)
			if s.GetSdsConfig() == nil {
				return Reference{ToStaticSecret, s.GetName()}
			}
			return over(s.GetSdsConfig(), ToSecret, s.GetName())
		},
		"envoy.config.core.v3.ExtensionConfigSource": func(m proto.Message) Reference {
			s := m.(*corev3.ExtensionConfigSource)
			if s.GetDefaultConfig() != nil || len(s.GetTypeUrls()) == 0 {
				return Reference{}
			}
			return discovered(s.GetConfigSource(), s.GetTypeUrls()[0])
		},
		network + "http_connection_manager.v3.ScopedRds": func(m proto.Message) Reference {
			return discovered(m.(*hcmv3.ScopedRds).GetScopedRdsConfigSource(), "envoy.config.route.v3.ScopedRouteConfiguration")
		},
		"envoy.config.endpoint.v3.LedsClusterLocalityConfig": func(m proto.Message) Reference {
			l := m.(*endpointv3.LedsClusterLocalityConfig)
			return discovered(l.GetLedsConfig(), l.GetLedsCollectionName())
		},
		"envoy.config.listener.v3.Listener.FcdsConfig":                                    unserved,
		"envoy.extensions.access_loggers.filters.process_ratelimit.v3.DynamicTokenBucket": unserved,
		"envoy.extensions.clusters.aggregate.v3.AggregateClusterResource":                 unserved,
		network + "dubbo_proxy.v3.Drds":                                                   unserved,
		network + "generic_proxy.v3.GenericRds":                                           unserved,
		network + "thrift_proxy.v3.Trds":                                                  unserved,
	}
}

// unserved is for a message that names, by whatever field, something of a type that no server of a bundle has.
func unserved(m proto.Message) Reference {
	asks, ok := m.(interface{ GetConfigSource() *corev3.ConfigSource })
	if !ok {
		return Reference{}
	}
	name := string(m.ProtoReflect().Descriptor().FullName())
	switch x := m.(type) {
	case interface{ GetRouteConfigName() string }:
		name = x.GetRouteConfigName()
	case interface{ GetResourceName() string }:
		name = x.GetResourceName()
	case interface{ GetName() string }:
		name = x.GetName()
	}
	return over(asks.GetConfigSource(), ToDiscovered, name)
}

// over is a reference to what comes over ADS; what comes from elsewhere is none.
func over(source *corev3.ConfigSource, kind ReferenceKind, name string) Reference {
	if source.GetAds() == nil && source.GetSelf() == nil {
		return Reference{}
	}
	return Reference{kind, name}
}

// distinct sorts references and leaves each once.
func distinct(list []Reference) []Reference {
	slices.SortFunc(list, func(a, b Reference) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return slices.Compact(list)
}

// refer notes what the fields of a message refer to.
func (v *visit) refer(m protoreflect.Message, p *plan) {
	for _, f := range p.names {
		switch {
		case !m.Has(f.field):
		case f.field.IsList():
			for i := range m.Get(f.field).List().Len() {
				v.reference(string(f.field.Name()), Reference{f.kind, m.Get(f.field).List().Get(i).String()})
			}
		default:
			v.reference(string(f.field.Name()), Reference{f.kind, m.Get(f.field).String()})
		}
	}
	if p.asks != nil {
		v.reference("", p.asks(m.Interface()))
	}
}

// reference notes a reference in a field of the message that is visited; "" is the message itself.
func (v *visit) reference(field string, r Reference) {
	if r.Name == "" {
		return
	}
	if v.sought == nil {
		v.References = append(v.References, r)
	} else if *v.sought == r && v.found == "" {
		v.found = v.at(field)
	}
}

// within notes the references of a packed message.
func (v *visit) within(a *anypb.Any, list []Reference) {
	if v.sought == nil {
		for _, r := range list {
			v.reference("", r)
		}
		return
	}
	if !slices.Contains(list, *v.sought) || v.found != "" {
		return
	}
	if m, err := unpack(a); err == nil {
		v.found = join(v.at(""), v.Where(m, *v.sought))
	}
}

// Where returns the path of the first field of a message that holds a reference, and "" if none does.
func (p *Pass) Where(m proto.Message, r Reference) string {
	v := &visit{Pass: p, sought: &r}
	v.message(m.ProtoReflect(), p.checker.plans.of(m.ProtoReflect().Descriptor()))
	return v.found
}
