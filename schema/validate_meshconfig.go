package schema

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	mesh "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/internal/diag"
)

// meshRules checks what relates the fields of a mesh config, with places inside the ConfigMap's text.
func meshRules(t *target, m proto.Message) diag.List {
	c, ok := m.(*mesh.MeshConfig)
	if !ok {
		return nil
	}
	r := &rules{t: t}
	if p := c.DefaultConfig; p != nil {
		r.proxyConfig(at{"defaultConfig"}, p)
	}
	r.listenPorts(c)
	r.connectionPool(at{"defaultTrafficPolicy", "connectionPool"}, c.GetDefaultTrafficPolicy().GetConnectionPool())
	r.outlier(at{"defaultTrafficPolicy", "outlierDetection"}, c.GetDefaultTrafficPolicy().GetOutlierDetection())
	r.locality(at{"localityLbSetting"}, c.LocalityLbSetting)
	r.retries(at{"defaultHttpRetryPolicy"}, c.DefaultHttpRetryPolicy)
	if in := c.DefaultInboundHttpRetryPolicy; in != nil {
		r.retries(at{"defaultInboundHttpRetryPolicy"}, in)
		if in.Attempts == 0 && in.Backoff != nil {
			r.bad(at{"defaultInboundHttpRetryPolicy", "backoff"}, "Give attempts, or remove it.", "backoff is set, but attempts is 0, which switches retries off")
		}
	}
	r.logFormats(c)
	names := map[string]bool{}
	for i, e := range c.ExtensionProviders {
		if names[e.Name] {
			r.bad(at{"extensionProviders", i, "name"}, "Name each provider once.", "the extension provider %q is defined twice", e.Name)
		}
		names[e.Name] = true
	}
	return r.out
}

// listenPorts is about the ports at which each proxy listens: no two of its listeners can share one.
func (r *rules) listenPorts(c *mesh.MeshConfig) {
	seen := map[int32]string{}
	if c.ProxyListenPort == 0 {
		seen[15001] = "proxyListenPort"
	}
	if c.ProxyInboundListenPort == 0 {
		seen[15006] = "proxyInboundListenPort"
	}
	for _, p := range []struct {
		name string
		n    int32
	}{{"proxyListenPort", c.ProxyListenPort}, {"proxyInboundListenPort", c.ProxyInboundListenPort}, {"proxyHttpPort", c.ProxyHttpPort}} {
		switch n := p.n; {
		case n < 0 || n > 65535:
			r.bad(at{p.name}, "Use a port from 1 to 65535.", "the port %d is out of range", n)
		case n != 0 && seen[n] != "":
			r.bad(at{p.name}, "Use another port.", "%s takes the port %d, too", seen[n], n)
		}
		seen[p.n] = p.name
	}
}

// proxyConfig is about the settings of proxies, at defaultConfig of the mesh or in the annotation of a pod.
func (r *rules) proxyConfig(p at, c *mesh.ProxyConfig) {
	r.hostPort(p.to("discoveryAddress"), c.DiscoveryAddress)
	r.hostPort(p.to("statsdUdpAddress"), c.StatsdUdpAddress)
	r.hostPort(p.to("envoyMetricsServiceAddress"), c.EnvoyMetricsServiceAddress)
	r.hostPort(p.to("envoyMetricsService", "address"), c.GetEnvoyMetricsService().GetAddress())
	r.hostPort(p.to("envoyAccessLogService", "address"), c.GetEnvoyAccessLogService().GetAddress())
	r.hostPort(p.to("tracing", "zipkin", "address"), c.GetTracing().GetZipkin().GetAddress())
	r.hostPort(p.to("tracing", "datadog", "address"), c.GetTracing().GetDatadog().GetAddress())
	if l := c.GetTracing().GetLightstep(); l != nil {
		if l.Address == "" || l.AccessToken == "" {
			r.bad(p.to("tracing", "lightstep"), "Give both.", "lightstep needs address and accessToken")
		}
		r.hostPort(p.to("tracing", "lightstep", "address"), l.Address)
	}
	if n := c.ProxyAdminPort; n < 0 || n > 65535 {
		r.bad(p.to("proxyAdminPort"), "Use a port from 1 to 65535.", "the port %d is out of range", n)
	}
	if x, ok := c.ClusterName.(*mesh.ProxyConfig_ServiceCluster); ok && x.ServiceCluster == "" {
		r.bad(p.to("serviceCluster"), "Name it, or remove the field.", "serviceCluster is empty")
	}
	if k := c.PrivateKeyProvider; k != nil {
		switch {
		case k.GetCryptomb() == nil && k.GetQat() == nil:
			r.bad(p.to("privateKeyProvider"), "Add cryptomb or qat.", "privateKeyProvider names no provider")
		case k.GetCryptomb() != nil && k.GetCryptomb().PollDelay.AsDuration() == 0, k.GetQat() != nil && k.GetQat().PollDelay.AsDuration() == 0:
			r.bad(p.to("privateKeyProvider"), "Add pollDelay, as 10ms.", "privateKeyProvider needs a pollDelay above zero")
		}
	}
}

// hostPort checks HOST:PORT; a host may be a placeholder of the form $(NAME), which the agent replaces.
func (r *rules) hostPort(p at, s string) {
	if s == "" {
		return
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		r.bad(p, "Write HOST:PORT.", "the address %q has no port", s)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		r.bad(p, "Write HOST:PORT.", "%q is not a port", port)
	}
	if _, err := netip.ParseAddr(host); err != nil && fqdn(host) != "" && !strings.Contains(host, "$") {
		r.bad(p, "Write HOST:PORT.", "the host %q %s", host, fqdn(host))
	}
}
