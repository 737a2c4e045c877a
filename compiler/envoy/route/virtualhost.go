package route

import (
	"net/netip"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/schema"
)

// Findings of route lowering.
const (
	codeNoEffect      = "MESHC1420"
	codeUnsupported   = "MESHC1421"
	codeNoDestination = "MESHC1422"
	codeClaimInMesh   = "MESHC1423"
	codeRounded       = "MESHC1424"
	codeNoPort        = "MESHC1426"
	codeShadowedHost  = "MESHC1425"
)

// routeConfiguration is a route configuration whose virtual hosts come by VHDS.
func routeConfiguration(in configurationInputs) *xds.Resource {
	return &xds.Resource{Type: xds.RouteConfiguration, Name: in.name, Message: &routev3.RouteConfiguration{
		Name:                           in.name,
		Vhds:                           &routev3.Vhds{ConfigSource: xds.ADS()},
		ValidateClusters:               xds.Bool(false),
		MaxDirectResponseBodySizeBytes: xds.UInt32(maxDirectResponseBody),
		IgnorePortInHostMatching:       in.ignorePort,
	}}
}

// virtualHost packs routes and domains of one host.
func virtualHost(in hostInputs) *xds.Resource {
	vh := &routev3.VirtualHost{Name: in.name, Domains: in.domains.All(), Routes: in.routes.routes, IncludeRequestAttemptCount: in.attempts}
	if in.requireTLS {
		vh.RequireTls = routev3.VirtualHost_ALL
	}
	r := &xds.Resource{Type: xds.VirtualHost, Name: names.VirtualHost(in.config, in.name), Message: vh}
	seen := map[*schema.Object]bool{nil: true}
	for _, o := range in.routes.objects {
		if !seen[o] {
			seen[o] = true
			r.Origins = append(r.Origins, objectOrigin(o))
		}
	}
	for i, o := range in.routes.origins {
		if o.Field != "" {
			o.At = names.RoutePart(i)
			r.Origins = append(r.Origins, o)
		}
	}
	return r
}

// HostNames returns the names under which a host can be called: itself, with the trailing dot of an absolute name, and
// the short forms that the resolver of a pod in the namespace would complete. short are the latter.
func HostNames(host, namespace, domain string) (names, short []string) {
	names = []string{bracket(host)}
	if _, err := netip.ParseAddr(host); err == nil {
		return names, nil
	}
	if name, own, ok := inCluster(host, domain); ok {
		if own == namespace && own != "" {
			short = append(short, name)
		}
		svc := len(name) + 1 + len(own)
		short = append(short, host[:svc]+".svc", host[:svc])
	}
	names = append(names, host+".")
	return append(names, short...), short
}

// inCluster takes the host name of a Kubernetes service apart.
func inCluster(host, domain string) (name, namespace string, ok bool) {
	svc := strings.Index(host, ".svc.")
	if svc <= 0 || host[svc+len(".svc."):] != domain {
		return "", "", false
	}
	dot := strings.IndexByte(host, '.')
	if dot+1 > svc {
		return "", "", false
	}
	return host[:dot], host[dot+1 : svc], true
}

// bracket writes an IPv6 address as an authority does.
func bracket(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "[" + host + "]"
	}
	return host
}

// serviceDomains returns the domains of a service and which of them are short forms. aliases are the names of
// ExternalName services that point to it.
func serviceDomains(svc *mesh.Service, aliases []string, namespace, domain string) (domains, short []string) {
	for _, h := range append([]string{svc.Hostname}, aliases...) {
		n, s := HostNames(h, namespace, domain)
		domains, short = append(domains, n...), append(short, s...)
	}
	if svc.Headless {
		for _, d := range domains[:len(domains):len(domains)] {
			domains = append(domains, "*."+d) // pods of a StatefulSet
		}
	}
	for _, a := range svc.Addresses {
		if a == "0.0.0.0" || a == "::" {
			continue
		}
		if _, err := netip.ParseAddr(a); err == nil {
			domains = append(domains, bracket(a))
		}
	}
	return domains, short
}

// withPort adds the port to each domain, for listeners that many ports share.
func withPort(domains []string, port uint32) []string {
	suffix := ":" + strconv.Itoa(int(port))
	out := make([]string, 0, 2*len(domains))
	for _, d := range domains {
		if port == 80 {
			out = append(out, d)
		}
		out = append(out, d+suffix)
	}
	return out
}

// domainSet hands out domains of one route configuration: Envoy refuses a domain that two virtual hosts have.
type domainSet struct {
	taken map[string]bool
	fqdns map[string]bool // full names of services; nobody's short form may be one
}

// take returns the domains that are still free. short are generated short forms.
func (d *domainSet) take(domains, short []string) []string {
	skip := func(name string) bool {
		if !d.fqdns[name] {
			return false
		}
		for _, s := range short {
			if s == name {
				return true
			}
		}
		return false
	}
	out := make([]string, 0, len(domains))
	for _, name := range domains {
		key := strings.ToLower(name)
		if d.taken[key] || skip(name) {
			continue
		}
		d.taken[key] = true
		out = append(out, name)
	}
	return out
}

// catchAllHost names the virtual host that answers for every host that no other knows, and what its routes depend on:
// outboundTrafficPolicy.
func catchAllHost(in *OutboundInputs) (string, catchAllInputs) {
	out := catchAllInputs{cluster: names.PassthroughCluster, object: in.Mesh.Settings}
	if sc := in.Sidecar; sc != nil && sc.Spec.GetOutboundTrafficPolicy() != nil {
		out.object = sc.Object
	}
	switch p := in.Policy; {
	case p.RegistryOnly:
		out.cluster = ""
		return "block_all", out
	case p.EgressProxy.Host != "":
		to := &networking.Destination{Host: p.EgressProxy.Host, Subset: p.EgressProxy.Subset}
		if p.EgressProxy.Port != 0 {
			to.Port = &networking.PortSelector{Number: p.EgressProxy.Port}
		}
		out.cluster = (&routeScope{view: in.View, allPorts: true}).cluster(to)
	}
	return "allow_any", out
}

// catchAllRoutes forwards every request to the cluster, or refuses it.
func catchAllRoutes(in catchAllInputs) *routeSet {
	r := &routev3.Route{Name: "allow_any", Match: everything()}
	if in.cluster == "" {
		r.Name = "block_all"
		r.Action = &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 502}}
	} else {
		a := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: in.cluster}}
		setTimeout(a, nil)
		r.Action = &routev3.Route_Route{Route: a}
	}
	return &routeSet{routes: []*routev3.Route{r}, objects: []*schema.Object{in.object}}
}
