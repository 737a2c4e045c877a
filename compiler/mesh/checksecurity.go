package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/diag"
)

// portModes reports modes of ports that no selected workload has. The ports are those of workloads, not of Services.
func (c *checker) portModes(p *PeerAuthentication) {
	a := attachmentOf(p.Object)
	if len(p.Spec.GetPortLevelMtls()) == 0 || !a.Selects || a.Idle(c.m.RootNamespace) {
		return
	}
	serves := c.served(a)
	for _, port := range slices.Sorted(maps.Keys(p.Spec.GetPortLevelMtls())) {
		target := serves[port]
		if target == port || target == 0 {
			continue
		}
		c.findings.Add(p.Object.Finding(diag.Warning, "MESHC1223",
			fmt.Sprintf("no selected workload listens on port %d, which is a port of their Service: its connections arrive at port %d and keep the mode of the workload", port, target),
			fmt.Sprintf("write %d", target), "spec", "portLevelMtls", strconv.Itoa(int(port))))
	}
}

// served tells, of the ports that the workloads of an object listen on and those of their Services, where connections
// arrive: a port of a workload at itself, one that only Services have at the port it leads to.
func (c *checker) served(a attach.Attachment) map[uint32]uint32 {
	out, own := map[uint32]uint32{}, map[uint32]bool{}
	for _, w := range c.m.Workloads {
		if !a.Reaches(c.m.RootNamespace, w.Namespace, w.Labels) {
			continue
		}
		for _, n := range w.Ports {
			own[n] = true
		}
		for _, t := range c.m.targetsOf(w) {
			own[t.TargetPort] = true
			out[t.Port.Number] = t.TargetPort
		}
		for _, g := range c.m.Gateways {
			if !endpoint.Subset(g.Spec.GetSelector(), w.Labels) {
				continue
			}
			for _, s := range g.Spec.GetServers() {
				if n := s.GetPort().GetNumber(); out[n] == 0 {
					own[n] = true
				}
			}
		}
	}
	for n := range own {
		out[n] = n
	}
	return out
}

// policyPorts reports ports of an AuthorizationPolicy that only the Services of its workloads have.
func (c *checker) policyPorts(p *AuthorizationPolicy) {
	var serves map[uint32]uint32
	check := func(list []string, path ...any) {
		for i, v := range list {
			if serves == nil {
				serves = c.served(attachmentOf(p.Object))
			}
			n, err := strconv.ParseUint(v, 10, 16)
			if target := serves[uint32(n)]; err == nil && target != 0 && target != uint32(n) {
				c.findings.Add(p.Object.Finding(diag.Warning, "MESHC1549",
					fmt.Sprintf("no workload of this policy listens on port %d, which is a port of their Service: its connections arrive at port %d", n, target),
					fmt.Sprintf("write %d", target), append(slices.Clone(path), i)...))
			}
		}
	}
	for i, r := range p.Spec.GetRules() {
		for j, t := range r.GetTo() {
			check(t.GetOperation().GetPorts(), "spec", "rules", i, "to", j, "operation", "ports")
			check(t.GetOperation().GetNotPorts(), "spec", "rules", i, "to", j, "operation", "notPorts")
		}
		for j, w := range r.GetWhen() {
			if w.GetKey() == "destination.port" {
				check(w.GetValues(), "spec", "rules", i, "when", j, "values")
				check(w.GetNotValues(), "spec", "rules", i, "when", j, "notValues")
			}
		}
	}
}
