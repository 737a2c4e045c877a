package lint

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/suggest"
	"github.com/meshc/meshc/schema"
)

// servicePorts: the name of a port says its protocol.
func (l *linter) servicePorts() {
	for _, s := range l.m.Services {
		k, ok := s.Object.Spec.(*corev1.Service)
		if !ok || strings.HasPrefix(s.Namespace, "kube-") || s.Namespace == l.m.RootNamespace {
			continue
		}
		for i, p := range s.Ports {
			if i >= len(k.Spec.Ports) || k.Spec.Ports[i].AppProtocol != nil {
				continue
			}
			path := []any{"spec", "ports", i}
			switch {
			case s.Resolution == mesh.Alias && (p.Protocol == mesh.TCP || p.Protocol.IsAuto() || p.Protocol == mesh.Unsupported):
				l.add(s.Object, diag.Warning, "IST0150", fmt.Sprintf("port %d of an ExternalName service is TCP or sniffed; a proxy has no address to know its connections by", p.Number),
					"Name it by its protocol, as https.", path...)
			case p.Protocol == mesh.Unsupported || p.Protocol.IsAuto() && p.Name == "":
				message := fmt.Sprintf("the name %q of port %d does not say its protocol, so it is sniffed", p.Name, p.Number)
				if s.Unaddressed() {
					message += "; and since the Service has no clusterIP in the source, all but requests in HTTP pass by"
				}
				l.add(s.Object, diag.Info, "IST0118", message,
					"Name it PROTOCOL or PROTOCOL-SUFFIX, as http-web, or set appProtocol.", path...)
			}
		}
	}
}

// targetPorts: a port that a Service names is one of a container behind it.
func (l *linter) targetPorts() {
	for _, s := range l.m.Services {
		if !s.Kubernetes || len(s.Selector) == 0 {
			continue
		}
		var behind []*mesh.Workload
		for _, w := range l.declared(s.Namespace) {
			if endpoint.Subset(s.Selector, w.Labels) {
				behind = append(behind, w)
			}
		}
		if len(behind) == 0 {
			l.nobodyBehind(s)
			continue
		}
		for _, p := range s.Ports {
			if p.TargetName == "" || len(p.Endpoints) > 0 || slices.ContainsFunc(behind, func(w *mesh.Workload) bool { return w.Ports[p.TargetName] != 0 }) {
				continue
			}
			l.add(s.Object, diag.Warning, "MESHC1229", fmt.Sprintf("no container behind the Service (%s) has a port with the name %s: port %d has no endpoint, and calls to it fail", workloadNames(behind), p.TargetName, p.Number),
				"Correct the name, or give the container port this one.", "spec", "ports", p.Index, "targetPort")
		}
	}
}

// nobodyBehind reports a Service whose selector fits none of the workloads that the source has in its namespace.
func (l *linter) nobodyBehind(s *mesh.Service) {
	list := l.declared(s.Namespace)
	if s.Object == nil || len(list) == 0 || s.Namespace == l.m.RootNamespace || strings.HasPrefix(s.Namespace, "kube-") || slices.ContainsFunc(s.Ports, func(p *mesh.Port) bool { return len(p.Endpoints) > 0 }) {
		return
	}
	if s.Selector["istio"] != "" {
		return // a gateway of the installer, which is seldom in the source
	}
	var labels []string
	for _, w := range list {
		for _, k := range sorted(s.Selector) {
			if v := w.Labels[k]; v != "" {
				labels = append(labels, v)
			}
		}
	}
	help := "Correct the selector, or add the workload to the source."
	for _, k := range sorted(s.Selector) {
		if n := suggest.Word(s.Selector[k], labels); n != "" && !slices.Contains(labels, s.Selector[k]) {
			help = fmt.Sprintf("Did you mean %s=%s?", k, n)
		}
	}
	l.add(s.Object, diag.Warning, "MESHC1265", fmt.Sprintf("the Service selects no workload of its namespace (%s): its ports have no endpoint, and calls to them fail", text(s.Selector)), help, "spec", "selector")
}

