package schema

import (
	"fmt"
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
	v := &meshCheck{t: t}
	if p := c.DefaultConfig; p != nil {
		v.proxy(p)
	}
	if c.ConnectTimeout != nil && c.ConnectTimeout.AsDuration() < 0 {
		v.bad("Use a positive duration.", []any{"connectTimeout"}, "the connect timeout is negative")
	}
	if n := c.ProxyListenPort; n < 0 || n > 65535 {
		v.bad("Use a port from 1 to 65535.", []any{"proxyListenPort"}, "the port %d is out of range", n)
	}
	if p := c.GetDefaultTrafficPolicy().GetConnectionPool(); p != nil && p.Http == nil && p.Tcp == nil {
		v.bad("Add http or tcp, or remove it.", []any{"defaultTrafficPolicy", "connectionPool"}, "the connection pool sets nothing")
	}
	v.logFormats(c)
	names := map[string]bool{}
	for i, e := range c.ExtensionProviders {
		if names[e.Name] {
			v.bad("Name each provider once.", []any{"extensionProviders", i, "name"}, "the extension provider %q is defined twice", e.Name)
		}
		names[e.Name] = true
	}
	return v.out
}

type meshCheck struct {
	t   *target
	out diag.List
}

func (v *meshCheck) bad(help string, path []any, format string, args ...any) {
	v.out.Add(v.t.finding(diag.Error, shapeCode, fmt.Sprintf(format, args...), help, path))
}

func (v *meshCheck) proxy(p *mesh.ProxyConfig) {
	at := func(e ...any) []any { return append([]any{"defaultConfig"}, e...) }
	v.address(at("discoveryAddress"), p.DiscoveryAddress)
	v.address(at("statsdUdpAddress"), p.StatsdUdpAddress)
	v.address(at("envoyMetricsServiceAddress"), p.EnvoyMetricsServiceAddress)
	v.address(at("envoyMetricsService", "address"), p.GetEnvoyMetricsService().GetAddress())
	v.address(at("envoyAccessLogService", "address"), p.GetEnvoyAccessLogService().GetAddress())
	v.address(at("tracing", "zipkin", "address"), p.GetTracing().GetZipkin().GetAddress())
	v.address(at("tracing", "datadog", "address"), p.GetTracing().GetDatadog().GetAddress())
	if l := p.GetTracing().GetLightstep(); l != nil { //nolint:staticcheck // still read
		if l.Address == "" || l.AccessToken == "" {
			v.bad("Give both.", at("tracing", "lightstep"), "lightstep needs address and accessToken")
		}
		v.address(at("tracing", "lightstep", "address"), l.Address)
	}
	if n := p.ProxyAdminPort; n < 0 || n > 65535 {
		v.bad("Use a port from 1 to 65535.", at("proxyAdminPort"), "the port %d is out of range", n)
	}
	if x, ok := p.ClusterName.(*mesh.ProxyConfig_ServiceCluster); ok && x.ServiceCluster == "" {
		v.bad("Name it, or remove the field.", at("serviceCluster"), "serviceCluster is empty")
	}
	if k := p.PrivateKeyProvider; k != nil {
		switch {
		case k.GetCryptomb() == nil && k.GetQat() == nil:
			v.bad("Add cryptomb or qat.", at("privateKeyProvider"), "privateKeyProvider names no provider")
		case k.GetCryptomb() != nil && k.GetCryptomb().PollDelay.AsDuration() == 0, k.GetQat() != nil && k.GetQat().PollDelay.AsDuration() == 0:
			v.bad("Add pollDelay, as 10ms.", at("privateKeyProvider"), "privateKeyProvider needs a pollDelay above zero")
		}
	}
}

// address checks HOST:PORT; a host may be a placeholder of the form $(NAME), which the agent replaces.
func (v *meshCheck) address(path []any, s string) {
	if s == "" {
		return
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		v.bad("Write HOST:PORT.", path, "the address %q has no port", s)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		v.bad("Write HOST:PORT.", path, "%q is not a port", port)
	}
	if _, err := netip.ParseAddr(host); err != nil && fqdn(host) != "" && !strings.Contains(host, "$") {
		v.bad("Write HOST:PORT.", path, "the host %q %s", host, fqdn(host))
	}
}
