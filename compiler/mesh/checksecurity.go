package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/meshc/meshc/internal/diag"
)

// portModes reports modes of ports that no selected workload has. The ports are those of workloads, not of Services.
func (c *checker) portModes(p *PeerAuthentication) {
	selector := p.Spec.GetSelector().GetMatchLabels()
	if len(p.Spec.GetPortLevelMtls()) == 0 || len(selector) == 0 || p.Object.Namespace == c.m.RootNamespace {
		return
	}
	targets := map[uint32]uint32{} // of Services, by their own number
	used := map[uint32]bool{}
	found := false
	for _, w := range c.m.Workloads {
		if w.Namespace != p.Object.Namespace || !subset(selector, w.Labels) {
			continue
		}
		found = true
		for _, n := range w.Ports {
			used[n] = true
		}
		for _, t := range c.m.targetsOf(w) {
			used[t.TargetPort] = true
			targets[t.Port.Number] = t.TargetPort
		}
	}
	if !found {
		return
	}
	for _, port := range slices.Sorted(maps.Keys(p.Spec.GetPortLevelMtls())) {
		target, service := targets[port]
		if used[port] || !service {
			continue
		}
		c.findings.Add(p.Object.Finding(diag.Warning, "MESHC1223",
			fmt.Sprintf("no selected workload listens on port %d, which is a port of their Service: its connections arrive at port %d and keep the mode of the workload", port, target),
			fmt.Sprintf("write %d", target), "spec", "portLevelMtls", strconv.Itoa(int(port))))
	}
}
