package cluster

import (
	"maps"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Inputs is everything the outbound clusters of one service depend on. It is comparable: equal inputs lower to
// equal resources, so a caller with many scopes lowers each distinct value once. What rarely matters (where the client
// is, its labels, its cluster) is left empty unless the policies of the service look at it.
type Inputs struct {
	Env      *Env                  // facts of the whole mesh; the same pointer for all scopes of one compile
	Service  *mesh.Service         // by pointer: a scope that cuts the ports of a service has a copy of its own
	Rule     *mesh.DestinationRule // in effect for the service in the scope; nil: none
	Gateway  bool                  // router: headless services by EDS, no sniffed upstream protocol, credentialName allowed
	SNI      bool                  // clusters in SNI form behind AUTO_PASSTHROUGH: no TLS of their own, only mTLS endpoints
	KeepCase bool                  // ProxyConfig.proxyHeaders.preserveHttp1HeaderCase of the client

	Network  string // of the client, when the mesh has network gateways
	View     string // networks that the client wants to see, separated by commas; empty: all
	Locality string // region/zone/subzone of the client, when locality load balancing is in effect for the service
	Labels   string // "k=v,…" of the client with its topology, sorted, when failoverPriority is in effect
	Cluster  string // of the client, when the host is cluster-local
}

// clientFacts says what about a client changes the clusters of a service.
type clientFacts struct {
	locality, labels, cluster bool
}

func clientFactsFor(env *Env, rule *mesh.DestinationRule, svc *mesh.Service) clientFacts {
	f := clientFacts{cluster: env.clusterLocal(svc.Hostname)}
	f.locality, f.labels = localitySensitive(env.Mesh, rule, svc)
	return f
}

// Narrow leaves out of a client what does not matter.
func (in Inputs) Narrow(f clientFacts) Inputs {
	if !f.locality {
		in.Locality = ""
	}
	if !f.labels {
		in.Labels = ""
	}
	if !f.cluster {
		in.Cluster = ""
	}
	return in
}

// Of reduces a client to what the clusters of one service depend on, under the rule in effect for it.
func (in Inputs) Of(svc *mesh.Service, rule *mesh.DestinationRule) Inputs {
	in.Service, in.Rule = svc, rule
	return in.Narrow(clientFactsFor(in.Env, rule, svc))
}

// Outbound lowers one service: for every port a cluster, and one more for every subset of the
// DestinationRule; for those that discover endpoints by EDS the endpoints known at compile time. UDP ports have none.
func Outbound(in Inputs) ([]*xds.Resource, diag.List) {
	svc := in.Service
	var ds diag.List
	if svc.Resolution == mesh.Alias {
		return nil, in.Env.aliasFindings(svc)
	}
	if !in.SNI {
		ds = ruleFindings(in)
	}
	var out []*xds.Resource
	for _, port := range svc.Ports {
		if port.Protocol == mesh.UDP {
			continue
		}
		out = append(out, newClusterBuild(in, port, nil, -1).resources()...)
		if in.Rule == nil {
			continue
		}
		seen := map[string]bool{}
		for i, ss := range in.Rule.Spec.GetSubsets() {
			if !seen[ss.Name] {
				seen[ss.Name] = true
				out = append(out, newClusterBuild(in, port, ss, i).resources()...)
			}
		}
	}
	return out, ds
}

// clusterBuild holds one cluster while it is put together.
type clusterBuild struct {
	in     Inputs
	port   *mesh.Port
	subset *networking.Subset // nil: the whole service
	index  int                // of subset in the rule
	name   string             // subset name, "" for the whole service
	policy *networking.TrafficPolicy
	c      *clusterv3.Cluster
	http   upstreamHTTP
}

func newClusterBuild(in Inputs, port *mesh.Port, subset *networking.Subset, index int) *clusterBuild {
	b := &clusterBuild{in: in, port: port, subset: subset, index: index, name: subset.GetName()}
	b.policy = in.Env.Mesh.PolicyOf(in.Rule, port, b.name)
	return b
}

// resources lowers the cluster. The order matters: later steps look at the discovery type and protocol earlier ones set.
func (b *clusterBuild) resources() []*xds.Resource {
	name := names.Outbound(b.port.Number, b.name, b.in.Service.Hostname)
	if b.in.SNI {
		name = names.ServerName(b.port.Number, b.name, b.in.Service.Hostname)
	}
	b.c = &clusterv3.Cluster{
		Name:           name,
		AltStatName:    b.in.Env.outboundStatName(name, b),
		ConnectTimeout: connectTimeout(b.in.Env.Mesh),
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{},
	}
	if !b.discovery() {
		return nil
	}
	b.protocol()
	b.connectionPool()
	b.loadBalancer()
	b.outlierDetection()
	if !b.in.SNI {
		b.tls()
		b.proxyProtocol()
	}
	b.dynamicNames()
	b.http.attach(b.c)
	r := &xds.Resource{Type: xds.Cluster, Name: name, Message: b.c, Origins: b.origins()}
	out := []*xds.Resource{r}
	if b.c.GetType() == clusterv3.Cluster_EDS && b.c.GetClusterType() == nil {
		r.Selector = b.selector()
		members := b.members()
		out = append(out, &xds.Resource{Type: xds.Endpoints, Name: name, Message: members.LoadAssignment(name), Origins: b.origins(), Recipe: b.recipe(members.Client)})
	}
	// Connections to the address of a service go to its endpoints all the same: the node picks one.
	if svc := b.in.Service; b.c.GetType() == clusterv3.Cluster_ORIGINAL_DST && svc.Kubernetes && svc.Resolution != mesh.Passthrough && len(svc.Selector) > 0 {
		r.Selector = b.selector()
	}
	return out
}

// discovery sets how Envoy finds the endpoints. It answers false where the cluster cannot exist: DNS without names.
func (b *clusterBuild) discovery() bool {
	switch res := b.in.Service.Resolution; {
	case b.passthrough() && !b.in.SNI, res == mesh.Passthrough && !b.in.Gateway:
		b.originalDestination()
	case res == mesh.DynamicDNS:
		b.dynamicDNS()
	case res == mesh.DNS, res == mesh.DNSRoundRobin:
		return b.dns(res == mesh.DNSRoundRobin)
	default:
		b.c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
		b.c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: xds.ADS(), ServiceName: b.c.Name}
	}
	return true
}

