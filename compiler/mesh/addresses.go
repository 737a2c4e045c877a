package mesh

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// GiveAddresses gives the Services among objects the addresses that a cluster has given them: known are the Services as the
// cluster prints them, where files hold none; file is what they were read from. What a file says itself stays, and is
// reported where the cluster says otherwise.
func GiveAddresses(objects, known []*schema.Object, file string) diag.List {
	var findings diag.List
	of := map[string]*schema.Object{}
	for _, o := range known {
		if _, ok := o.Spec.(*corev1.Service); ok {
			of[o.Namespace+"/"+o.Name] = o
		}
	}
	if len(of) == 0 {
		findings.Add(diag.Diagnostic{Code: "MESHC1243", Severity: diag.Error, Pos: diag.Pos{File: file, Line: 1, Column: 1},
			Message: "there is no Service in the file of addresses", Help: "write what kubectl get services -A -o yaml prints into it"})
	}
	for _, o := range objects {
		k, ok := o.Spec.(*corev1.Service)
		from := of[o.Namespace+"/"+o.Name]
		if !ok || from == nil || k.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		have, given := clusterIPs(k), clusterIPs(from.Spec.(*corev1.Service))
		switch {
		case len(given) == 0:
		case len(have) == 0:
			k.Spec.ClusterIP, k.Spec.ClusterIPs = given[0], given
		case have[0] != given[0]:
			d := o.Finding(diag.Warning, "MESHC1249", fmt.Sprintf("the clusterIP %s is not the one that the Service has in the cluster, %s: clients call that one", have[0], given[0]),
				"take clusterIP out of the source, or correct it", "spec", "clusterIP")
			d.Related = []diag.Related{{Pos: from.Pos("spec", "clusterIP"), Object: from.Ref(), Message: "as the cluster has it"}}
			findings.Add(d)
		}
	}
	return findings
}

// Unaddressed tells whether clients call a service under an address of its own that nobody knows: the API server gives a
// Kubernetes Service its clusterIP, and files seldom hold it. Then its connections cannot be told from others on the port.
func (s *Service) Unaddressed() bool {
	return s.Kubernetes && len(s.Addresses) == 0 && !s.Headless && s.Resolution != Alias
}

// unaddressed reports ports that need an address of the service to be known by: HTTP has a host, TLS a server name.
func (c *checker) unaddressed() {
	if len(c.m.Workloads) > 0 && !slices.ContainsFunc(c.m.Workloads, func(w *Workload) bool { return w.Injected }) {
		return // nobody has a sidecar, which calls would pass by
	}
	for _, s := range c.m.Services {
		if s.Headless {
			c.unreachable(s)
		}
		if !s.Unaddressed() || s.Namespace == c.m.RootNamespace || strings.HasPrefix(s.Namespace, "kube-") || c.gatewayOnly(s) {
			continue
		}
		ports, first := s.opaque()
		if ports == "" {
			continue
		}
		c.findings.Add(s.Object.Finding(diag.Warning, "MESHC1248",
			fmt.Sprintf("the Service has no clusterIP in the source, and without one proxies cannot tell connections to its TCP %s from others: they let them pass, in plain text and past the routes and rules for %s", ports, s.Hostname),
			"give the addresses of the cluster by --addresses FILE, with what kubectl get services -A -o yaml prints, or write spec.clusterIP", "spec", "ports", first))
	}
}

// gatewayOnly tells whether the workloads behind a service are gateways: they are called from outside.
func (c *checker) gatewayOnly(s *Service) bool {
	behind := c.m.index.templates.Matching(s.Namespace, s.Selector)
	for _, w := range c.m.Workloads {
		if w.Observed && w.Namespace == s.Namespace && len(s.Selector) > 0 && endpoint.Subset(s.Selector, w.Labels) {
			behind = append(behind, w)
		}
	}
	return len(behind) > 0 && !slices.ContainsFunc(behind, func(w *Workload) bool { return !c.m.ServesGateway(w) || w.Injected })
}

// opaque names the ports of a service of which nothing but an address tells whose connections they get, and the first of them.
func (s *Service) opaque() (ports string, first int) {
	var list []string
	for _, p := range s.Ports {
		if p.Protocol.IsTCP() && !p.Protocol.IsTLS() && (!s.Headless || len(p.Endpoints) == 0) {
			if list = append(list, fmt.Sprint(p.Number)); len(list) == 1 {
				first = p.Index
			}
		}
	}
	switch len(list) {
	case 0:
		return "", 0
	case 1:
		return "port " + list[0], first
	}
	return "ports " + strings.Join(list, ", "), first
}

// unreachable reports a headless Service whose clients call endpoints that nobody knows, where these have proxies.
func (c *checker) unreachable(s *Service) {
	ports, first := s.opaque()
	if ports == "" || !s.AllProxied {
		return
	}
	c.findings.Add(s.Object.Finding(diag.Warning, "MESHC1244",
		fmt.Sprintf("clients of a headless Service call its pods, and without their addresses proxies cannot know connections to TCP %s of %s: they let them pass in plain text, which servers with STRICT mutual TLS refuse", ports, s.Hostname),
		"add the Pods or EndpointSlices of the cluster to the source, give the Service a clusterIP, or speak a protocol with hosts", "spec", "ports", first))
}
