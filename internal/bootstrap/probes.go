package bootstrap

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	corev1 "k8s.io/api/core/v1"
)

// Probe is a probe of the application as its container had it: HTTP is passed on, and for a TCP or a gRPC probe the proxy
// checks the application itself and answers with what it found last.
type Probe struct {
	corev1.ProbeHandler
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"` // default 1, as in Kubernetes
	PeriodSeconds  int32 `json:"periodSeconds,omitempty"`  // of a TCP or a gRPC probe; default 10, as in Kubernetes
}

// Probes are those of a pod by the path under which kubelet asks. Ports are numbers.
type Probes map[string]Probe

// ParseProbes reads what String wrote.
func ParseProbes(text string) (Probes, error) {
	var p Probes
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("bootstrap: probes: %w", err)
	}
	for _, path := range p.paths() {
		if port := p[path].port(); port <= 0 || port > 65535 || !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("bootstrap: probe %q is at no port of a TCP, HTTP or gRPC server, or its path does not begin with a slash", path)
		}
		if p[path].TimeoutSeconds < 0 || p[path].PeriodSeconds < 0 {
			return nil, fmt.Errorf("bootstrap: probe %q has a time that is less than none: periodSeconds and timeoutSeconds are from 1 on", path)
		}
	}
	return p, nil
}

// String writes probes as JSON.
func (p Probes) String() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic("bootstrap: " + err.Error()) // strings and numbers
	}
	return string(b)
}

func (p Probes) paths() []string {
	var out []string
	for k := range p {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (p Probe) port() int32 {
	switch {
	case p.HTTPGet != nil:
		return p.HTTPGet.Port.IntVal
	case p.TCPSocket != nil:
		return p.TCPSocket.Port.IntVal
	case p.GRPC != nil:
		return p.GRPC.Port
	}
	return 0
}

func (p Probe) timeout() *durationpb.Duration {
	return &durationpb.Duration{Seconds: int64(cmp.Or(max(p.TimeoutSeconds, 0), 1))}
}

func probeCluster(path string) string { return "probe|" + path }

// clusters reach the application at the pod's address, from the address that the rules of interception let pass.
func (p Probes) clusters(pod netip.Addr) []*clusterv3.Cluster {
	source := "127.0.0.6"
	if pod.Is6() {
		source = "::6"
	}
	var out []*clusterv3.Cluster
	for _, path := range p.paths() {
		probe := p[path]
		c := &clusterv3.Cluster{
			Name: probeCluster(path), ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, ConnectTimeout: probe.timeout(),
			LoadAssignment:     load(probeCluster(path), socket(pod.String(), uint32(probe.port()))),
			UpstreamBindConfig: &corev3.BindConfig{SourceAddress: socket(source, 0).GetSocketAddress()},
		}
		switch {
		case probe.HTTPGet != nil && probe.HTTPGet.Scheme == corev1.URISchemeHTTPS: // kubelet verifies no certificate either
			c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{}})}}
		case probe.TCPSocket != nil:
			c.HealthChecks = []*corev3.HealthCheck{probe.check(&corev3.HealthCheck{HealthChecker: &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}})}
		case probe.GRPC != nil:
			h := &corev3.HealthCheck_GrpcHealthCheck{}
			if probe.GRPC.Service != nil {
				h.ServiceName = *probe.GRPC.Service
			}
			c.TypedExtensionProtocolOptions = http2()
			c.HealthChecks = []*corev3.HealthCheck{probe.check(&corev3.HealthCheck{HealthChecker: &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: h}})}
		}
		out = append(out, c)
	}
	return out
}

// check looks as often as kubelet does, and every second while the application is not there. How many failures count is
// kubelet's to say.
func (p Probe) check(h *corev3.HealthCheck) *corev3.HealthCheck {
	period := &durationpb.Duration{Seconds: int64(cmp.Or(max(p.PeriodSeconds, 0), 10))}
	h.Timeout, h.Interval, h.NoTrafficInterval, h.NoTrafficHealthyInterval = p.timeout(), period, &durationpb.Duration{Seconds: 1}, period
	h.UnhealthyInterval = &durationpb.Duration{Seconds: 1}
	h.HealthyThreshold, h.UnhealthyThreshold = wrapperspb.UInt32(1), wrapperspb.UInt32(1)
	return h
}

// listener answers for all probes.
func (p Probes) listener(o Options) *listenerv3.Listener {
	var filters []*hcmv3.HttpFilter
	var routes []*routev3.Route
	for _, path := range p.paths() {
		probe := p[path]
		if probe.HTTPGet != nil {
			routes = append(routes, probe.route(path, o.Addresses[0]))
			continue
		}
		check := &healthv3.HealthCheck{
			PassThroughMode:              wrapperspb.Bool(false),
			ClusterMinHealthyPercentages: map[string]*typev3.Percent{probeCluster(path): {Value: 100}},
			Headers:                      []*routev3.HeaderMatcher{{Name: ":path", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: exact(path)}}},
		}
		filters = append(filters, &hcmv3.HttpFilter{Name: "envoy.filters.http.health_check", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(check)}})
	}
	return serving(o, "probes", ProbePort, filters, routes)
}

// route passes an HTTP probe on. A redirect is a success to kubelet where it leads to another host; what it leads to on this
// one is not under a path of the proxy's, so that the answer goes back without the place.
func (p Probe) route(path string, pod netip.Addr) *routev3.Route {
	get := p.HTTPGet
	host := net.JoinHostPort(pod.String(), strconv.Itoa(int(p.port())))
	var headers []*corev3.HeaderValueOption
	for _, h := range get.HTTPHeaders {
		if strings.EqualFold(h.Name, "Host") {
			host = h.Value
			continue
		}
		headers = append(headers, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: h.Name, Value: strings.ReplaceAll(h.Value, "%", "%%")}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD})
	}
	to := get.Path
	if !strings.HasPrefix(to, "/") {
		to = "/" + to
	}
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: probeCluster(path)}, PrefixRewrite: to, Timeout: p.timeout(),
			HostRewriteSpecifier: &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host},
		}},
		RequestHeadersToAdd: headers, ResponseHeadersToRemove: []string{"location"},
	}
}
