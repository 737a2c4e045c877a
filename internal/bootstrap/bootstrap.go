// Package bootstrap writes the file that a stock Envoy starts with: who it is, where the ADS server is, and the few
// things that no xDS server can tell it. Everything else comes over ADS.
//
// The node carries what the server needs to find the workload's class: the id in Istio's form
// (sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN) and metadata with namespace, labels and service account. Clusters and
// listeners, and through them routes, virtual hosts, endpoints and secrets, are asked for on one delta ADS stream, or on
// a state-of-the-world one for servers and proxies that want it.
package bootstrap

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/re2"
	"github.com/meshc/meshc/internal/intercept"
	"github.com/meshc/meshc/internal/statistics"
)

// Ports of a proxy that are not for the application's traffic. The redirect rules leave them alone.
const (
	AdminPort  = 15000                // Envoy's admin interface, loopback only
	HealthPort = intercept.HealthPort // /healthz/ready
	StatsPort  = intercept.StatsPort  // /stats/prometheus

	// ProbePort is where kubelet asks for the health of the application by way of the proxy, under paths that injection has
	// put into the probes of the pod. At the application's own port kubelet, which has no certificate of the mesh, would be
	// refused.
	ProbePort = intercept.ProbePort
)

// Options describe one proxy.
type Options struct {
	Gateway        bool // router, else sidecar
	Name           string
	Namespace      string
	Domain         string // DNS domain of the cluster; default cluster.local
	Addresses      []netip.Addr
	Labels         map[string]string // of the pod
	Annotations    map[string]string
	ServiceAccount string
	Workload       string // name of the Deployment or the like; default Name
	ClusterID      string // default Kubernetes
	Network        string
	MeshID         string            // default cluster.local
	Metadata       map[string]string // more of it, as ISTIO_META_ variables of ProxyConfig give it, without the prefix

	Region, Zone, SubZone string

	// Files is where the proxy has its configuration in files, as package delivery/files writes them, in place of a server; nil: a server has it.
	Files *Files

	XDSAddress string // host:port of the ADS server
	// StateOfTheWorld asks for whole sets of resources (api_type GRPC) instead of deltas.
	StateOfTheWorld bool
	TLS             *TLS // nil: plaintext, for a server on the loopback interface
	// AgentSocket is the path of the socket at which an agent on the node hands out secrets, as SPIRE's does; empty: none.
	AgentSocket string

	AdminAddress string // default 127.0.0.1:15000
	// Statistics that the proxy keeps.
	Statistics statistics.Settings
	// Probes of the application that the proxy answers for at ProbePort.
	Probes Probes
	// NoServing leaves out the listeners for health and metrics, for several proxies in one network namespace.
	NoServing bool
}

// TLS is the proxy's side of mutual TLS to the ADS server; files are read by Envoy and watched for rotation. Without
// files the agent has the certificate and the roots.
type TLS struct {
	CertificateFile string
	KeyFile         string
	RootsFile       string
	ServerName      string // SNI and the DNS name wanted in the server's certificate; empty: the host of XDSAddress
	ServerSPIFFE    string // SPIFFE ID wanted instead of the DNS name
}

// Files are sources of configuration that are files of the proxy (envoy.config.core.v3.PathConfigSource).
type Files struct {
	Listeners, Clusters *corev3.ConfigSource
}

