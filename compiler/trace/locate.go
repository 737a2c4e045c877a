package trace

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/urlpath"
)

// clusterOf finds the cluster of the service that a client in a namespace means by a name: the name itself, or one that
// its resolver completes.
func (v *view) clusterOf(host string, port uint16, namespace string) string {
	host = strings.TrimSuffix(host, ".")
	best, rank := "", 0
	for _, s := range v.services() {
		name := names.Outbound(uint32(port), "", s.Hostname)
		r := meantOf(s, host, namespace)
		if r == 0 || v.resource(bundle.ClusterType, name) == nil {
			continue
		}
		if r > rank || r == rank && (len(name) > len(best) || len(name) == len(best) && name < best) {
			best, rank = name, r
		}
	}
	return best
}

// meant ranks how well the host of a service fits a name that a client in a namespace calls; 0: not at all.
func meant(fqdn, host, namespace string) int {
	switch {
	case fqdn == host:
		return 5
	case strings.HasPrefix(fqdn, host+"."+namespace+".svc."):
		return 4
	case strings.Count(host, ".") == 1 && strings.HasPrefix(fqdn, host+".svc."), strings.HasSuffix(host, ".svc") && strings.HasPrefix(fqdn, host+"."):
		return 3
	case strings.HasPrefix(fqdn, "*.") && strings.HasSuffix(host, fqdn[1:]):
		return 2
	case strings.HasPrefix(fqdn, "*") && len(fqdn) > 1 && strings.HasSuffix(host, fqdn[1:]):
		return 1
	}
	return 0
}

// locate finds out which address the client's resolver gives for the name it calls: that of a service it can see. A name
// nobody in the mesh has is left to DNS, so its address is not known. It returns the end where the name leads nowhere.
func (k *walk) locate(s *state, t target) *Path {
	namespace := s.v.class.Namespace
	name := s.v.clusterOf(t.host, t.port, namespace)
	if name == "" {
		return k.unlocated(s, t)
	}
	res := s.v.resource(bundle.ClusterType, name)
	s.service, s.called = serviceOf(res), name
	if s.conn.dest.Addr().IsValid() {
		return nil
	}
	c, _ := names.ParseCluster(name)
	fqdn := c.Host
	st := Step{Kind: "host", Name: t.host, Text: "is " + fqdn, Origins: about(originsAt(res, names.Part{}), s.service)}
	if ip := k.addressOf(s, fqdn, t.port); ip.IsValid() {
		s.conn.dest = netip.AddrPortFrom(ip, t.port)
		st.Text += ", " + ip.String()
	}
	s.add(st)
	return nil
}

// unlocated looks at a name for which the proxy has no cluster: a name of the cluster's own DNS that no service has leads
// nowhere, and nobody answers at the address of a service on a port that it lacks. All else is left to DNS.
func (k *walk) unlocated(s *state, t target) *Path {
	host := strings.TrimSuffix(t.host, ".")
	if s.conn.dest.Addr().IsValid() || host == "localhost" {
		return nil
	}
	var best *bundle.Service
	rank := 0
	for _, svc := range s.v.services() {
		if r := meantOf(svc, host, s.v.class.Namespace); r > rank {
			best, rank = svc, r
		}
	}
	switch {
	case best == nil && k.clusterName(host):
		return s.end(Failed, 0, "no Service that a proxy may call has the name "+host+": it leads nowhere")
	case best == nil:
		return nil
	case best.ClusterIP && !slices.ContainsFunc(best.Ports, func(p bundle.ServicePort) bool { return p.Number == uint32(t.port) }):
		return s.end(Failed, 0, fmt.Sprintf("Service %s has no port %d: nobody answers there at its address", best.Hostname, t.port))
	}
	for _, a := range best.Addresses { // the proxy may not call it: a Sidecar, or exportTo, keeps it from its view
		if ip, err := netip.ParseAddr(a); err == nil {
			s.conn.dest = netip.AddrPortFrom(ip, t.port)
			break
		}
	}
	return nil
}

