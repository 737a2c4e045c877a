package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// setTimeout lowers HTTPRoute.timeout; nil and 0s mean none, where Envoy's own default would be 15 s. A gRPC client may
// ask for less with its grpc-timeout header, never for more.
func setTimeout(a *routev3.RouteAction, timeout *durationpb.Duration) {
	if timeout == nil {
		timeout = xds.Seconds(0)
	}
	a.Timeout = timeout
	a.MaxGrpcTimeout = timeout //nolint:staticcheck // max_stream_duration differs: it also ends plain HTTP streams
}