// New builds the bootstrap.
func New(o Options) (*bootstrapv3.Bootstrap, error) {
	if o.Name == "" || o.Namespace == "" {
		return nil, fmt.Errorf("bootstrap: a proxy needs a name and a namespace")
	}
	if len(o.Addresses) == 0 {
		return nil, fmt.Errorf("bootstrap: proxy %s.%s needs an address", o.Name, o.Namespace)
	}
	if t := o.TLS; t != nil && t.CertificateFile == "" && o.AgentSocket == "" {
		return nil, fmt.Errorf("bootstrap: TLS to the ADS server needs files or the socket of an agent")
	}
	o.defaults()
	node, err := Node(o)
	if err != nil {
		return nil, err
	}
	dynamic, clusters, err := source(o)
	if err != nil {
		return nil, err
	}
	admin, err := address(o.AdminAddress)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: admin address: %w", err)
	}
	runtime, err := structpb.NewStruct(runtimeValues())
	if err != nil {
		return nil, err
	}
	b := &bootstrapv3.Bootstrap{
		Node:  node,
		Admin: &bootstrapv3.Admin{Address: admin},

		StatsConfig:      statisticsOf(o),
		DynamicResources: dynamic,
		StaticResources:  &bootstrapv3.Bootstrap_StaticResources{Clusters: append(agentClusters(o), clusters...)},
		LayeredRuntime:   &bootstrapv3.LayeredRuntime{Layers: layers(o, runtime)},

		// A proxy knows of many more services than it calls. What belongs to one is made when it is called.
		DeferredStatOptions: &bootstrapv3.Bootstrap_DeferredStatOptions{EnableDeferredCreationStats: true},
		ClusterManager:      &bootstrapv3.ClusterManager{EnableDeferredClusterCreation: true},
	}
	if err := o.Statistics.Check(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	if d := o.Statistics.Flush; d > 0 {
		b.StatsFlushInterval = durationpb.New(d)
	}
	if d := o.Statistics.Eviction; d > 0 {
		b.StatsEviction = &bootstrapv3.Bootstrap_StatsEvictionInterval{StatsEvictionInterval: durationpb.New(d)}
	}
	if !o.NoServing {
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, adminCluster(admin))
		b.StaticResources.Listeners = []*listenerv3.Listener{
			servingListener(o, "health", HealthPort, "/healthz/ready", "/ready", nil),
			servingListener(o, "stats", StatsPort, "/stats/prometheus", "", compressor(o.Statistics.Compression)),
		}
	}
	if len(o.Probes) > 0 {
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, o.Probes.clusters(o.Addresses[0])...)
		b.StaticResources.Listeners = append(b.StaticResources.Listeners, o.Probes.listener(o))
	}
	return b, b.ValidateAll()
}

// JSON writes a bootstrap as Envoy's --config-path wants it.
func JSON(b *bootstrapv3.Bootstrap) ([]byte, error) {
	text, err := bundle.JSON(b)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Indent(&out, text, "", "  ")
	return out.Bytes(), err
}

func (o *Options) defaults() {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.Domain, "cluster.local")
	def(&o.Workload, o.Name)
	def(&o.ClusterID, "Kubernetes")
	def(&o.MeshID, "cluster.local")
	def(&o.ServiceAccount, "default")
	def(&o.AdminAddress, "127.0.0.1:"+strconv.Itoa(AdminPort))
}

// Node is the identity of a proxy, as it stands in its bootstrap and in its first request to the ADS server.
func Node(o Options) (*corev3.Node, error) {
	o.defaults()
	kind := "sidecar"
	if o.Gateway {
		kind = "router"
	}
	ips := make([]string, len(o.Addresses))
	for i, a := range o.Addresses {
		ips[i] = a.String()
	}
	first := "127.0.0.1"
	if len(ips) > 0 {
		first = ips[0]
	}
	meta := map[string]any{
		"NAME": o.Name, "NAMESPACE": o.Namespace, "SERVICE_ACCOUNT": o.ServiceAccount, "WORKLOAD_NAME": o.Workload,
		"INSTANCE_IPS": strings.Join(ips, ","), "CLUSTER_ID": o.ClusterID, "MESH_ID": o.MeshID,
		"LABELS": anyMap(o.Labels), bundle.BootstrapMetadata: map[string]any{bundle.NewRequirement(bundle.ProgramSize, 0, "").Mark(): re2.Bootstrap, bundle.NewRequirement(bundle.LiveWeights, 0, "").Mark(): 1},
	}
	if len(o.Annotations) > 0 {
		meta["ANNOTATIONS"] = anyMap(o.Annotations)
	}
	if o.Network != "" {
		meta["NETWORK"] = o.Network
	}
	for k, v := range o.Metadata {
		meta[k] = v
	}
	s, err := structpb.NewStruct(meta)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: node metadata: %w", err)
	}
	n := &corev3.Node{
		Id:       kind + "~" + first + "~" + o.Name + "." + o.Namespace + "~" + o.Namespace + ".svc." + o.Domain,
		Cluster:  o.Workload + "." + o.Namespace,
		Metadata: s,
	}
	if o.Region != "" {
		n.Locality = &corev3.Locality{Region: o.Region, Zone: o.Zone, SubZone: o.SubZone}
	}
	return n, nil
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// layers are those of the runtime, a later one over an earlier: what the mesh relies on, what the server sets while it runs, what
// somebody sets by the admin interface.
func layers(o Options, mesh *structpb.Struct) []*bootstrapv3.RuntimeLayer {
	out := []*bootstrapv3.RuntimeLayer{{Name: "mesh", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: mesh}}}
	if o.Files == nil {
		from := &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}, InitialFetchTimeout: durationpb.New(layerWait)}
		out = append(out, &bootstrapv3.RuntimeLayer{Name: names.RuntimeLayer, LayerSpecifier: &bootstrapv3.RuntimeLayer_RtdsLayer_{RtdsLayer: &bootstrapv3.RuntimeLayer_RtdsLayer{Name: names.RuntimeLayer, RtdsConfig: from}}})
	}
	return append(out, &bootstrapv3.RuntimeLayer{Name: "admin", LayerSpecifier: &bootstrapv3.RuntimeLayer_AdminLayer_{AdminLayer: &bootstrapv3.RuntimeLayer_AdminLayer{}}})
}