// clusterName tells whether a name can only be one of the cluster's own DNS.
func (k *walk) clusterName(host string) bool {
	switch name, ns, dotted := strings.Cut(host, "."); {
	case !dotted, strings.HasSuffix(host, ".svc"), strings.Contains(host, ".svc."):
		return name != ""
	case strings.Contains(ns, "."):
		return false
	default:
		return slices.ContainsFunc(k.w.b.Services, func(s bundle.Service) bool { return s.Namespace == ns }) ||
			slices.ContainsFunc(k.w.b.Workloads, func(w bundle.Workload) bool { return w.Namespace == ns })
	}
}

// meantOf is meant for a service; below a headless one each pod has a name.
func meantOf(s *bundle.Service, host, namespace string) int {
	r := meant(s.Hostname, host, namespace)
	if _, rest, ok := strings.Cut(host, "."); r == 0 && ok && s.Headless {
		r = meant(s.Hostname, rest, namespace)
	}
	return r
}

// addressOf is the address under which a client calls a service: one of the service's that its proxy has a listener for,
// or that is among the domains of its virtual host.
func (k *walk) addressOf(s *state, fqdn string, port uint16) netip.Addr {
	domains := map[string]bool{}
	for _, rc := range []string{names.Routes(uint32(port)), names.HostRoutes(fqdn, uint32(port))} {
		for _, r := range s.v.hostsNamed(rc, fqdn) {
			h, err := parse[*routev3.VirtualHost](k.w, r)
			if err != nil {
				continue
			}
			for _, d := range h.GetDomains() {
				domains[strings.Trim(urlpath.StripPort(d), "[]")] = true
			}
		}
	}
	addresses := s.v.addresses(fqdn)
	if len(addresses) == 0 {
		return s.endpointAddress(fqdn, port)
	}
	for _, a := range addresses {
		ip, err := netip.ParseAddr(a)
		if err == nil && !ip.IsUnspecified() && (s.v.listenerAt(a, port, false) != nil || domains[a]) {
			return ip
		}
	}
	return netip.Addr{}
}

// endpointAddress is the address of an endpoint of a service without addresses of its own, which clients call by its
// endpoints. A ServiceEntry may have several hosts; its chains say which they are for.
func (s *state) endpointAddress(fqdn string, port uint16) netip.Addr {
	own := names.Outbound(uint32(port), "", fqdn)
	for _, l := range s.v.listeners {
		a := l.msg.GetAddress().GetSocketAddress()
		ip, err := netip.ParseAddr(a.GetAddress())
		if err != nil || ip.IsUnspecified() || a.GetPortValue() != uint32(port) || s.service == nil {
			continue
		}
		of := l.res.OriginsOf(names.Part{})
		if slices.ContainsFunc(of, func(o bundle.Origin) bool { return sameObject(o, *s.service) }) &&
			(s.service.Kind == "Service" || len(l.res.OriginsOf(names.ChainPart(own))) > 0) {
			return ip
		}
	}
	return netip.Addr{}
}

// addresses are those of the service of a host, as the proxies of a class see it.
func (v *view) addresses(host string) []string {
	var out []string
	for _, s := range v.services() {
		if s.Hostname == host {
			out = append(out, s.Addresses...)
		}
	}
	return out
}

// services are those that the proxies of a cluster see, for a class of one cluster; else all of the bundle.
func (v *view) services() []*bundle.Service {
	if v.seen != nil {
		return v.seen
	}
	cluster := ""
	if of := v.w.workloadsOf(v.class.ID); len(of) > 0 {
		cluster = of[0].Cluster
	}
	v.seen = []*bundle.Service{}
	for i := range v.w.b.Services {
		if s := &v.w.b.Services[i]; s.Cluster == cluster || cluster == "" {
			v.seen = append(v.seen, s)
		}
	}
	return v.seen
}

// fromGateway starts at a client outside that calls a gateway, named by its Gateway object, its workload or its class.
func (k *walk) fromGateway(s state, t target, name string) (*Path, error) {
	class, err := k.gatewayClass(name)
	if err != nil {
		return nil, err
	}
	v, err := k.w.view(class)
	if err != nil {
		return nil, err
	}
	port, how, err := k.gatewayPort(v, t.port)
	if err != nil {
		return nil, err
	}
	address := k.boundAddress(v, port, name)
	s.v, s.proxy, s.id, s.arrived = v, v.name(), k.w.identityOf(class), true
	for _, x := range k.w.workloadsOf(class) {
		if x.Namespace+"/"+x.Name == name {
			s.proxy = name
		}
	}
	s.address = k.onlyAddress(class)
	if !address.IsValid() {
		address = s.address
	}
	s.conn.source, s.conn.dest = k.req.Source, netip.AddrPortFrom(address, port)
	if how != "" {
		s.add(Step{Kind: "host", Name: fmt.Sprintf("port %d", t.port), Text: how})
	}
	return k.inbound(s)
}

