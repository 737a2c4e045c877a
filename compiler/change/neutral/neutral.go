// Package neutral knows the fields of xDS resources that no request shows, each with the reason.
package neutral

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// Reasons why no request shows a field.
const (
	onlyName       = "a name for people and statistics: what refers to it is compared by what it refers to"
	onlyStatistics = "it names or shapes statistics"
	onlyLoading    = "it decides how a proxy loads the configuration, and not what it does with requests"
	onlyTracking   = "metadata that telemetry reads, and that no rule of a bundle asks for"
	byWalk         = "it follows from what is compared in its place"
)

// neutral lists the fields that no request shows, each with the reason. Every other field of a resource is either part of an
// outcome or of a condition, or what has changed in it is undecided.
var reasons = map[protoreflect.FullName]string{
	"envoy.config.listener.v3.Listener.name":                                      byWalk,
	"envoy.config.cluster.v3.Cluster.name":                                        byWalk,
	"envoy.config.listener.v3.Listener.stat_prefix":                               onlyStatistics,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.name": "its type decides what it does, and what a route sets for it is found by it on each side",
	"envoy.config.route.v3.RetryPolicy.RetryHostPredicate.name":                   "the type of its configuration decides",
	"envoy.config.listener.v3.Listener.metadata":                                  onlyTracking,
	"envoy.config.listener.v3.FilterChain.name":                                   onlyName,
	"envoy.config.listener.v3.FilterChain.metadata":                               onlyTracking,
	"envoy.config.listener.v3.ListenerFilter.name":                                onlyName,
	"envoy.config.listener.v3.Listener.traffic_direction":                         byWalk,

	"envoy.config.route.v3.RouteConfiguration.validate_clusters": onlyLoading,
	"envoy.config.route.v3.RouteConfiguration.metadata":          onlyTracking,
	"envoy.config.route.v3.RouteConfiguration.vhds":              onlyLoading,
	"envoy.config.route.v3.VirtualHost.name":                     onlyName,
	"envoy.config.route.v3.VirtualHost.metadata":                 onlyTracking,
	"envoy.config.route.v3.VirtualHost.virtual_clusters":         onlyStatistics,
	"envoy.config.route.v3.Route.name":                           onlyName,
	"envoy.config.route.v3.Route.metadata":                       onlyTracking,
	"envoy.config.route.v3.Route.stat_prefix":                    onlyStatistics,
	"envoy.config.route.v3.Route.decorator":                      "the name of the span, which is made of the match",
	"envoy.config.route.v3.Decorator.operation":                  "the name of the span, which is made of the match",
	"envoy.config.route.v3.WeightedCluster.runtime_key_prefix":   onlyLoading,

	"envoy.config.cluster.v3.Cluster.alt_stat_name":                   onlyStatistics,
	"envoy.config.cluster.v3.Cluster.metadata":                        onlyTracking,
	"envoy.config.cluster.v3.Cluster.TransportSocketMatch.name":       onlyName,
	"envoy.config.endpoint.v3.ClusterLoadAssignment.cluster_name":     onlyName,
	"envoy.config.endpoint.v3.Endpoint.observability_name":            onlyName,
	"envoy.config.route.v3.RouteConfiguration.name":                   byWalk,
	"envoy.config.core.v3.TransportSocket.name":                       "the type of its configuration decides",
	"envoy.config.core.v3.RuntimeFractionalPercent.runtime_key":       onlyLoading,
	"envoy.config.core.v3.RuntimeFeatureFlag.runtime_key":             onlyLoading,
	"envoy.config.core.v3.RuntimeDouble.runtime_key":                  onlyLoading,
	"envoy.config.core.v3.TypedExtensionConfig.name":                  "the type of its configuration decides",
	"envoy.config.core.v3.RuntimePercent.runtime_key":                 onlyLoading,
	"envoy.config.core.v3.RuntimeUInt32.runtime_key":                  onlyLoading,
	"envoy.config.accesslog.v3.AccessLog.name":                        onlyName,
	"envoy.config.listener.v3.Filter.name":                            onlyName,
	"envoy.config.rbac.v3.RBAC.policies.key":                          onlyName,
	"envoy.extensions.filters.http.rbac.v3.RBAC.rules_stat_prefix":    onlyStatistics,
	"envoy.extensions.filters.network.rbac.v3.RBAC.stat_prefix":       onlyStatistics,
	"envoy.extensions.filters.network.rbac.v3.RBAC.rules_stat_prefix": onlyStatistics,

	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.stat_prefix":                                     onlyStatistics,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.stat_prefix":          onlyStatistics,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.is_optional":                     onlyLoading,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.RouteSpecifier":       byWalk,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.add_user_agent":       onlyTracking,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.generate_request_id":  onlyTracking,
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.preserve_external_id": onlyTracking,
}

// Reason tells why no request shows a field; "" for one that counts.
func Reason(field protoreflect.FullName) string { return reasons[field] }

// Drop takes the fields out of a message that no request shows.
func Drop(m protoreflect.Message) {
	if a, ok := m.Interface().(*anypb.Any); ok {
		inner, err := a.UnmarshalNew()
		if err != nil {
			return // it is compared as it is
		}
		Drop(inner.ProtoReflect())
		if b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(inner); err == nil {
			a.Value = b
		}
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case reasons[fd.FullName()] != "":
			m.Clear(fd)
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				Drop(v.List().Get(i).Message())
			}
		case fd.IsMap():
			if fd.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
					Drop(e.Message())
					return true
				})
			}
		case !fd.IsList() && fd.Message() != nil:
			Drop(v.Message())
		}
		return true
	})
}