// layerWait is how long an Envoy that starts waits for the runtime layer of the server: one that has no such thing holds up nobody.
const layerWait = 5 * time.Second

// runtimeValues are the runtime settings that the routes of a mesh rely on: long regular expressions are accepted, which the
// node says of itself, and a fragment in a path is cut off instead of refused.
func runtimeValues() map[string]any {
	return map[string]any{
		"re2.max_program_size.error_level":                         re2.Bootstrap,
		"envoy.reloadable_features.http_reject_path_with_fragment": false,
	}
}

// source is where listeners and clusters come from, and the cluster of the server that has them.
func source(o Options) (*bootstrapv3.Bootstrap_DynamicResources, []*clusterv3.Cluster, error) {
	if f := o.Files; f != nil {
		return &bootstrapv3.Bootstrap_DynamicResources{LdsConfig: f.Listeners, CdsConfig: f.Clusters}, nil, nil
	}
	xds, err := xdsCluster(o)
	if err != nil {
		return nil, nil, err
	}
	ads := &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}, InitialFetchTimeout: durationpb.New(0)}
	return &bootstrapv3.Bootstrap_DynamicResources{LdsConfig: ads, CdsConfig: proto.Clone(ads).(*corev3.ConfigSource), AdsConfig: adsConfig(o)}, []*clusterv3.Cluster{xds}, nil
}

func adsConfig(o Options) *corev3.ApiConfigSource {
	api := corev3.ApiConfigSource_DELTA_GRPC
	if o.StateOfTheWorld {
		api = corev3.ApiConfigSource_GRPC
	}
	return &corev3.ApiConfigSource{
		ApiType: api, TransportApiVersion: corev3.ApiVersion_V3, SetNodeOnFirstMessageOnly: true,
		GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: names.XDSCluster}}}},
	}
}

func address(hostport string) (*corev3.Address, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port of %q: %w", hostport, err)
	}
	return socket(host, uint32(p)), nil
}

func socket(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
}

func load(name string, a *corev3.Address) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: a}}}}}}}
}

// xdsCluster reaches the ADS server over HTTP/2, with keepalive so that a dead server is noticed.
func xdsCluster(o Options) (*clusterv3.Cluster, error) {
	a, err := address(o.XDSAddress)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: ADS server: %w", err)
	}
	c := &clusterv3.Cluster{
		Name:                 names.XDSCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(1e9),
		LoadAssignment:       load(names.XDSCluster, a),
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveTime: wrapperspb.UInt32(300), KeepaliveInterval: wrapperspb.UInt32(30)}},
		TypedExtensionProtocolOptions: http2(),
	}
	host := a.GetSocketAddress().GetAddress()
	if _, err := netip.ParseAddr(host); err != nil {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.RespectDnsTtl = true
	}
	if o.TLS != nil {
		c.TransportSocket = clientTLS(o.TLS, host)
	}
	return c, nil
}