// gatewayClass finds the class of a gateway. Of several that serve a Gateway, one with declared workloads wins.
func (k *walk) gatewayClass(name string) (string, error) {
	if c := k.w.b.Class(name); c != nil && c.Gateway {
		return name, nil
	}
	ns, n, ok := strings.Cut(name, "/")
	if !ok {
		ns, n = "default", name
	}
	for i := range k.w.b.Workloads {
		if x := &k.w.b.Workloads[i]; x.Namespace == ns && x.Name == n && k.w.isGateway(x.Class) {
			return x.Class, nil
		}
	}
	var found []string
	for _, c := range k.w.b.Classes {
		if !c.Gateway {
			continue
		}
		v, err := k.w.view(c.ID)
		if err != nil {
			return "", err
		}
		for _, l := range v.listeners {
			if slices.ContainsFunc(l.res.Origins, func(o bundle.Origin) bool { return o.Kind == "Gateway" && o.Namespace == ns && o.Name == n }) {
				if len(k.w.workloadsOf(c.ID)) > 0 {
					return c.ID, nil
				}
				found = append(found, c.ID)
				break
			}
		}
	}
	if len(found) > 0 {
		return found[0], nil
	}
	return "", fmt.Errorf("no gateway is called %s: it is no Gateway NAMESPACE/NAME, no gateway workload and no class of a gateway%s", name, k.suggest(name))
}

// gatewayPort is the port on the gateway's pod behind a port of its service.
func (k *walk) gatewayPort(v *view, port uint16) (uint16, string, error) {
	for _, r := range k.w.b.Resources {
		sel := r.Selector
		if r.Type != bundle.ClusterType || sel == nil || sel.Namespace != v.class.Namespace || sel.Port != uint32(port) || sel.TargetPort == 0 || len(sel.Workloads) == 0 {
			continue
		}
		for _, x := range k.w.workloadsOf(v.class.ID) {
			if target := uint16(sel.TargetPort); endpoint.Subset(sel.Workloads, x.Labels) && v.listens(target) {
				if target == port {
					return port, "", nil
				}
				return target, fmt.Sprintf("of %s is port %d of the gateway", sel.Hostname, target), nil
			}
		}
	}
	if v.listens(port) {
		return port, "", nil
	}
	var ports []string
	for _, l := range v.listeners {
		ports = append(ports, strconv.Itoa(int(l.msg.GetAddress().GetSocketAddress().GetPortValue())))
	}
	if len(ports) == 0 {
		return 0, "", fmt.Errorf("gateway %s has no listener: no server of its Gateways has a route", v.name())
	}
	return 0, "", fmt.Errorf("gateway %s does not listen for port %d: it has listeners on %s", v.name(), port, strings.Join(ports, ", "))
}

// listens tells whether a gateway has a listener on a port, on whatever address.
func (v *view) listens(port uint16) bool {
	return slices.ContainsFunc(v.listeners, func(l located[*listenerv3.Listener]) bool {
		return l.msg.GetAddress().GetSocketAddress().GetPortValue() == uint32(port)
	})
}

// boundAddress is the address at which a client calls a gateway: the one it says, else that of a listener for the Gateway that
// is named, where none is for all addresses; invalid: any.
func (k *walk) boundAddress(v *view, port uint16, gateway string) netip.Addr {
	if k.req.Address.IsValid() || v.listenerFor(netip.AddrPortFrom(netip.Addr{}, port), true) != nil {
		return k.req.Address
	}
	var found netip.Addr
	for _, l := range v.listeners {
		a := l.msg.GetAddress().GetSocketAddress()
		ip, err := netip.ParseAddr(a.GetAddress())
		if err != nil || a.GetPortValue() != uint32(port) {
			continue
		}
		if !found.IsValid() || slices.ContainsFunc(l.res.Origins, func(o bundle.Origin) bool { return o.Kind == "Gateway" && o.Namespace+"/"+o.Name == gateway }) {
			found = ip
		}
	}
	return found
}
