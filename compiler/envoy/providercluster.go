package envoy

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
)

// provider is a service that filters call on their own account: an external authorizer, a place for logs or traces, or one
// that has keys for tokens.
type provider struct {
	service *mesh.Service
	port    uint32
	cluster string
	logs    bool // a place for logs or traces, which the outbound side may call, too
}

// providers are those of MeshConfig.extensionProviders that exist.
func providers(m *mesh.Mesh) []provider {
	var out []provider
	for _, p := range m.Config.GetExtensionProviders() {
		if a := providerAddress(p); a != nil {
			n := len(out)
			out = addProvider(out, m, a.GetService(), a.GetPort())
			if len(out) > n {
				out[n].logs = p.GetEnvoyExtAuthzHttp() == nil && p.GetEnvoyExtAuthzGrpc() == nil
			}
		}
	}
	return out
}

func addProvider(out []provider, m *mesh.Mesh, service string, port uint32) []provider {
	host, cluster, err := providerCluster(m, service, port)
	if err != nil || slices.ContainsFunc(out, func(p provider) bool { return p.cluster == cluster }) {
		return out
	}
	i := slices.IndexFunc(m.Services, func(s *mesh.Service) bool { return s.Hostname == host })
	if i < 0 {
		return out
	}
	return append(out, provider{service: m.Services[i], port: port, cluster: cluster})
}

// addressed is what providers have in common.
type addressed interface {
	GetService() string
	GetPort() uint32
}

func providerAddress(p *meshconfig.MeshConfig_ExtensionProvider) addressed {
	switch x := p.GetProvider().(type) {
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyExtAuthzHttp:
		return x.EnvoyExtAuthzHttp
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyExtAuthzGrpc:
		return x.EnvoyExtAuthzGrpc
	case *meshconfig.MeshConfig_ExtensionProvider_Zipkin:
		return x.Zipkin
	case *meshconfig.MeshConfig_ExtensionProvider_Datadog:
		return x.Datadog
	case *meshconfig.MeshConfig_ExtensionProvider_Skywalking:
		return x.Skywalking
	case *meshconfig.MeshConfig_ExtensionProvider_Opentelemetry:
		return x.Opentelemetry
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyHttpAls:
		return x.EnvoyHttpAls
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyTcpAls:
		return x.EnvoyTcpAls
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyOtelAls:
		return x.EnvoyOtelAls
	}
	return nil
}

// providerClusters are the clusters that the filters of a class call and that its Sidecar leaves out: what the mesh
// demands of a proxy does not depend on what its application may call. Without them Envoy would refuse the listener, or
// every request.
func (l *Lowering) providerClusters(in providerInputs, own []*Resource) []*Resource {
	missing := in.missing(l.providers)
	if len(missing) == 0 {
		return nil
	}
	var calls [][]byte
	for _, r := range own {
		if r.Type == Listener || r.Type == RouteConfiguration {
			if b, err := proto.Marshal(r.Message); err == nil {
				calls = append(calls, b)
			}
		}
	}
	var out []*Resource
	for _, p := range missing {
		if !(p.logs && in.calls) && !slices.ContainsFunc(calls, func(b []byte) bool { return bytes.Contains(b, []byte(p.cluster)) }) {
			continue
		}
		for _, r := range l.clusters.Get(in.client.of(p.service, in.view.Rule(p.service))) {
			if r.Name == p.cluster {
				out = append(out, r)
			}
		}
	}
	return out
}

// missing are the providers, and the services with keys for tokens, that the proxies do not see.
func (in *providerInputs) missing(list []provider) (out []provider) {
	add := func(p provider) {
		s := in.view.Service(p.service.Hostname)
		if (s == nil || s.HasPort(p.port) == nil) && !slices.ContainsFunc(out, func(q provider) bool { return q.cluster == p.cluster }) {
			out = append(out, p)
		}
	}
	for _, p := range list {
		add(p)
	}
	for _, r := range jwtRules(in.inbound) {
		if r.spec.GetJwks() != "" || r.spec.GetJwksUri() == "" {
			continue
		}
		if k, err := jwksSource(in.inbound, r.spec.GetJwksUri()); err == nil && !k.extra {
			for _, p := range addProvider(nil, in.inbound.Mesh, k.host, k.port) {
				add(p)
			}
		}
	}
	return out
}
