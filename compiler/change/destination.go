package change

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// destKey is what a destination is made of: a cluster and its endpoints, as one class has them.
type destKey struct {
	name               string
	cluster, endpoints *bundle.Resource
}

// destination is a cluster as requests meet it. Its name is its identity, not the text that the control plane gave it.
type destination struct {
	name      string // for people, and to tell destinations of one route apart
	direction string // outbound, inbound, passthrough, blackhole or other
	end       string // where it leads to
	empty     bool   // nothing is behind it
	leaves    bool   // the mesh
	settings  []setting
	servers   map[string]serverAt // workloads behind it
	origins   []bundle.Origin
	resources []string
}

// atPlaces begins the text of a destination of which it is known where it is: it goes on from a verdict, as "allowed at".
const atPlaces = "at "

// serverAt is a workload behind a destination: the port there, and the TLS towards it.
type serverAt struct {
	port uint16
	tls  string
}

// clusterTopics are the topics of the fields of a cluster; what is handled elsewhere is left out.
var clusterTopics = map[string]string{
	"": Tuning, "name": "-", "alt_stat_name": "-", "metadata": "-", "load_assignment": "-", "eds_cluster_config": "-", "transport_socket": "-",
	"transport_socket_matches": "-", "typed_extension_protocol_options": "-", "type": Routing, "cluster_type": Routing, "original_dst_lb_config": Routing,
	"filters": Routing,
}

// destination reads a cluster of a class. A cluster that the class lacks is one with nothing behind it.
func (s *side) destination(p *trace.Proxy, name string) (*destination, error) {
	c, err := p.Cluster(name)
	if err != nil {
		return nil, err
	}
	key := destKey{name: name}
	var load *endpointv3.ClusterLoadAssignment
	if c != nil {
		key.cluster = c.Resource
		load = c.Message.GetLoadAssignment()
		if c.Message.GetType() == clusterv3.Cluster_EDS {
			e, err := p.Endpoints(cmp.Or(c.Message.GetEdsClusterConfig().GetServiceName(), name))
			if err != nil {
				return nil, err
			}
			if e != nil {
				load, key.endpoints = e.Message, e.Resource
			}
		}
	}
	if d := s.dests[key]; d != nil {
		return d, nil
	}
	d := &destination{servers: map[string]serverAt{}, resources: []string{shortTypeName(bundle.ClusterType) + " " + name, resourceName(key.endpoints)}}
	s.dests[key] = d
	n := d.identify(name)
	if c == nil {
		d.empty = d.direction != "blackhole"
		d.end = d.name + " (no such cluster)"
		return d, nil
	}
	d.origins = append(c.Resource.OriginsAt(names.Part{}), endpointOrigins(key.endpoints)...)
	d.special(c.Message, name)
	if d.direction == "passthrough" || d.direction == "blackhole" {
		return d, nil
	}
	d.settings = fieldSettings(d.name+" ", withoutDefaults(c.Message), clusterTopics)
	d.protocols(c.Message)
	s.endpoints(d, c, load, n)
	return d, nil
}

func endpointOrigins(r *bundle.Resource) []bundle.Origin {
	if r == nil {
		return nil
	}
	return r.OriginsAt(names.Part{})
}

// identify reads what the name says.
func (d *destination) identify(name string) names.Cluster {
	n, ok := names.ParseCluster(name)
	switch {
	case name == names.BlackHoleCluster:
		d.name, d.direction = "nowhere", "blackhole"
	case !ok:
		d.name, d.direction = name, "other"
	case n.Inbound:
		d.name, d.direction = "the application", "inbound"
	default:
		d.name, d.direction = fmt.Sprintf("%s:%d", n.Host, n.Port), "outbound"
		d.leaves = !strings.HasSuffix(n.Host, ".local")
	}
	return n
}

// special tells the clusters that send a connection on to where it was dialed, and those that end it.
func (d *destination) special(c *clusterv3.Cluster, name string) {
	switch {
	case d.direction != "other":
	case c.GetType() == clusterv3.Cluster_ORIGINAL_DST:
		d.name, d.direction, d.leaves = "where it was dialed", "passthrough", name != names.InboundPassthroughCluster
	case c.GetType() == clusterv3.Cluster_STATIC && len(c.GetLoadAssignment().GetEndpoints()) == 0:
		d.name, d.direction = "nowhere", "blackhole"
	}
	d.end = d.name
}

// withoutDefaults drops what is Envoy's default anyway, and what only names something.
func withoutDefaults(c *clusterv3.Cluster) *clusterv3.Cluster {
	if c.GetType() == clusterv3.Cluster_ORIGINAL_DST {
		one := proto.CloneOf(c)
		one.LbPolicy = 0
		return one
	}
	return c
}

// protocols reads the HTTP settings: names that are verified are about encryption.
func (d *destination) protocols(c *clusterv3.Cluster) {
	for _, key := range slices.Sorted(maps.Keys(c.GetTypedExtensionProtocolOptions())) {
		a := c.GetTypedExtensionProtocolOptions()[key]
		h, ok := unpack(a, &httpv3.HttpProtocolOptions{})
		if !ok {
			d.settings = append(d.settings, setting{topic: Tuning, name: d.name + " " + key, value: messageText(a)})
			continue
		}
		u := h.GetUpstreamHttpProtocolOptions()
		if u.GetAutoSni() || u.GetAutoSanValidation() {
			d.settings = append(d.settings, setting{topic: Encryption, name: d.name + " server name from the host", value: fmt.Sprintf("verified %t", u.GetAutoSanValidation())})
		}
		one := proto.CloneOf(h)
		one.UpstreamHttpProtocolOptions = nil
		d.settings = append(d.settings, fieldSettings(d.name+" ", one, map[string]string{"": Tuning})...)
	}
}

