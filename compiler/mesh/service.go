package mesh

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/schema"
)

// Annotations of a Service that Istio reads.
const (
	annotationExportTo            = "networking.istio.io/exportTo"
	annotationServiceAccounts     = "alpha.istio.io/kubernetes-serviceaccounts" // names
	annotationCanonicalAccounts   = "alpha.istio.io/canonical-serviceaccounts"  // identities
	annotationHealthChecks        = "proxy.istio.io/health-checks-enabled"
	annotationTrafficDistribution = "networking.istio.io/traffic-distribution"
)

// kubernetesProtocol reads the protocol of a Kubernetes service port: appProtocol first, else the port name up to the
// first dash; without either a few ports are known to be TCP and the rest is sniffed.
func kubernetesProtocol(p *corev1.ServicePort) Protocol {
	if p.Protocol == corev1.ProtocolUDP {
		return UDP
	}
	name := strings.ToLower(p.Name)
	if p.AppProtocol != nil {
		name = strings.ToLower(*p.AppProtocol)
		switch name {
		case "kubernetes.io/h2c":
			return HTTP2
		case "kubernetes.io/ws":
			return HTTP
		case "kubernetes.io/wss":
			return HTTPS
		}
	}
	if strings.HasPrefix(name, "grpc-web") {
		return GRPCWeb
	}
	if i := strings.IndexByte(name, '-'); i >= 0 {
		name = name[:i]
	}
	proto := ParseProtocol(name)
	if proto.IsAuto() {
		switch p.Port {
		case 25, 53, 3306, 27017: // server-first protocols, on which sniffing would hang
			return TCP
		}
	}
	return proto
}

func (m *Mesh) kubernetesService(o *schema.Object, k *corev1.Service) *Service {
	s := &Service{
		Object: o, Name: o.Name, Namespace: o.Namespace, Kubernetes: true,
		Hostname: strings.ToLower(o.Name) + "." + o.Namespace + ".svc." + m.Domain,
		Labels:   o.Labels, Annotations: o.Annotations, Selector: k.Spec.Selector,
		Visibility:      visibility(splitList(o.Annotations[annotationExportTo]), m.Config.DefaultServiceExportTo, o.Namespace),
		PublishNotReady: k.Spec.PublishNotReadyAddresses,
		InternalLocal:   k.Spec.InternalTrafficPolicy != nil && *k.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal,
	}
	s.TrafficDistribution = m.trafficDistribution(o, k.Spec.TrafficDistribution)
	for _, name := range splitList(o.Annotations[annotationServiceAccounts]) {
		s.SubjectAltNames = append(s.SubjectAltNames, m.spiffe(o.Namespace, name))
	}
	s.SubjectAltNames = append(s.SubjectAltNames, splitList(o.Annotations[annotationCanonicalAccounts])...)
	switch {
	case k.Spec.Type == corev1.ServiceTypeExternalName:
		s.Resolution, s.ExternalName, s.MeshExternal = Alias, strings.ToLower(strings.TrimSuffix(k.Spec.ExternalName, ".")), true
	case k.Spec.ClusterIP == corev1.ClusterIPNone:
		s.Resolution, s.Headless = Passthrough, true
	default:
		s.Addresses = clusterIPs(k)
	}
	for i := range k.Spec.Ports {
		p := &k.Spec.Ports[i]
		port := &Port{Number: uint32(p.Port), Name: p.Name, Protocol: kubernetesProtocol(p), Index: i}
		if p.TargetPort.IntVal != 0 {
			port.TargetPort = uint32(p.TargetPort.IntVal)
		} else if p.TargetPort.StrVal != "" {
			port.TargetName = p.TargetPort.StrVal
		} else {
			port.TargetPort = port.Number
		}
		s.Ports = append(s.Ports, port)
	}
	return s
}