// http2 makes a cluster speak HTTP/2, as gRPC needs it.
func http2() map[string]*anypb.Any {
	return map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(&upstreamsv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamsv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}}}}})}
}

// agentClusters leads to the agent's socket, under the name that compiled resources know it by.
func agentClusters(o Options) []*clusterv3.Cluster {
	if o.AgentSocket == "" {
		return nil
	}
	pipe := &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: o.AgentSocket}}}
	return []*clusterv3.Cluster{{Name: names.AgentCluster, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, ConnectTimeout: durationpb.New(1e9),
		LoadAssignment: load(names.AgentCluster, pipe), TypedExtensionProtocolOptions: http2()}}
}

// fromAgent is a secret that the agent has.
func fromAgent(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType: corev3.ApiConfigSource_GRPC, TransportApiVersion: corev3.ApiVersion_V3, SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: names.AgentCluster}}}}}}}}
}

// wanted is the server name to ask for, and the name that the certificate has to have. A certificate holds an address as one,
// in its shortest spelling, and nobody asks for a server by its address (RFC 6066).
func wanted(t *TLS, host string) (sni string, san *tlsv3.SubjectAltNameMatcher) {
	sni = strings.TrimSuffix(cmp.Or(t.ServerName, host), ".")
	san = &tlsv3.SubjectAltNameMatcher{SanType: tlsv3.SubjectAltNameMatcher_DNS, Matcher: exact(sni)}
	if ip, err := netip.ParseAddr(sni); err == nil {
		san = &tlsv3.SubjectAltNameMatcher{SanType: tlsv3.SubjectAltNameMatcher_IP_ADDRESS, Matcher: exact(ip.Unmap().WithZone("").String())}
		sni = ""
	}
	if t.ServerSPIFFE != "" {
		san = &tlsv3.SubjectAltNameMatcher{SanType: tlsv3.SubjectAltNameMatcher_URI, Matcher: exact(t.ServerSPIFFE)}
	}
	return sni, san
}

func clientTLS(t *TLS, host string) *corev3.TransportSocket {
	sni, san := wanted(t, host)
	common := &tlsv3.CommonTlsContext{TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2}, AlpnProtocols: []string{"h2"}}
	v := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{san}}
	if t.CertificateFile == "" {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{fromAgent("default")}
		common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext: v, ValidationContextSdsSecretConfig: fromAgent("ROOTCA")}}
	} else {
		v.TrustedCa, v.WatchedDirectory = file(t.RootsFile), watched(t.RootsFile)
		common.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file(t.CertificateFile), PrivateKey: file(t.KeyFile), WatchedDirectory: watched(t.CertificateFile)}}
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v}
	}
	ctx := &tlsv3.UpstreamTlsContext{Sni: sni, CommonTlsContext: common}
	return &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(ctx)}}
}

// adminCluster leads the health and metrics listeners to the admin interface.
func adminCluster(admin *corev3.Address) *clusterv3.Cluster {
	return &clusterv3.Cluster{Name: names.AdminCluster, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, ConnectTimeout: durationpb.New(250e6), LoadAssignment: load(names.AdminCluster, admin)}
}

// servingListener opens one path of the admin interface to kubelet or Prometheus, and nothing else of it.
func servingListener(o Options, name string, port uint32, path, rewrite string, filters []*hcmv3.HttpFilter) *listenerv3.Listener {
	action := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: names.AdminCluster}, PrefixRewrite: rewrite}
	return serving(o, name, port, filters, []*routev3.Route{{Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}}, Action: &routev3.Route_Route{Route: action}}})
}

// serving listens on a port of the proxy's own.
func serving(o Options, name string, port uint32, filters []*hcmv3.HttpFilter, routes []*routev3.Route) *listenerv3.Listener {
	wildcard := "0.0.0.0"
	if o.Addresses[0].Is6() {
		wildcard = "::"
	}
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix:  name,
		HttpFilters: append(filters, &hcmv3.HttpFilter{Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})}}),
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
			Name: "backend", Domains: []string{"*"}, Routes: routes}}}},
	}
	return &listenerv3.Listener{Name: name, Address: socket(wildcard, port), FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
		Name: "envoy.filters.network.http_connection_manager", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(hcm)}}}}}}
}
