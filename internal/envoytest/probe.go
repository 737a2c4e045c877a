package envoytest

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/bundle"
)

// probeName is that of the route configuration and of the endpoints that Envoy is made to ask for, so that it judges them.
const probeName = "probe"

// Probe asks Envoy about one resource by itself, whatever it refers to. The error is a *Refusal, or says that Envoy has ended.
func (p *Proxy) Probe(m proto.Message) error {
	switch x := m.(type) {
	case *clusterv3.Cluster:
		return p.probeCluster(x)
	case *listenerv3.Listener:
		return errors2(p.change(bundle.ListenerType, []named{{x.GetName(), unbound(x)}}, nil), p.change(bundle.ListenerType, nil, []string{x.GetName()}))
	case *routev3.RouteConfiguration:
		if err := p.asks(bundle.RouteConfigurationType); err != nil {
			return err
		}
		x = proto.Clone(x).(*routev3.RouteConfiguration)
		x.Name, x.Vhds = probeName, nil
		return p.change(bundle.RouteConfigurationType, []named{{probeName, x}}, nil)
	case *routev3.VirtualHost:
		return p.Probe(&routev3.RouteConfiguration{VirtualHosts: []*routev3.VirtualHost{x}})
	case *endpointv3.ClusterLoadAssignment:
		if err := p.asks(bundle.EndpointsType); err != nil {
			return err
		}
		x = proto.Clone(x).(*endpointv3.ClusterLoadAssignment)
		x.ClusterName = probeName
		return p.change(bundle.EndpointsType, []named{{probeName, x}}, nil)
	}
	return fmt.Errorf("envoytest: %T is no resource", m)
}

func errors2(err, after error) error {
	if err != nil {
		return err
	}
	return after
}

// probeCluster gives a cluster with its endpoints, if it asks for any, and takes it away.
func (p *Proxy) probeCluster(c *clusterv3.Cluster) error {
	n := serviceName(c)
	p.offers = map[string]map[string]named{bundle.EndpointsType: {n: {n, &endpointv3.ClusterLoadAssignment{ClusterName: n}}}}
	p.given = nil
	err := p.change(bundle.ClusterType, []named{{c.GetName(), c}}, nil)
	p.offers = nil
	return errors2(err, p.change(bundle.ClusterType, nil, []string{c.GetName()}))
}

// asks makes Envoy ask for the probe of a type.
func (p *Proxy) asks(url string) error {
	if p.subscribed[url][probeName] {
		return nil
	}
	var err error
	if url == bundle.EndpointsType {
		_, err = p.send(bundle.ClusterType, []named{{probeName, &clusterv3.Cluster{Name: probeName, ConnectTimeout: durationpb.New(1e9),
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}, EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: source()}}}}, nil)
	} else {
		err = p.change(bundle.ListenerType, []named{{probeName, probeListener()}}, nil)
	}
	if err != nil {
		return err
	}
	return p.until(func() bool { return p.subscribed[url][probeName] })
}

func probeListener() *listenerv3.Listener {
	m := &hcmv3.HttpConnectionManager{StatPrefix: probeName, RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: probeName, ConfigSource: source()}},
		HttpFilters: []*hcmv3.HttpFilter{{Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(&routerv3.Router{})}}}}
	return unbound(&listenerv3.Listener{Name: probeName,
		Address:      &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 1}}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{Name: "envoy.filters.network.http_connection_manager", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(m)}}}}}})
}

func packed(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err) // a message made here
	}
	return a
}

func source() *corev3.ConfigSource {
	return &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}