// passthrough tells whether the policy sends connections where they were going. Once a rule says so for the service, no
// subset can say otherwise.
func (b *clusterBuild) passthrough() bool {
	if b.simpleLB() == networking.LoadBalancerSettings_PASSTHROUGH {
		return true
	}
	return b.subset != nil && b.in.Env.Mesh.PolicyOf(b.in.Rule, b.port, "").GetLoadBalancer().GetSimple() == networking.LoadBalancerSettings_PASSTHROUGH
}

// originalDestination sends each connection where it was going before interception. The service port is translated where
// a ServiceEntry of resolution NONE says so.
func (b *clusterBuild) originalDestination() {
	b.c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}
	b.c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	if t := b.port.TargetPort; !b.in.Service.Kubernetes && b.in.Service.Resolution == mesh.Passthrough && t != 0 {
		b.c.LbConfig = &clusterv3.Cluster_OriginalDstLbConfig_{
			OriginalDstLbConfig: &clusterv3.Cluster_OriginalDstLbConfig{UpstreamPortOverride: xds.UInt32(t)},
		}
	}
}

func (b *clusterBuild) selector() *endpoint.Selector {
	svc := b.in.Service
	return &endpoint.Selector{
		Hostname: svc.Hostname, Namespace: svc.Namespace, Port: b.port.Number, PortName: b.port.Name,
		Labels: maps.Clone(b.subset.GetLabels()), Workloads: maps.Clone(svc.Selector),
		TargetPort: b.port.TargetPort, TargetPortName: b.port.TargetName,
	}
}

// origins names the port of the service, the rule and the subset behind the cluster.
func (b *clusterBuild) origins() []xds.Origin {
	var out []xds.Origin
	if o := b.in.Service.Object; o != nil {
		out = append(out, clusterOrigin(o, "spec", "ports", b.port.Index))
	}
	if r := b.in.Rule; r != nil {
		objects := r.Objects
		if len(objects) == 0 && r.Object != nil {
			objects = []*schema.Object{r.Object}
		}
		for _, o := range objects {
			out = append(out, clusterOrigin(o, "spec"))
		}
		if b.subset != nil && b.index < len(r.Subsets) && r.Subsets[b.index].Object != nil {
			out = append(out, clusterOrigin(r.Subsets[b.index].Object, "spec", "subsets", r.Subsets[b.index].Index))
		}
	}
	return out
}

func clusterOrigin(o *schema.Object, path ...any) xds.Origin {
	return xds.Origin{Pos: o.Pos(path...), Object: o.Ref(), Field: schema.FieldPath(path...)}
}

// connectTimeout is MeshConfig.connectTimeout, 10s unless set.
func connectTimeout(m *mesh.Mesh) *durationpb.Duration {
	if t := m.Config.GetConnectTimeout(); t != nil {
		return t
	}
	return xds.Seconds(10)
}

// packLabels and unpackLabels carry a label set in a comparable value; label keys and values hold neither "," nor "=".
func packLabels(labels map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, k+"="+labels[k])
	}
	return strings.Join(out, ",")
}

func unpackLabels(s string) map[string]string {
	out := map[string]string{}
	for kv := range strings.SplitSeq(s, ",") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			out[k] = v
		}
	}
	return out
}
