package listener

import (
	"net"
	"strconv"

	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	networking "istio.io/api/networking/v1alpha3"
)

// tunneling lowers DestinationRule trafficPolicy.tunnel to envoy TcpProxy.tunneling_config: the connection is carried
// by an HTTP CONNECT or POST request. A subset does not inherit the tunnel of its rule.
func tunneling(rule *networking.DestinationRule, subset string) *tcpv3.TcpProxy_TunnelingConfig {
	tunnel := rule.GetTrafficPolicy().GetTunnel()
	if subset != "" {
		tunnel = nil
		for _, s := range rule.GetSubsets() {
			if s.Name == subset {
				tunnel = s.GetTrafficPolicy().GetTunnel()
				break
			}
		}
	}
	if tunnel == nil {
		return nil
	}
	return &tcpv3.TcpProxy_TunnelingConfig{
		Hostname: net.JoinHostPort(tunnel.TargetHost, strconv.Itoa(int(tunnel.TargetPort))),
		UsePost:  tunnel.Protocol == "POST",
	}
}
