package schema

import (
	"net/netip"
	"regexp"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

var portName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)

// serviceEntry checks what relates the fields of a ServiceEntry.
func (r *rules) serviceEntry(s *networking.ServiceEntry) {
	if len(s.Hosts) == 0 {
		r.bad(at{"hosts"}, "Add the names of the service.", "the ServiceEntry has no hosts")
	}
	for i, h := range s.Hosts {
		if h == "*" {
			r.bad(at{"hosts", i}, "Name the host, or a wildcard such as *.example.com.", "a ServiceEntry cannot stand for every host")
			continue
		}
		r.wildcardHost(at{"hosts", i}, h)
	}
	if s.WorkloadSelector != nil {
		r.labels(at{"workloadSelector", "labels"}, s.WorkloadSelector.Labels)
		if len(s.Endpoints) > 0 {
			r.bad(at{"endpoints"}, "Keep one of the two.", "workloadSelector and endpoints exclude each other")
		}
	}
	cidr := r.addresses(s)
	ports := r.servicePorts(s)
	r.exportTo(at{"exportTo"}, s.ExportTo, true)
	r.resolution(s, cidr)
	r.indistinct(s)
	for i, e := range s.Endpoints {
		p := at{"endpoints", i}
		for _, k := range keys(e.Ports) {
			if !ports[k] {
				r.bad(p.to("ports", k), "Use the name of a port of the ServiceEntry.", "the endpoint maps the port %q, which the ServiceEntry does not have", k)
			}
		}
		r.workloadEntry(p, e, true)
	}
}

func (r *rules) addresses(s *networking.ServiceEntry) (cidr bool) {
	for i, a := range s.Addresses {
		p, err := netip.ParsePrefix(a)
		switch {
		case err == nil && p.Bits() < p.Addr().BitLen():
			cidr = true
		case !ipOrCIDR(a):
			r.bad(at{"addresses", i}, "Write an IP address or CIDR block.", "%q is not an address", a)
		}
	}
	return cidr
}

func (r *rules) servicePorts(s *networking.ServiceEntry) map[string]bool {
	names, numbers := map[string]bool{}, map[uint32]bool{}
	for i, p := range s.Ports {
		q := at{"ports", i}
		if names[p.Name] {
			r.bad(q.to("name"), "Name each port differently.", "the port name %q is used twice", p.Name)
		}
		if numbers[p.Number] {
			r.bad(q.to("number"), "List each port once.", "the port %d is listed twice", p.Number)
		}
		names[p.Name], numbers[p.Number] = true, true
		if !portName.MatchString(p.Name) {
			r.bad(q.to("name"), "Use letters, digits and dashes.", "%q is not a name for a port", p.Name)
		}
		r.port(q.to("number"), p.Number)
		if p.Protocol != "" {
			r.protocol(q.to("protocol"), p.Protocol)
		}
	}
	return names
}

func (r *rules) resolution(s *networking.ServiceEntry, cidr bool) {
	switch s.Resolution {
	case networking.ServiceEntry_NONE:
		if len(s.Endpoints) > 0 {
			r.bad(at{"endpoints"}, "Use resolution STATIC or DNS.", "with resolution NONE traffic goes where the client sent it, so endpoints have no meaning")
		}
	case networking.ServiceEntry_STATIC:
		for i, e := range s.Endpoints {
			if _, err := netip.ParseAddr(e.Address); err != nil && !strings.HasPrefix(e.Address, "unix://") && (e.Address != "" || e.Network == "") {
				r.bad(at{"endpoints", i, "address"}, "Use an IP address, or resolution DNS.", "%q is not an IP address, which resolution STATIC needs", e.Address)
			}
		}
		r.socketPorts(s)
	case networking.ServiceEntry_DYNAMIC_DNS:
		r.dynamicDNS(s)
	default:
		r.resolvedByDNS(s, cidr)
	}
}

// socketPorts: a unix socket has no port, so only one of the service's can lead to it.
func (r *rules) socketPorts(s *networking.ServiceEntry) {
	for i, e := range s.Endpoints {
		if strings.HasPrefix(e.Address, "unix://") && len(s.Ports) != 1 {
			r.bad(at{"endpoints", i, "address"}, "Give the ServiceEntry one port.", "a unix socket serves exactly one port, and the ServiceEntry has %d", len(s.Ports))
		}
	}
}

