package security

import (
	"slices"
	"strconv"

	security "istio.io/api/security/v1beta1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// checkIdentity reports a condition that a caller escapes by coming without mutual TLS: where a port takes plain text,
// such a caller has no identity, so that it is none of those who are denied and none of those left out.
func (r *authzRule) checkIdentity(c principalCondition, all []principalCondition, ports []string) {
	path := c.path
	switch action := r.policy.Spec.GetAction(); {
	case !c.identity || r.tcp || r.in.Gateway:
		return
	case action == security.AuthorizationPolicy_DENY && len(c.values) > 0:
	case action == security.AuthorizationPolicy_ALLOW && len(c.notValues) > 0 && !slices.ContainsFunc(all, named):
		path = c.notPath
	default:
		return
	}
	if r.strict(ports) {
		return
	}
	r.findings.Add(r.policy.Object.Finding(diag.Warning, "MESHC1555",
		c.field+" looks at who calls, and this workload takes plain text, too: who calls without mutual TLS is nobody, and gets past the rule",
		"set mode STRICT in a PeerAuthentication, or allow by principals or namespaces instead", path...))
}

// named tells whether a condition asks for an identity.
func named(c principalCondition) bool { return c.identity && len(c.values) > 0 }

// checkForwarded reports a source told by its address behind proxies, where anybody may be the proxy: a sidecar takes that
// address from the X-Forwarded-For header as its caller writes it.
func (r *authzRule) checkForwarded(cs []principalCondition) {
	if r.tcp || r.in.Gateway || r.policy.Spec.GetAction() == security.AuthorizationPolicy_AUDIT {
		return
	}
	if slices.ContainsFunc(cs, func(c principalCondition) bool {
		return named(c) || (c.field == "ipBlocks" || c.field == "source.ip") && len(c.values) > 0
	}) {
		return // the caller himself is named, too
	}
	for _, c := range cs {
		if path := c.path; c.forwarded && len(c.values)+len(c.notValues) > 0 {
			if len(c.values) == 0 {
				path = c.notPath
			}
			r.findings.Add(r.policy.Object.Finding(diag.Warning, "MESHC1556",
				c.field+" believes the X-Forwarded-For header of whoever calls: a workload that is called directly is told any address",
				"name in the same source, by principals, namespaces or ipBlocks, the gateways whose header counts, or enforce the policy at the gateway", path...))
			return
		}
	}
}

// strict tells whether the workload takes nothing but mutual TLS on the ports of a rule; nil: all.
func (r *authzRule) strict(ports []string) bool {
	if ports != nil {
		return !slices.ContainsFunc(ports, func(p string) bool {
			n, err := strconv.ParseUint(p, 10, 16)
			return err == nil && r.in.ModeFor(uint32(n)) != mesh.Strict
		})
	}
	for _, mode := range r.in.PortMTLS {
		if mode != mesh.Strict {
			return false
		}
	}
	return r.in.MTLS == mesh.Strict
}
