package mesh

import (
	"slices"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// linkVirtualServices qualifies every host, gateway and destination of the VirtualServices and merges delegates into
// their roots. A delegate (a VirtualService without hosts) shows up only through a root.
func (m *Mesh) linkVirtualServices(objects []*schema.Object) diag.List {
	var findings diag.List
	delegates := map[string]*VirtualService{}
	for _, o := range objects {
		s, ok := o.Spec.(*networking.VirtualService)
		if !ok {
			continue
		}
		v := m.resolveVirtualService(o, s)
		if len(s.Hosts) == 0 {
			delegates[o.Namespace+"/"+o.Name] = v
			continue
		}
		m.VirtualServices = append(m.VirtualServices, v)
	}
	sortByAge(m.VirtualServices, func(v *VirtualService) *schema.Object { return v.Object })
	used := map[*VirtualService]bool{}
	for _, v := range m.VirtualServices {
		findings.Add(m.mergeDelegates(v, delegates, used)...)
	}
	for _, key := range sortedKeys(delegates) {
		if d := delegates[key]; !used[d] {
			findings.Add(d.Object.Finding(diag.Warning, "MESHC1230", "no VirtualService delegates to this one, which has no hosts: it has no effect", "add hosts, or a delegate that names it", "metadata", "name"))
		}
	}
	return findings
}

func (m *Mesh) resolveVirtualService(o *schema.Object, s *networking.VirtualService) *VirtualService {
	spec := proto.Clone(s).(*networking.VirtualService)
	v := &VirtualService{Object: o, Spec: spec, Visibility: visibility(spec.ExportTo, m.Config.DefaultVirtualServiceExportTo, o.Namespace)}
	for i, h := range spec.Hosts {
		spec.Hosts[i] = m.qualify(h, o.Namespace)
	}
	if len(spec.Gateways) == 0 {
		spec.Gateways = []string{"mesh"}
	}
	qualifyGateways(spec.Gateways, o.Namespace)
	for _, d := range destinations(spec) {
		d.Host = m.qualify(d.Host, o.Namespace)
	}
	for i, h := range spec.Http {
		v.HTTP = append(v.HTTP, RouteOrigin{Object: o, Index: i})
		for _, x := range h.Match {
			qualifyGateways(x.Gateways, o.Namespace)
		}
	}
	for _, t := range spec.Tcp {
		for _, x := range t.Match {
			qualifyGateways(x.Gateways, o.Namespace)
		}
	}
	for _, t := range spec.Tls {
		for _, x := range t.Match {
			qualifyGateways(x.Gateways, o.Namespace)
		}
	}
	return v
}

// destinations are all those that a VirtualService sends requests to, mirrors included.
func destinations(v *networking.VirtualService) (out []*networking.Destination) {
	for _, h := range v.Http {
		for _, r := range h.Route {
			out = append(out, r.Destination)
		}
		out = append(out, h.Mirror)
		for _, x := range h.Mirrors {
			out = append(out, x.Destination)
		}
	}
	for _, t := range v.Tcp {
		for _, r := range t.Route {
			out = append(out, r.Destination)
		}
	}
	for _, t := range v.Tls {
		for _, r := range t.Route {
			out = append(out, r.Destination)
		}
	}
	return slices.DeleteFunc(out, func(d *networking.Destination) bool { return d == nil })
}

func qualifyGateways(names []string, namespace string) {
	for i, g := range names {
		names[i] = qualifyGateway(g, namespace)
	}
}
