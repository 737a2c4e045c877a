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
	"github.com/meshc/meshc/compiler/change/text"
	"github.com/meshc/meshc/compiler/change/topics"
	"github.com/meshc/meshc/compiler/change/transport"
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
	places    string // the same, whichever of them are preferred
	empty     bool   // nothing is behind it
	leaves    bool   // the mesh
	settings  []setting
	servers   map[string]serverAt // workloads behind it
	origins   []bundle.Origin
	resources []string
	read      []proto.Message
	strangers int // endpoints whose certificate has a name that the client does not expect
}

// serverAt is a workload behind a destination: the port there, and the TLS towards it.
type serverAt struct {
	port uint16
	tls  string
}

// destKey finds what a destination is made of, and its messages.
func (s *side) destKey(p *trace.Proxy, name string) (key destKey, c *trace.Found[*clusterv3.Cluster], load *endpointv3.ClusterLoadAssignment, err error) {
	key.name = name
	if c, err = p.Cluster(name); err != nil || c == nil {
		return key, nil, nil, err
	}
	key.cluster, load = c.Resource, c.Message.GetLoadAssignment()
	if c.Message.GetType() == clusterv3.Cluster_EDS {
		e, err := p.Endpoints(cmp.Or(c.Message.GetEdsClusterConfig().GetServiceName(), name))
		if err != nil {
			return key, nil, nil, err
		}
		if e != nil {
			load, key.endpoints = e.Message, e.Resource
		}
	}
	return key, c, load, nil
}

// destination reads a cluster of a class. A cluster that the class lacks is one with nothing behind it.
func (s *side) destination(p *trace.Proxy, name string) (*destination, error) {
	key, c, load, err := s.destKey(p, name)
	if err != nil {
		return nil, err
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
		d.places = d.end
		return d, nil
	}
	d.read = []proto.Message{c.Message}
	if key.endpoints != nil {
		d.read = append(d.read, load)
	}
	d.origins = append(c.Resource.OriginsAt(names.Part{}), endpointOrigins(key.endpoints)...)
	d.special(c.Message, name)
	if d.direction == "blackhole" {
		return d, nil
	}
	d.settings = fieldSettings(d.name+" ", c.Message, topics.Cluster)
	if e := c.Message.GetEdsClusterConfig(); e != nil && e.GetEdsConfig() != nil {
		d.settings = append(d.settings, fieldSettings(d.name+" discovery ", e.GetEdsConfig(), map[string]string{"": Tuning})...)
	}
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
	if !ok {
		n, ok = names.ParseServerName(name)
	}
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
	d.end, d.places = d.name, d.name
}

