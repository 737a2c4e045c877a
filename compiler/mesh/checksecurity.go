package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// policySelectors reports policies that no workload of the input falls under. Configuration that is kept apart from the
// workloads it is about says nothing about that.
func (c *checker) policySelectors() {
	if len(c.m.Workloads) == 0 {
		return
	}
	for _, p := range c.m.PeerAuthentications {
		if p.Object.Namespace != c.m.RootNamespace {
			c.selects(p.Object, p.Spec.GetSelector().GetMatchLabels())
		}
	}
	for _, p := range c.m.RequestAuthentications {
		if p.Spec.GetTargetRef() == nil && len(p.Spec.GetTargetRefs()) == 0 {
			c.selects(p.Object, p.Spec.GetSelector().GetMatchLabels())
		}
	}
	for _, p := range c.m.AuthorizationPolicies {
		if p.Spec.GetTargetRef() == nil && len(p.Spec.GetTargetRefs()) == 0 {
			c.selects(p.Object, p.Spec.GetSelector().GetMatchLabels())
		}
	}
}

func (c *checker) selects(o *schema.Object, selector map[string]string) {
	if o.Namespace == c.m.RootNamespace && len(selector) == 0 {
		return
	}
	if slices.ContainsFunc(c.m.Workloads, func(w *Workload) bool { return c.m.attached(o, selector, w.Namespace, w.Labels) }) {
		return
	}
	path, what := []any{"spec", "selector", "matchLabels"}, "no workload has the labels "+labelKey(selector)
	if len(selector) == 0 {
		path, what = nil, "no workload is in namespace "+o.Namespace
	}
	c.findings.Add(o.Finding(diag.Warning, "IST0127", what+": the policy protects nothing", "correct the labels or the namespace, or remove the policy", path...))
}

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
