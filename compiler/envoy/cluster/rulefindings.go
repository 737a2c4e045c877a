package cluster

import (
	"fmt"
	"strconv"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Codes of findings about clusters.
const (
	CodePolicyNoEffect  = "MESHC1440"
	codeCredential      = "MESHC1442"
	codeIngressEndpoint = "MESHC1443"
	codeGatewayAddress  = "MESHC1444"
	codeExternalAlias   = "MESHC1445"
	codeNodeLocal       = "MESHC1446"
	codeRuleIncomplete  = "MESHC1447"
	codeAnyName         = "MESHC1450"
)

// ruleCheck reports what a DestinationRule says to no effect, for one service it applies to.
type ruleCheck struct {
	in Inputs
	ds diag.List
}

// policyLayer is one place in a rule that the four blocks of a policy are written at.
type policyLayer struct {
	object *schema.Object
	path   []any
	ports  []*mesh.Port // of the service that it applies to
	pool   *networking.ConnectionPoolSettings
	lb     *networking.LoadBalancerSettings
	od     *networking.OutlierDetection
	tls    *networking.ClientTLSSettings
	// outlier tells whether outlierDetection is in effect at this layer, its own or inherited.
	outlier bool
}

// ruleFindings walks all layers of the rule of a service.
func ruleFindings(in Inputs) diag.List {
	c := &ruleCheck{in: in}
	c.service()
	r := in.Rule
	if r == nil || r.Object == nil {
		return c.ds
	}
	c.policy(r.Object, r.Spec.GetTrafficPolicy(), false, "spec", "trafficPolicy")
	for i, ss := range r.Spec.GetSubsets() {
		o, n := r.Object, i
		if i < len(r.Subsets) && r.Subsets[i].Object != nil {
			o, n = r.Subsets[i].Object, r.Subsets[i].Index
		}
		c.policy(o, ss.GetTrafficPolicy(), r.Spec.GetTrafficPolicy().GetOutlierDetection() != nil, "spec", "subsets", n, "trafficPolicy")
	}
	return c.ds
}

func (c *ruleCheck) service() {
	svc := c.in.Service
	if svc.InternalLocal && svc.Object != nil {
		c.ds.Add(svc.Object.Finding(diag.Warning, codeNodeLocal,
			"internalTrafficPolicy: Local keeps calls on the caller's node, which is not known when compiling; all endpoints of "+svc.Hostname+" are used",
			"Use trafficDistribution: PreferSameNode, or remove internalTrafficPolicy.", "spec", "internalTrafficPolicy"))
	}
}

// policy checks one TrafficPolicy and its port entries.
func (c *ruleCheck) policy(o *schema.Object, p *networking.TrafficPolicy, outlier bool, path ...any) {
	if p == nil {
		return
	}
	has := map[uint32]*mesh.Port{}
	var rest []*mesh.Port
	for _, port := range c.in.Service.Ports {
		has[port.Number] = port
	}
	covered := map[uint32]bool{}
	for i, pp := range p.GetPortLevelSettings() {
		at := append(append([]any{}, path...), "portLevelSettings", i)
		n := pp.GetPort().GetNumber()
		port := has[n]
		if port == nil {
			if c.exact() {
				c.finding(o, CodePolicyNoEffect, "service "+c.in.Service.Hostname+" has no port "+strconv.Itoa(int(n))+", so these port settings apply to nothing",
					"Use a port number of the service, or remove the entry.", append(at, "port")...)
			}
			continue
		}
		if covered[n] {
			c.finding(o, CodePolicyNoEffect, "an earlier entry already has the settings of port "+strconv.Itoa(int(n))+"; this one is not read",
				"Merge the two entries.", append(at, "port")...)
			continue
		}
		covered[n] = true
		c.layer(policyLayer{o, at, []*mesh.Port{port}, pp.ConnectionPool, pp.LoadBalancer, pp.OutlierDetection, pp.Tls, pp.OutlierDetection != nil})
	}
	for _, port := range c.in.Service.Ports {
		if !covered[port.Number] {
			rest = append(rest, port)
		}
	}
	c.layer(policyLayer{o, path, rest, p.ConnectionPool, p.LoadBalancer, p.OutlierDetection, p.Tls, p.OutlierDetection != nil || outlier})
	if p.Tls != nil || p.LoadBalancer != nil || p.ConnectionPool != nil || p.OutlierDetection != nil {
		if len(rest) == 0 && len(c.in.Service.Ports) > 0 && c.exact() {
			c.finding(o, CodePolicyNoEffect, "portLevelSettings cover every port of "+c.in.Service.Hostname+" and replace connectionPool, loadBalancer, outlierDetection and tls of this policy whole",
				"Move what should hold into the port entries; they inherit nothing.", path...)
		}
	}
}

func (c *ruleCheck) finding(o *schema.Object, code, message, help string, path ...any) {
	c.ds.Add(o.Finding(diag.Warning, code, message, help, path...))
}

// noEffect reports fields below a layer.
func (c *ruleCheck) noEffect(l policyLayer, why, help string, field ...any) {
	at := append(append([]any{}, l.path...), field...)
	c.finding(l.object, CodePolicyNoEffect, schema.FieldPath(field...)+" has no effect: "+why, help, at...)
}

func (c *ruleCheck) layer(l policyLayer) {
	c.poolFindings(l)
	c.lbFindings(l)
	c.outlierFindings(l)
	c.tlsFindings(l)
}

func (c *ruleCheck) poolFindings(l policyLayer) {
	http := l.pool.GetHttp()
	if http == nil {
		return
	}
	if http.UseClientProtocol && http.H2UpgradePolicy != networking.ConnectionPoolSettings_HTTPSettings_DEFAULT {
		c.noEffect(l, "useClientProtocol decides the protocol", "Remove one of the two.", "connectionPool", "http", "h2UpgradePolicy")
	}
	c.upgradeFindings(l, http)
	if http.IdleTimeout != nil && l.pool.GetTcp().GetIdleTimeout() != nil && allHTTP(l.ports) {
		c.noEffect(l, "http.idleTimeout takes its place on HTTP ports", "Remove one of the two.", "connectionPool", "tcp", "idleTimeout")
	}
	if k := http.Http2KeepAlive; k != nil && (k.Interval == nil || k.Timeout == nil) {
		at := append(append([]any{}, l.path...), "connectionPool", "http", "http2KeepAlive")
		c.finding(l.object, codeRuleIncomplete, "http2KeepAlive needs both interval and timeout; it is not applied", "Set both.", at...)
	}
	if !c.exact() || c.anyHTTP2(l, http) {
		return
	}
	why := "no port it applies to speaks HTTP/2 by declaration"
	help := "Name the port http2-… or grpc-…, or set h2UpgradePolicy: UPGRADE."
	if http.UseClientProtocol {
		why, help = "useClientProtocol leaves the limits of HTTP/2 at Envoy's defaults", "Remove useClientProtocol or this field."
	}
	if http.MaxConcurrentStreams != 0 {
		c.noEffect(l, why, help, "connectionPool", "http", "maxConcurrentStreams")
	}
	if http.Http2KeepAlive != nil {
		c.noEffect(l, why, help, "connectionPool", "http", "http2KeepAlive")
	}
}

// upgradeFindings reports an UPGRADE that is for ports without a declared protocol alone: on these a sidecar speaks what its
// client speaks, whatever the rule says. On ports that are not HTTP it holds for requests that a route leads there.
func (c *ruleCheck) upgradeFindings(l policyLayer, http *networking.ConnectionPoolSettings_HTTPSettings) {
	if http.UseClientProtocol || http.H2UpgradePolicy != networking.ConnectionPoolSettings_HTTPSettings_UPGRADE || c.in.Gateway || !c.exact() || len(l.ports) == 0 {
		return
	}
	for _, p := range l.ports {
		if !p.Protocol.IsAuto() {
			return
		}
	}
	c.noEffect(l, "on port "+strconv.Itoa(int(l.ports[0].Number))+", whose protocol is not declared, sidecars speak HTTP/1.1 or HTTP/2 as their client does",
		"Name the port http-… or http2-…, or set its appProtocol.", "connectionPool", "http", "h2UpgradePolicy")
}

// exact tells whether the rule is for this service alone. What a rule for many hosts says may have an effect on another.
func (c *ruleCheck) exact() bool { return c.in.Rule.Spec.GetHost() == c.in.Service.Hostname }

func (c *ruleCheck) anyHTTP2(l policyLayer, http *networking.ConnectionPoolSettings_HTTPSettings) bool {
	if http.UseClientProtocol {
		return false
	}
	for _, p := range l.ports {
		if p.Protocol.IsHTTP2() || upgrades(p.Protocol, http.H2UpgradePolicy, c.in.Env.Mesh.Config.GetH2UpgradePolicy()) {
			return true
		}
	}
	return false
}

func allHTTP(ports []*mesh.Port) bool {
	for _, p := range ports {
		if !p.Protocol.IsHTTP() {
			return false
		}
	}
	return len(ports) > 0
}

func (c *ruleCheck) outlierFindings(l policyLayer) {
	o := l.od
	if o == nil {
		return
	}
	if o.ConsecutiveLocalOriginFailures != nil && !o.SplitExternalLocalOriginErrors {
		c.noEffect(l, "local failures are only counted apart with splitExternalLocalOriginErrors", "Set splitExternalLocalOriginErrors: true.",
			"outlierDetection", "consecutiveLocalOriginFailures")
	}
	if o.MaxEjectionPercent < 0 {
		c.noEffect(l, "it is negative", "Write 0 to 100.", "outlierDetection", "maxEjectionPercent")
	}
	c.ejectionFinding(l)
}

// envoyMaxEjection is Envoy's maxEjectionPercent where the rule has none.
const envoyMaxEjection = 10

// ejectionFinding reports a share of endpoints that may be ejected which is less than one of them: Envoy then ejects none.
func (c *ruleCheck) ejectionFinding(l policyLayer) {
	most := l.od.MaxEjectionPercent
	if most <= 0 {
		most = envoyMaxEjection
	}
	n := 0
	for _, p := range l.ports {
		n = max(n, len(p.Endpoints))
	}
	if n < 2 || n*int(most) >= 100 || c.in.Service.Resolution != mesh.Static || !c.exact() {
		return // one endpoint has no other to take its place, and how many a name stands for is not known here
	}
	c.finding(l.object, CodePolicyNoEffect,
		fmt.Sprintf("outlierDetection ejects no endpoint of %s: it has %d, and %d %% of them, the most that may be ejected, is less than one", c.in.Service.Hostname, n, most),
		fmt.Sprintf("Set maxEjectionPercent to %d or more.", (100+n-1)/n), append(append([]any{}, l.path...), "outlierDetection")...)
}
