package listener

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// inboundRoutes builds the inline route configuration of an inbound port: every request goes to the workload itself,
// without time limit, since the client has decided about that. A request that was reset before any byte of it was sent
// is tried again, which is safe for every method; gRPC clients do so themselves. MeshConfig.defaultInboundHttpRetryPolicy
// says otherwise.
func inboundRoutes(m *mesh.Mesh, p *inboundPort) *routev3.RouteConfiguration {
	action := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: p.cluster},
		Timeout:          xds.Seconds(0),
		MaxStreamDuration: &routev3.RouteAction_MaxStreamDuration{
			MaxStreamDuration:    xds.Seconds(0),
			GrpcTimeoutHeaderMax: xds.Seconds(0),
		},
	}
	if p.protocol != mesh.GRPC && p.protocol != mesh.GRPCWeb {
		action.RetryPolicy = route.InboundRetries(m.Config.GetDefaultInboundHttpRetryPolicy())
	}
	host := ""
	if p.service != nil {
		host = p.service.Hostname
	}
	return &routev3.RouteConfiguration{
		Name:             p.cluster,
		ValidateClusters: xds.Bool(false),
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    names.InboundHost(p.servicePort),
			Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Name:      "default",
				Match:     &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action:    &routev3.Route_Route{Route: action},
				Decorator: &routev3.Decorator{Operation: names.HostRoutes(host, p.servicePort) + "/*"},
			}},
		}},
	}
}