func unpack[M proto.Message](a *anypb.Any, m M) (M, bool) {
	if a == nil || !a.MessageIs(m) {
		return m, false
	}
	return m, a.UnmarshalTo(m) == nil
}

// endpoints reads what is behind a cluster. Pods are known by the workload that they are of, so that another address of one
// is no difference.
func (s *side) endpoints(d *destination, c *trace.Found[*clusterv3.Cluster], load *endpointv3.ClusterLoadAssignment, n names.Cluster) {
	ends, sockets := map[string]bool{}, map[string][]string{}
	weighted := c.Message.GetCommonLbConfig().GetLocalityWeightedLbConfig() != nil
	all := 0
	for _, g := range load.GetEndpoints() {
		for _, e := range g.GetLbEndpoints() {
			all++
			switch e.GetHealthStatus() {
			case corev3.HealthStatus_UNHEALTHY, corev3.HealthStatus_DRAINING, corev3.HealthStatus_TIMEOUT:
				continue // it gets nothing, as if it were not there
			}
			at, tls := s.endpoint(d, c.Message, g, e, n)
			ends[fmt.Sprintf("%s weight %d priority %d", at, max(1, e.GetLoadBalancingWeight().GetValue()), g.GetPriority())] = true
			sockets[tls] = append(sockets[tls], at)
			d.locality(at, g, weighted)
		}
	}
	discovered := c.Message.GetType() == clusterv3.Cluster_EDS || c.Message.GetType() == clusterv3.Cluster_STATIC
	where := strings.Join(slices.Sorted(maps.Keys(ends)), "; ")
	if len(ends) == 0 {
		where = s.behind(d, c.Resource)
		d.empty = d.direction == "outbound" && discovered && c.Message.GetClusterType() == nil && !s.late
		sockets[tlsText(fallback(c.Message))] = nil
	}
	d.end = d.name
	if where != "" {
		d.end = atPlaces + where + " as " + d.name
	}
	for tls, at := range sockets {
		if tls == "" {
			continue
		}
		name := d.name + " TLS"
		if len(sockets) > 1 {
			slices.Sort(at)
			name += " to " + strings.Join(slices.Compact(at), ", ")
		}
		d.settings = append(d.settings, setting{topic: Encryption, name: name, value: tls})
	}
}

// behind says which endpoints there will be where the bundle knows none.
func (s *side) behind(d *destination, r *bundle.Resource) string {
	sel := r.Selector
	if sel == nil {
		return ""
	}
	if len(sel.Workloads) == 0 {
		return labelsText(sel.Labels)
	}
	var places []string
	for _, w := range s.selected(sel.Namespace, sel.Workloads, sel.Labels) {
		d.servers[w] = serverAt{port: uint16(sel.TargetPort), tls: lateTLS}
		if sel.TargetPort != 0 {
			w += ":" + strconv.Itoa(int(sel.TargetPort))
		}
		places = append(places, w)
	}
	return strings.Join(places, "; ")
}

func labelsText(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

// endpoint is where one endpoint is, and the TLS towards it.
func (s *side) endpoint(d *destination, c *clusterv3.Cluster, g *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint, n names.Cluster) (at, tls string) {
	a := e.GetEndpoint().GetAddress()
	meta := e.GetMetadata()
	if meta.GetFilterMetadata()["envoy.transport_socket_match"] == nil && g.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"] != nil {
		meta = g.GetMetadata()
	}
	tls = tlsText(trace.Socket(c, meta))
	switch {
	case a.GetPipe() != nil:
		return "unix:" + a.GetPipe().GetPath(), tls
	case a.GetEnvoyInternalAddress() != nil:
		return "internal:" + a.GetEnvoyInternalAddress().GetServerListenerName(), tls
	}
	host, port := a.GetSocketAddress().GetAddress(), a.GetSocketAddress().GetPortValue()
	name := s.nameOf(host)
	if name != host && !n.Inbound {
		d.servers[name] = serverAt{uint16(port), tls}
	}
	at = name + ":" + strconv.Itoa(int(port))
	if e.GetHealthStatus() == corev3.HealthStatus_DEGRADED {
		at += " degraded"
	}
	return at, tls
}

func (d *destination) locality(at string, g *endpointv3.LocalityLbEndpoints, weighted bool) {
	if l := g.GetLocality(); l != nil {
		d.settings = append(d.settings, setting{topic: Tuning, name: d.name + " locality of " + at,
			value: strings.TrimRight(l.GetRegion()+"/"+l.GetZone()+"/"+l.GetSubZone(), "/")})
	}
	if weighted {
		d.settings = append(d.settings, setting{topic: Routing, name: d.name + " weight of the locality of " + at, value: fmt.Sprint(g.GetLoadBalancingWeight().GetValue())})
	}
}

// fallback is the transport socket for endpoints about which nothing is known.
func fallback(c *clusterv3.Cluster) *corev3.TransportSocket {
	for _, m := range c.GetTransportSocketMatches() {
		if len(m.GetMatch().GetFields()) == 0 {
			return m.GetTransportSocket()
		}
	}
	return c.GetTransportSocket()
}