// sharedWorkloads: several services that lead to one workload agree about its ports.
func (l *linter) sharedWorkloads() {
	services := map[string][]*mesh.Service{}
	for _, s := range l.m.Services {
		if s.Kubernetes && len(s.Selector) > 0 {
			services[s.Namespace] = append(services[s.Namespace], s)
		}
	}
	for _, o := range l.objects {
		pods := o.Pods()
		if pods == nil || o.Kind == "Pod" || l.keptOut(o) {
			continue
		}
		protocols, targets := map[uint32][]use{}, map[string][]use{}
		for _, s := range services[o.Namespace] {
			if !endpoint.Subset(s.Selector, pods.Labels) {
				continue
			}
			for _, p := range s.Ports {
				protocols[p.Number] = append(protocols[p.Number], use{s, string(p.Protocol)})
				target := p.TargetName
				if target == "" {
					target = fmt.Sprint(p.TargetPort)
				}
				targets[target] = append(targets[target], use{s, fmt.Sprint(p.Number)})
			}
		}
		for _, n := range sorted(protocols) {
			if who, what := differ(protocols[n]); len(what) > 1 {
				l.add(o, diag.Warning, "IST0116", fmt.Sprintf("%s lead to this %s by port %d with different protocols, %s: its proxy can treat the port as one of them only", who, o.Kind, n, strings.Join(what, " and ")),
					"Give the port one protocol.", "metadata", "name")
			}
		}
		for _, t := range sorted(targets) {
			if who, what := differ(targets[t]); len(what) > 1 && strings.Contains(who, ",") {
				l.add(o, diag.Warning, "IST0137", fmt.Sprintf("%s lead to port %s of this %s by different ports, %s: its proxy knows the port by one of them only", who, t, o.Kind, strings.Join(what, " and ")),
					"Use one port number.", "metadata", "name")
			}
		}
	}
}

type use struct {
	service *mesh.Service
	what    string
}

// differ lists who uses something, and the different ways they do.
func differ(uses []use) (who string, what []string) {
	var by []*schema.Object
	for _, u := range uses {
		if !slices.Contains(by, u.service.Object) {
			by = append(by, u.service.Object)
		}
		if !slices.Contains(what, u.what) {
			what = append(what, u.what)
		}
	}
	return objectNames(by), what
}

func sorted[K interface{ ~uint32 | ~string }, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// serviceEntries: a connection without a host needs an address to be known by, and one host and port one protocol.
func (l *linter) serviceEntries() {
	type claim struct {
		host string
		port uint32
	}
	claims := map[claim][]*mesh.Service{}
	var order []claim
	for _, s := range l.m.Services {
		if s.Spec == nil {
			continue
		}
		for _, p := range s.Ports {
			c := claim{s.Hostname, p.Number}
			if claims[c] == nil {
				order = append(order, c)
			}
			claims[c] = append(claims[c], s)
		}
	}
	for _, c := range order {
		l.entryProtocols(c.host, c.port, claims[c])
	}
	if mesh.CapturesDNS(l.m.Config.GetDefaultConfig()) {
		return // clients look the host up by their proxy and call the address that was allocated to it
	}
	for _, o := range l.objects {
		e, ok := o.Spec.(*networking.ServiceEntry)
		if !ok || len(e.Addresses) > 0 {
			continue
		}
		for i, p := range e.Ports {
			if t := strings.ToUpper(p.GetProtocol()); t == "" || t == "TCP" {
				l.add(o, diag.Warning, "IST0134", fmt.Sprintf("TCP port %d without addresses: connections to it cannot be told from others on the port", p.GetNumber()),
					"Write addresses, use a TLS or HTTP port, or let proxies capture DNS.", "spec", "ports", i)
			}
		}
	}
}

func (l *linter) entryProtocols(host string, port uint32, list []*mesh.Service) {
	for i, a := range list {
		for _, b := range list[i+1:] {
			pa, pb := a.HasPort(port), b.HasPort(port)
			if a.Object == b.Object || pa.Protocol == pb.Protocol || !overlap(a.Visibility, b.Visibility) {
				continue
			}
			for _, s := range [][2]*mesh.Service{{a, b}, {b, a}} {
				d := s[0].Object.Finding(diag.Warning, "IST0177", fmt.Sprintf("%s and %s give port %d of %s different protocols, %s and %s: one of them counts",
					a.Object.Ref(), b.Object.Ref(), port, host, pa.Protocol, pb.Protocol), "Agree on one protocol.", "spec", "ports", s[0].HasPort(port).Index)
				d.Related = []diag.Related{{Pos: s[1].Object.Pos("spec", "ports", s[1].HasPort(port).Index), Object: s[1].Object.Ref(), Message: "the other one"}}
				l.found.Add(d)
			}
		}
	}
}

// overlap tells whether some namespace sees both.
func overlap(a, b mesh.Visibility) bool {
	some := func(v mesh.Visibility) bool { return v.Public || len(v.Namespaces) > 0 }
	if a.Public || b.Public {
		return some(a) && some(b)
	}
	for ns := range a.Namespaces {
		if b.Namespaces[ns] {
			return true
		}
	}
	return false
}
