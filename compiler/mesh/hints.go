package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/internal/suggest"
)

// hostHint says which host was meant by one that nothing has: one that is nearly so, or the service of the short name in
// another namespace. Hosts of the namespace are named as its objects may write them.
func (m *Mesh) hostHint(namespace, host string) string {
	hosts := slices.Collect(maps.Keys(m.index.services))
	found := suggest.Parts(host, ".", hosts)
	for i, h := range found {
		found[i] = strings.TrimSuffix(h, "."+namespace+".svc."+m.Domain)
	}
	if ask := suggest.Ask(found); ask != "" {
		return ask
	}
	name, rest, _ := strings.Cut(host, ".")
	if rest != namespace+".svc."+m.Domain {
		return ""
	}
	var elsewhere []string
	for _, h := range hosts {
		if n, where, _ := strings.Cut(h, "."); n == name && strings.HasSuffix(where, ".svc."+m.Domain) {
			elsewhere = append(elsewhere, h)
		}
	}
	slices.Sort(elsewhere)
	if ask := suggest.Ask(elsewhere); ask != "" {
		return fmt.Sprintf("%s A short name means a service of namespace %s.", ask, namespace)
	}
	return ""
}

// subsetHint says which subset was meant, or which there are.
func (m *Mesh) subsetHint(s *Service, name string) string {
	var names []string
	for _, r := range m.DestinationRules {
		if hosts.Within(s.Hostname, r.Spec.Host) {
			for _, x := range r.Spec.Subsets {
				names = append(names, x.Name)
			}
		}
	}
	return suggest.Hint("subsets", name, names)
}

// gatewayHint says which Gateway was meant: one that is nearly called so, or of the name in another namespace.
func (m *Mesh) gatewayHint(name string) string {
	known := slices.Collect(maps.Keys(m.index.gateways))
	if ask := suggest.Ask(suggest.Parts(name, "/", known)); ask != "" {
		return ask
	}
	_, short, _ := strings.Cut(name, "/")
	var same []string
	for _, g := range known {
		if strings.HasSuffix(g, "/"+short) {
			same = append(same, g)
		}
	}
	slices.Sort(same)
	return suggest.Ask(same)
}

// portHint lists the ports of a service.
func portHint(s *Service) string {
	if len(s.Ports) == 0 {
		return "The Service has no port."
	}
	var ports []string
	for _, p := range s.Ports {
		text := strconv.FormatUint(uint64(p.Number), 10)
		if p.Name != "" {
			text += " (" + p.Name + ")"
		}
		ports = append(ports, text)
	}
	const most = 8
	if n := len(ports) - most; n > 0 {
		ports = append(ports[:most], fmt.Sprintf("%d more", n))
	}
	return "The ports of the Service are " + strings.Join(ports, ", ") + "."
}

// delegateHint says which VirtualService without hosts was meant.
func delegateHint(namespace, name string, delegates map[string]*VirtualService) string {
	return suggest.Ask(suggest.Parts(namespace+"/"+name, "/", slices.Collect(maps.Keys(delegates))))
}
