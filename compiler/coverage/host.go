package coverage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// hosts reports hosts of VirtualServices for sidecars that look like the name of a Service and are none. Others are left
// alone: a VirtualService may well route a name that no Service has.
func (c *checker) hosts() {
	services, namespaces := map[string]bool{}, map[string]bool{}
	for _, s := range c.mesh.Services {
		services[s.Hostname] = true
		if s.Kubernetes {
			namespaces[s.Namespace] = true
		}
	}
	for _, v := range c.mesh.VirtualServices {
		if v.Object.Kind != "VirtualService" || !slices.Contains(v.Spec.Gateways, meshGateway) {
			continue
		}
		for i, h := range v.Spec.Hosts {
			if services[h] || strings.HasPrefix(h, "*") || c.lacks(v) {
				continue // where a destination is missing, too, that is said
			}
			if why, help := c.noService(h, services, namespaces); why != "" {
				c.report(v.Object.Finding(diag.Warning, codeNothing, why, help, "spec", "hosts", i))
			}
		}
	}
}

// lacks tells whether a destination of a VirtualService is known to be missing.
func (c *checker) lacks(v *mesh.VirtualService) bool {
	return slices.ContainsFunc([]string{"spec.http", "spec.tcp", "spec.tls"}, func(f string) bool { return c.said(v.Object.Ref(), f, codeNothing) })
}

// noService says why a host that looks like that of a Service is none.
func (c *checker) noService(host string, services, namespaces map[string]bool) (why, help string) {
	suffix := ".svc." + c.mesh.Domain
	if full, ok := strings.CutSuffix(host, suffix); ok {
		name, ns, _ := strings.Cut(full, ".")
		if namespaces[ns] {
			return fmt.Sprintf("no Service of namespace %s is called %s: nobody has the host %s", ns, name, host), "Correct the name, or add the Service to the source."
		}
		return "", ""
	}
	short := strings.TrimSuffix(host, ".svc")
	if name, ns, ok := strings.Cut(short, "."); ok && services[short+suffix] {
		return fmt.Sprintf("%s is not taken for the Service %s of namespace %s: these routes hold for requests that write just that name, on port 80, and for no others", host, name, ns),
			"Write " + short + suffix + "."
	}
	return "", ""
}

// imports reports the hosts of Sidecars that take in no service. Those of the own and the root namespace as a whole are
// what everybody writes, and stand for services to come.
func (c *checker) imports() {
	for _, s := range c.mesh.Sidecars {
		for i, e := range s.Spec.GetEgress() {
			port := e.GetPort().GetNumber()
			if port != 0 && mesh.ParseProtocol(e.GetPort().GetProtocol()) != mesh.HTTPProxy && !c.portOf(s, e.GetHosts(), port) {
				c.findings.Add(s.Object.Finding(diag.Warning, codeNoImport, fmt.Sprintf("no service that these hosts take in has port %d: calls to it go on as calls to unknown hosts", port),
					"Correct port or hosts, or leave the port out.", "spec", "egress", i, "port"))
			}
			for j, h := range e.GetHosts() {
				if why := c.importsNothing(s, h); why != "" {
					c.findings.Add(s.Object.Finding(diag.Warning, codeNoImport, "the host "+h+" takes in no service: "+why, "Correct the namespace or the host.", "spec", "egress", i, "hosts", j))
				}
			}
		}
	}
}

// codeNoImport is for a host of a Sidecar that takes in nothing.
const codeNoImport = "MESHC1274"

// importsNothing says why a host of a Sidecar takes in no service; "" where it does, or is exempt.
func (c *checker) importsNothing(s *mesh.Sidecar, host string) string {
	ns, name := hosts.Split(host)
	name = strings.ToLower(name)
	if strings.HasPrefix(ns, "~") || name == "*" && slices.Contains([]string{"*", ".", c.mesh.RootNamespace, s.Object.Namespace}, ns) || c.importsRoutes(s, ns, name) {
		return ""
	}
	private, wider, elsewhere := "", "", ""
	for _, svc := range c.mesh.Services {
		in := c.named(s, ns, svc.Namespace)
		within := hosts.Within(svc.Hostname, name)
		switch {
		case in && within && c.sees(s, svc):
			return ""
		case in && within:
			private = svc.Hostname
		case in && hosts.Within(name, svc.Hostname):
			wider = svc.Hostname
		case within && name != "*":
			elsewhere = svc.Namespace
		}
	}
	switch {
	case private != "":
		return private + " is not exported to namespace " + s.Object.Namespace
	case wider != "":
		return "the source has " + wider + ", which is imported as a whole or not at all"
	case name == "*":
		return "the source has none in namespace " + ns
	case elsewhere != "":
		return "its service is in namespace " + elsewhere
	}
	return "the source has none of this name"
}

// importsRoutes tells whether a host of a Sidecar takes in a VirtualService of sidecars.
func (c *checker) importsRoutes(s *mesh.Sidecar, ns, name string) bool {
	return slices.ContainsFunc(c.mesh.VirtualServices, func(v *mesh.VirtualService) bool {
		return c.named(s, ns, v.Object.Namespace) && slices.Contains(v.Spec.Gateways, meshGateway) &&
			slices.ContainsFunc(v.Spec.Hosts, func(h string) bool { return hosts.Overlap(h, name) })
	})
}

// named tells whether the namespace of a Sidecar's host, as it is written there, is that of an object: "*" is any, and "." that
// of the workloads, which may be any where the Sidecar is that of the root namespace.
func (c *checker) named(s *mesh.Sidecar, written, namespace string) bool {
	switch written {
	case "*", namespace:
		return true
	case ".":
		return s.Object.Namespace == namespace || s.Object.Namespace == c.mesh.RootNamespace
	}
	return false
}

// sees tells whether the workloads of a Sidecar may see a service.
func (c *checker) sees(s *mesh.Sidecar, svc *mesh.Service) bool {
	return s.Object.Namespace == c.mesh.RootNamespace || svc.Visibility.In(s.Object.Namespace)
}

// portOf tells whether a service that the hosts of an egress listener may take in has the port, or nothing is known of any.
func (c *checker) portOf(s *mesh.Sidecar, list []string, port uint32) bool {
	any := false
	for _, h := range list {
		ns, name := hosts.Split(h)
		for _, svc := range c.mesh.Services {
			if c.named(s, ns, svc.Namespace) &&
				hosts.Within(svc.Hostname, strings.ToLower(name)) && c.sees(s, svc) {
				any = true
				if svc.HasPort(port) != nil {
					return true
				}
			}
		}
	}
	return !any
}