// protocols reads the HTTP settings: names that are verified are about encryption.
func (d *destination) protocols(c *clusterv3.Cluster) {
	for _, key := range slices.Sorted(maps.Keys(c.GetTypedExtensionProtocolOptions())) {
		a := c.GetTypedExtensionProtocolOptions()[key]
		h, ok := unpack(a, &httpv3.HttpProtocolOptions{})
		if !ok {
			d.settings = append(d.settings, setting{topic: Tuning, name: d.name + " " + key, value: text.Message(a)})
			continue
		}
		u := h.GetUpstreamHttpProtocolOptions()
		if u.GetAutoSni() || u.GetAutoSanValidation() {
			d.settings = append(d.settings, setting{topic: Encryption, name: d.name + " server name from the host",
				value: strings.TrimSpace(fmt.Sprintf("verified %t %s", u.GetAutoSanValidation(), u.GetOverrideAutoSniHeader()))})
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
	ends, places := map[string]map[string]bool{}, map[string]map[string]bool{}
	sockets, headers := map[string][]string{}, map[string][]string{} // the endpoints of each
	var details []*corev3.TransportSocket
	d.settings = append(d.settings, fieldSettings(d.name+" endpoints ", load, topics.Endpoints)...)
	d.settings = append(d.settings, fieldSettings(d.name+" ", load.GetPolicy(), map[string]string{"": Tuning})...)
	weighted := c.Message.GetCommonLbConfig().GetLocalityWeightedLbConfig() != nil
	all := 0
	for _, g := range load.GetEndpoints() {
		for _, e := range g.GetLbEndpoints() {
			all++
			switch e.GetHealthStatus() {
			case corev3.HealthStatus_UNHEALTHY, corev3.HealthStatus_DRAINING, corev3.HealthStatus_TIMEOUT:
				continue // it gets nothing, as if it were not there
			}
			at, tls, socket := s.endpoint(d, c.Message, g, e, n)
			if !slices.Contains(details, socket) {
				details = append(details, socket)
			}
			if at == "" {
				d.strangers++
				continue
			}
			place := fmt.Sprintf("%s weight %d", at, max(1, e.GetLoadBalancingWeight().GetValue()))
			noteEnd(places, place, g)
			noteEnd(ends, fmt.Sprintf("%s priority %d", place, g.GetPriority()), g)
			header, _ := transport.AfterHeader(socket)
			sockets[tls], headers[header] = append(sockets[tls], at), append(headers[header], at)
			d.locality(at, g, weighted)
		}
	}
	discovered := c.Message.GetType() == clusterv3.Cluster_EDS || c.Message.GetType() == clusterv3.Cluster_STATIC
	where, anyOrder := endsText(ends), endsText(places)
	if len(ends) == 0 {
		where = s.behind(d, c.Resource)
		anyOrder = where
		d.empty = d.strangers > 0 || d.direction == "outbound" && discovered && c.Message.GetClusterType() == nil && !s.late()
		header, _ := transport.AfterHeader(transport.Fallback(c.Message))
		sockets[transport.Text(transport.Fallback(c.Message), false)], headers[header] = nil, nil
		details = append(details, transport.Fallback(c.Message))
	}
	for _, socket := range details {
		d.settings = append(d.settings, tlsDetails(d.name+" ", socket)...)
	}
	d.otherSockets(c.Message, details)
	d.end, d.places = d.name, d.name
	if where != "" {
		d.end, d.places = atPlaces+where+" as "+d.name, atPlaces+anyOrder+" as "+d.name
	}
	d.opens(Encryption, "TLS", sockets)
	d.opens(Routing, proxyHeader, headers)
}

// proxyHeader names the setting of the PROXY protocol header that connections begin with.
const proxyHeader = "PROXY protocol header"

// opens notes how connections begin, where ends has the endpoints of each value.
func (d *destination) opens(topic, what string, ends map[string][]string) {
	for value, at := range ends {
		if value == "" {
			continue
		}
		name := d.name + " " + what
		if len(ends) > 1 {
			slices.Sort(at)
			name += " to " + strings.Join(slices.Compact(at), ", ")
		}
		d.settings = append(d.settings, setting{topic: topic, name: name, value: value})
	}
}

// noteEnd adds the locality of a group of endpoints to those of an end.
func noteEnd(ends map[string]map[string]bool, end string, g *endpointv3.LocalityLbEndpoints) {
	if ends[end] == nil {
		ends[end] = map[string]bool{}
	}
	ends[end][localityText(g)] = true
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
	found := s.selected(sel.Namespace, sel.Workloads, sel.Labels)
	for _, w := range found {
		d.servers[w] = serverAt{port: uint16(sel.TargetPort), tls: lateTLS}
	}
	if m, err := s.tracer.Message(r); err == nil {
		c, _ := m.(*clusterv3.Cluster)
		found = slices.DeleteFunc(found, func(name string) bool {
			w := s.byName[name]
			stranger := w.proxy && !slices.ContainsFunc(transport.OfMesh(c), func(t *corev3.TransportSocket) bool { return transport.Expects(t, s.identity(w)) })
			if stranger && len(transport.OfMesh(c)) > 0 {
				d.strangers++
				delete(d.servers, name)
				return true
			}
			return false
		})
	}
	if sel.TargetPort != 0 {
		for i := range found {
			found[i] += ":" + strconv.Itoa(int(sel.TargetPort))
		}
	}
	return strings.Join(found, "; ")
}

func labelsText(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

// endpoint is where one endpoint is, and the TLS towards it; at is empty if the certificate there has another name than the
// client expects, so that no connection comes about.
func (s *side) endpoint(d *destination, c *clusterv3.Cluster, g *endpointv3.LocalityLbEndpoints, e *endpointv3.LbEndpoint, n names.Cluster) (at, tls string, socket *corev3.TransportSocket) {
	a := e.GetEndpoint().GetAddress()
	meta := e.GetMetadata()
	if meta.GetFilterMetadata()["envoy.transport_socket_match"] == nil && g.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"] != nil {
		meta = g.GetMetadata()
	}
	socket = trace.Socket(c, meta)
	host, port := a.GetSocketAddress().GetAddress(), a.GetSocketAddress().GetPortValue()
	w := s.byName[s.byAddress[host]]
	tls = transport.Text(socket, w != nil)
	switch {
	case a.GetPipe() != nil:
		return "unix:" + a.GetPipe().GetPath(), tls, socket
	case a.GetEnvoyInternalAddress() != nil:
		return "internal:" + a.GetEnvoyInternalAddress().GetServerListenerName(), tls, socket
	}
	if w != nil && !n.Inbound {
		if strings.HasPrefix(tls, transport.Mesh) && !transport.Expects(socket, s.identity(w)) {
			return "", tls, socket
		}
		d.servers[w.key()] = serverAt{uint16(port), tls}
	}
	at = s.nameOf(host) + ":" + strconv.Itoa(int(port))
	for _, x := range fieldSettings("", a.GetSocketAddress(), map[string]string{"": Routing, "address": "-", "port_value": "-"}) {
		at += " " + x.name + " " + x.value
	}
	if a.GetSocketAddress() == nil {
		at = "nowhere"
	}
	if h := e.GetEndpoint().GetHostname(); h != "" {
		at += " named " + h
	}
	if e.GetHealthStatus() == corev3.HealthStatus_DEGRADED {
		at += " degraded"
	}
	if more := e.GetEndpoint().GetAdditionalAddresses(); len(more) > 0 && w == nil {
		for _, x := range more {
			at += " or " + text.Message(x)
		}
	}
	if h := e.GetEndpoint().GetHealthCheckConfig(); h != nil {
		d.settings = append(d.settings, setting{topic: Tuning, name: d.name + " health check of " + at, value: text.Message(h)})
	}
	return at, tls, socket
}

// endsText is what is behind a destination, each with the number of localities it is in: a workload that has lost one of them has
// moved, and one whose pods have gone to another has not.
func endsText(ends map[string]map[string]bool) string {
	var out []string
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		if n := len(ends[end]); n > 1 {
			end += fmt.Sprintf(" in %d localities", n)
		}
		out = append(out, end)
	}
	return strings.Join(out, "; ")
}

func localityText(g *endpointv3.LocalityLbEndpoints) string {
	l := g.GetLocality()
	return strings.TrimRight(l.GetRegion()+"/"+l.GetZone()+"/"+l.GetSubZone(), "/")
}

func (d *destination) locality(at string, g *endpointv3.LocalityLbEndpoints, weighted bool) {
	d.settings = append(d.settings, fieldSettings(d.name+" locality of "+at+" ", g, topics.Locality)...)
	if g.GetLocality() != nil {
		d.settings = append(d.settings, setting{topic: Tuning, name: d.name + " locality of " + at, value: localityText(g)})
	}
	if weighted {
		d.settings = append(d.settings, setting{topic: Routing, name: d.name + " weight of the locality of " + at, value: fmt.Sprint(g.GetLoadBalancingWeight().GetValue())})
	}
}

// otherSockets notes the TLS towards endpoints that will come when the bundle is served, and of which there are none now.
func (d *destination) otherSockets(c *clusterv3.Cluster, used []*corev3.TransportSocket) {
	for _, m := range c.GetTransportSocketMatches() {
		which := " to endpoints with " + cmp.Or(text.Message(m.GetMatch()), "any labels")
		to := d.name + " TLS" + which
		list := []setting{{topic: Encryption, name: to, value: transport.Text(m.GetTransportSocket(), true)}}
		if header, _ := transport.AfterHeader(m.GetTransportSocket()); header != "" {
			list = append(list, setting{topic: Routing, name: d.name + " " + proxyHeader + which, value: header})
		}
		if !slices.Contains(used, m.GetTransportSocket()) {
			list = append(list, tlsDetails(to+" ", m.GetTransportSocket())...)
		}
		for _, s := range list {
			s.latent = true
			d.settings = append(d.settings, s)
		}
	}
}
