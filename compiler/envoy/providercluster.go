package envoy

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
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
	host, cluster, err := xds.ProviderCluster(m, service, port)
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
func (l *Lowering) providerClusters(in providerInputs, own []*xds.Resource) []*xds.Resource {
	missing := in.missing(l.providers)
	if len(missing) == 0 {
		return nil
	}
	calls := map[string]bool{}
	for _, r := range own {
		if r.Type == xds.Listener || r.Type == xds.RouteConfiguration {
			clustersIn(r.Message.ProtoReflect(), calls)
		}
	}
	var out []*xds.Resource
	for _, p := range missing {
		if !(p.logs && in.calls) && !calls[p.cluster] {
			continue
		}
		for _, r := range l.clusters.Get(in.client.Of(p.service, in.view.Rule(p.service))) {
			if r.Name == p.cluster {
				out = append(out, r)
			}
		}
	}
	return out
}

// clustersIn collects the names of clusters of services in a message and all in it, packed ones too.
func clustersIn(m protoreflect.Message, into map[string]bool) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		if inner, err := packed.UnmarshalNew(); err == nil {
			clustersIn(inner.ProtoReflect(), into)
		}
		return
	}
	one := func(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch {
		case fd.Message() != nil:
			clustersIn(v.Message(), into)
		case fd.Kind() == protoreflect.StringKind:
			if c, ok := names.ParseCluster(v.String()); ok && !c.Inbound {
				into[v.String()] = true
			}
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, x protoreflect.Value) bool { one(fd.MapValue(), x); return true })
		case fd.IsList():
			for i := range v.List().Len() {
				one(fd, v.List().Get(i))
			}
		default:
			one(fd, v)
		}
		return true
	})
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
	for _, r := range security.JWTRules(in.inbound) {
		if r.Spec.GetJwks() != "" || r.Spec.GetJwksUri() == "" {
			continue
		}
		if k, err := security.JWKSSource(in.inbound, r.Spec.GetJwksUri()); err == nil && !k.Extra {
			for _, p := range addProvider(nil, in.inbound.Mesh, k.Host, k.Port) {
				add(p)
			}
		}
	}
	return out
}