// indistinct refuses several hosts at a port of which nothing tells them apart.
func (r *rules) indistinct(s *networking.ServiceEntry) {
	if s.Resolution == networking.ServiceEntry_NONE || len(s.Hosts) < 2 {
		return
	}
	for i, p := range s.Ports {
		switch strings.ToUpper(p.Protocol) {
		case "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY", "HTTPS", "TLS":
		default:
			r.bad(at{"ports", i}, "Write a ServiceEntry for each host, or use protocol HTTP or TLS.", "the ServiceEntry has %d hosts, and nothing in a connection to port %d tells which is meant", len(s.Hosts), p.Number)
			return
		}
	}
}

// dynamicDNS checks an entry whose hosts are looked up as the requests name them.
func (r *rules) dynamicDNS(s *networking.ServiceEntry) {
	if len(s.Addresses) > 0 {
		r.bad(at{"addresses"}, "Remove addresses.", "with resolution DYNAMIC_DNS the host of each request is looked up, so addresses have no meaning")
	}
	if len(s.Endpoints) > 0 || s.WorkloadSelector != nil {
		r.bad(at{"resolution"}, "Remove endpoints.", "with resolution DYNAMIC_DNS the host of each request is looked up, so endpoints have no meaning")
	}
	for i, h := range s.Hosts {
		if !strings.HasPrefix(h, "*") {
			r.bad(at{"hosts", i}, "Use a wildcard as *.example.com, or resolution DNS.", "resolution DYNAMIC_DNS is for wildcards, and %s names one host", h)
		}
	}
	for i, pt := range s.Ports {
		switch strings.ToUpper(pt.Protocol) {
		case "HTTP", "TLS", "GRPC", "HTTP2", "HTTPS":
		default:
			r.bad(at{"ports", i, "protocol"}, "Use HTTP, HTTP2, GRPC or TLS.", "resolution DYNAMIC_DNS needs a protocol that carries the host")
		}
	}
}

// resolvedByDNS checks an entry whose hosts or endpoints are looked up beforehand.
func (r *rules) resolvedByDNS(s *networking.ServiceEntry, cidr bool) {
	if cidr {
		r.bad(at{"addresses"}, "Use resolution NONE or STATIC.", "address blocks cannot be used with resolution %s", s.Resolution)
	}
	if s.Resolution == networking.ServiceEntry_DNS_ROUND_ROBIN && len(s.Endpoints) > 1 {
		r.bad(at{"endpoints"}, "Use resolution DNS.", "resolution DNS_ROUND_ROBIN takes one endpoint")
	}
	if len(s.Endpoints) == 0 && s.WorkloadSelector == nil {
		for i, h := range s.Hosts {
			if strings.HasPrefix(h, "*") {
				r.bad(at{"hosts", i}, "Name the host, add endpoints, or use resolution NONE.", "the wildcard %s cannot be looked up in DNS", h)
			}
		}
	}
	for i, e := range s.Endpoints {
		if strings.HasPrefix(e.Address, "unix://") {
			r.bad(at{"endpoints", i, "address"}, "Use resolution STATIC.", "a unix socket cannot be looked up in DNS")
		}
	}
}

// workloadEntry checks an endpoint; inline tells that it stands in a ServiceEntry.
func (r *rules) workloadEntry(p at, e *networking.WorkloadEntry, inline bool) {
	if e.Address == "" && e.Network == "" {
		r.bad(p.to("address"), "Add an IP address, host name or unix:///path.", "the endpoint has no address")
		return
	}
	r.labels(p.to("labels"), e.Labels)
	if path, ok := strings.CutPrefix(e.Address, "unix://"); ok {
		r.socketPath(p.to("address"), path, e.Address)
		if len(e.Ports) > 0 {
			r.bad(p.to("ports"), "Remove ports.", "a unix socket has no ports")
		}
	} else if e.Address != "" && !inline {
		if _, err := netip.ParseAddr(e.Address); err != nil {
			r.host(p.to("address"), e.Address)
		}
	}
	r.portNames(p.to("ports"), e.Ports)
}