func clusterIPs(k *corev1.Service) []string {
	ips := k.Spec.ClusterIPs
	if len(ips) == 0 && k.Spec.ClusterIP != "" {
		ips = []string{k.Spec.ClusterIP}
	}
	return ips
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// trafficDistribution resolves where a service wants its requests kept: the Service's field, else the annotation on the
// object, else the one on its namespace.
func (m *Mesh) trafficDistribution(o *schema.Object, field *string) string {
	v := ""
	if field != nil {
		v = *field
	} else if a := o.Annotations[annotationTrafficDistribution]; a != "" {
		v = a
	} else if ns := m.Namespaces[o.Namespace]; ns != nil {
		v = ns.Annotations[annotationTrafficDistribution]
	}
	switch strings.ToLower(v) {
	case "preferclose", "prefersamezone":
		return "PreferSameZone"
	case "prefersamenode":
		return "PreferSameNode"
	}
	return ""
}

func (m *Mesh) serviceEntry(o *schema.Object, e *networking.ServiceEntry) []*Service {
	var out []*Service
	for _, host := range e.Hosts {
		s := &Service{
			Object: o, Name: o.Name, Namespace: o.Namespace, Hostname: strings.ToLower(host), Spec: e,
			Labels: o.Labels, Annotations: o.Annotations,
			Addresses:       e.Addresses,
			MeshExternal:    e.Location == networking.ServiceEntry_MESH_EXTERNAL,
			Visibility:      m.entryVisibility(o, visibility(e.ExportTo, m.Config.DefaultServiceExportTo, o.Namespace)),
			SubjectAltNames: e.SubjectAltNames,
			Selector:        e.GetWorkloadSelector().GetLabels(),
		}
		s.TrafficDistribution = m.trafficDistribution(o, nil)
		switch e.Resolution {
		case networking.ServiceEntry_NONE:
			s.Resolution = Passthrough
		case networking.ServiceEntry_STATIC:
			s.Resolution = Static
		case networking.ServiceEntry_DNS:
			s.Resolution = DNS
		case networking.ServiceEntry_DNS_ROUND_ROBIN:
			s.Resolution = DNSRoundRobin
		case networking.ServiceEntry_DYNAMIC_DNS:
			s.Resolution = DynamicDNS
		}
		for i, p := range e.Ports {
			s.Ports = append(s.Ports, &Port{Number: p.Number, Name: p.Name, Protocol: ParseProtocol(p.Protocol), TargetPort: p.TargetPort, Index: i})
		}
		out = append(out, s)
	}
	return out
}

// linkServices builds all services, oldest first, and ties ExternalName services to the services they lead to.
func (m *Mesh) linkServices(objects []*schema.Object) {
	for _, o := range objects {
		switch k := o.Spec.(type) {
		case *corev1.Service:
			m.Services = append(m.Services, m.kubernetesService(o, k))
		case *networking.ServiceEntry:
			m.Services = append(m.Services, m.serviceEntry(o, k)...)
		}
	}
	sortServices(m.Services)
	for _, s := range m.Services {
		m.index.services[s.Hostname] = append(m.index.services[s.Hostname], s)
	}
	for _, s := range m.Services {
		if target := m.aliasTarget(s, map[string]bool{}); target != nil {
			target.Aliases = append(target.Aliases, s)
		}
	}
}

// aliasTarget follows ExternalName services to the one they end at, nil when s is none or it leads out of the mesh.
func (m *Mesh) aliasTarget(s *Service, seen map[string]bool) *Service {
	if s.Resolution != Alias || seen[s.Hostname] {
		return nil
	}
	seen[s.Hostname] = true
	found := m.index.services[s.ExternalName]
	if len(found) == 0 {
		return nil
	}
	if t := found[0]; t.Resolution != Alias {
		return t
	}
	return m.aliasTarget(found[0], seen)
}

// HasPort returns the port of the number, nil when the service has none.
func (s *Service) HasPort(number uint32) *Port {
	if i := slices.IndexFunc(s.Ports, func(p *Port) bool { return p.Number == number }); i >= 0 {
		return s.Ports[i]
	}
	return nil
}
