package cluster

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// Env holds the facts of a mesh that clusters share, worked out once per compile. It is immutable.
type Env struct {
	Mesh        *mesh.Mesh
	autoMTLS    bool
	Gateways    map[string][]endpoint.Gateway // by network
	family      clusterv3.Cluster_DnsLookupFamily
	hosts       map[string]bool
	sharedHosts map[declaredHost][]*mesh.Service // services that share host and namespace, where there are several
	registry    map[string]string                // network of a cluster, by MeshNetworks fromRegistry
}

type declaredHost struct{ host, namespace string }

// defaultGatewayPort is where a network gateway takes mutual TLS by SNI unless it says otherwise.
const defaultGatewayPort = 15443

// NewEnv works out the shared facts. Findings are about network gateways that cannot be used.
func NewEnv(m *mesh.Mesh) (*Env, diag.List) {
	e := &Env{
		Mesh:        m,
		autoMTLS:    m.Config.GetEnableAutoMtls() == nil || m.Config.GetEnableAutoMtls().Value,
		Gateways:    map[string][]endpoint.Gateway{},
		sharedHosts: map[declaredHost][]*mesh.Service{},
		registry:    map[string]string{},
		hosts:       make(map[string]bool, len(m.Services)),
		family:      dnsFamily(m),
	}
	for _, svc := range m.Services {
		e.hosts[svc.Hostname] = true
		k := declaredHost{svc.Hostname, svc.Namespace}
		e.sharedHosts[k] = append(e.sharedHosts[k], svc)
	}
	maps.DeleteFunc(e.sharedHosts, func(_ declaredHost, l []*mesh.Service) bool { return len(l) < 2 })
	return e, e.readNetworks()
}

// readNetworks collects the gateways of every network: MeshNetworks, and Services labelled with a network.
func (e *Env) readNetworks() diag.List {
	var ds diag.List
	networks := e.Mesh.Networks.GetNetworks()
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		for _, ep := range networks[name].GetEndpoints() {
			if r := ep.GetFromRegistry(); r != "" && e.registry[r] == "" {
				e.registry[r] = name
			}
		}
		for _, gw := range networks[name].GetGateways() {
			switch a := gw.GetAddress(); {
			case xds.IsIP(a):
				e.addGateway(name, endpoint.Gateway{Address: a, Port: gw.GetPort()})
			case a != "":
				ds.Add(diag.Diagnostic{Code: codeGatewayAddress, Severity: diag.Warning,
					Message: "gateway " + a + " of network " + name + " is a host name, which cannot be resolved when compiling; endpoints of that network stay unreachable through it",
					Help:    "Write the IP address of the gateway in MeshNetworks."})
			default:
				e.addServiceGateway(name, gw)
			}
		}
	}
	for _, svc := range slices.Concat(e.Mesh.Services, e.Mesh.Remote) {
		if n := svc.Labels[endpoint.LabelNetwork]; n != "" {
			e.addLabelledGateway(n, svc)
		}
	}
	for _, gws := range e.Gateways {
		slices.SortFunc(gws, endpoint.Gateway.Compare)
	}
	return ds
}

func (e *Env) addGateway(network string, g endpoint.Gateway) {
	if !slices.Contains(e.Gateways[network], g) {
		e.Gateways[network] = append(e.Gateways[network], g)
	}
}

func (e *Env) addServiceGateway(network string, gw *meshconfig.Network_IstioNetworkGateway) {
	for _, svc := range slices.Concat(e.Mesh.Services, e.Mesh.Remote) {
		if svc.Hostname == gw.GetRegistryServiceName() {
			for _, a := range externalAddresses(svc) {
				e.addGateway(network, endpoint.Gateway{Address: a, Port: gw.GetPort()})
			}
		}
	}
}

func (e *Env) addLabelledGateway(network string, svc *mesh.Service) {
	port := uint32(defaultGatewayPort)
	if s := svc.Labels["networking.istio.io/gatewayPort"]; s != "" {
		if n, ok := parsePort(s); ok {
			port = n
		}
	}
	for _, a := range externalAddresses(svc) {
		e.addGateway(network, endpoint.Gateway{Address: a, Port: port})
	}
}

func parsePort(s string) (uint32, bool) {
	var n uint32
	for _, c := range s {
		if c < '0' || c > '9' || n > 65535 {
			return 0, false
		}
		n = n*10 + uint32(c-'0')
	}
	return n, s != "" && n > 0 && n <= 65535
}

// externalAddresses are the IPs under which a Kubernetes Service is reached from outside its cluster.
func externalAddresses(svc *mesh.Service) []string {
	if svc.Object == nil {
		return nil
	}
	k, ok := svc.Object.Spec.(*corev1.Service)
	if !ok || k == nil {
		return nil
	}
	out := slices.DeleteFunc(slices.Clone(k.Spec.ExternalIPs), func(a string) bool { return !xds.IsIP(a) })
	for _, in := range k.Status.LoadBalancer.Ingress {
		if xds.IsIP(in.IP) {
			out = append(out, in.IP)
		}
	}
	return out
}

// networkOfClient is the network of proxies: their own word, else that of the cluster they run in.
func (e *Env) networkOfClient(network, cluster string) string {
	return cmp.Or(network, e.registry[cmp.Or(cluster, mesh.DefaultCluster)])
}

// clusterLocal tells whether MeshConfig.serviceSettings, or Istio's defaults, keep calls to a host inside the caller's
// cluster. The longest matching host decides.
func (e *Env) clusterLocal(host string) bool {
	best, local := -1, false
	for _, s := range e.Mesh.Config.GetServiceSettings() {
		for _, h := range s.GetHosts() {
			if hosts.Within(host, h) && len(h) > best {
				best, local = len(h), s.GetSettings().GetClusterLocal()
			}
		}
	}
	if best >= 0 {
		return local
	}
	d := e.Mesh.Domain
	return host == "kubernetes.default.svc."+d || strings.HasSuffix(host, ".kube-system.svc."+d)
}

// outboundStatName is MeshConfig.outboundClusterStatName for a cluster, else its name. The ";" marks where the name ends
// for whoever takes statistics apart.
func (e *Env) outboundStatName(name string, b *clusterBuild) string {
	pattern := e.Mesh.Config.GetOutboundClusterStatName()
	if pattern == "" || b.in.SNI {
		return name + ";"
	}
	return expandStatName(pattern, b.in.Service, b.port, b.name) + ";"
}
