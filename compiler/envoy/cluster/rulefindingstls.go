package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// lbFindings reports what a loadBalancer block says beside its algorithm and locality policy.
func (c *ruleCheck) lbFindings(l policyLayer) {
	lb := l.lb
	if lb == nil {
		return
	}
	simple, hash := lb.GetSimple(), lb.GetConsistentHash()
	use := lb.GetBackendUtilization()
	slow := hash == nil && use == nil && (simple == networking.LoadBalancerSettings_ROUND_ROBIN || simple == networking.LoadBalancerSettings_LEAST_REQUEST ||
		simple == networking.LoadBalancerSettings_UNSPECIFIED || simple == networking.LoadBalancerSettings_LEAST_CONN)
	old := lb.GetWarmupDurationSecs() != nil
	switch {
	case lb.Warmup != nil && !slow:
		c.noEffect(l, "slow start works with ROUND_ROBIN and LEAST_REQUEST only", "Change the algorithm or remove warmup.", "loadBalancer", "warmup")
	case lb.Warmup != nil && old:
		c.noEffect(l, "warmup takes its place", "Remove it.", "loadBalancer", "warmupDurationSecs")
	}
	if old && !slow {
		c.noEffect(l, "slow start works with ROUND_ROBIN and LEAST_REQUEST only", "Change the algorithm or remove it.", "loadBalancer", "warmupDurationSecs")
	}
	if w := lb.Warmup; w != nil && w.Duration == nil {
		c.finding(l.object, codeRuleIncomplete, "warmup without duration warms nothing up", "Set duration.", append(append([]any{}, l.path...), "loadBalancer", "warmup")...)
	}
	if m := hash.GetMinimumRingSize(); m != 0 && (hash.GetMaglev() != nil || hash.GetRingHash().GetMinimumRingSize() > 0) {
		c.noEffect(l, "ringHash or maglev takes its place", "Remove it.", "loadBalancer", "consistentHash", "minimumRingSize")
	}
	if use != nil {
		c.utilizationFindings(l, use)
		return
	}
	c.localityFindings(l)
}

// shortestUpdate is how often Envoy computes the weights of backendUtilization at most.
const shortestUpdate = 100 * time.Millisecond

// utilizationFindings reports what a backendUtilization block cannot do: load is told in answers of HTTP, and the policy knows
// neither weights of localities nor zones.
func (c *ruleCheck) utilizationFindings(l policyLayer, use *networking.LoadBalancerSettings_BackendUtilizationLB) {
	if p := use.GetWeightUpdatePeriod(); p != nil && p.AsDuration() < shortestUpdate {
		c.noEffect(l, "Envoy computes weights every 100ms at most", "Write 100ms or more.", "loadBalancer", "backendUtilization", "weightUpdatePeriod")
	}
	for _, name := range []string{"localityLbSetting", "zoneAwareLbSetting"} {
		if name == "localityLbSetting" && len(l.lb.GetLocalityLbSetting().GetDistribute()) == 0 || name == "zoneAwareLbSetting" && l.lb.GetZoneAwareLbSetting() == nil {
			continue
		}
		c.noEffect(l, "backendUtilization weighs endpoints by their load alone, wherever they are", "Remove it, or choose another algorithm.", "loadBalancer", name)
	}
	if c.exact() && len(l.ports) > 0 && !slices.ContainsFunc(l.ports, func(p *mesh.Port) bool { return !p.Protocol.IsTCP() }) {
		c.noEffect(l, "no port it applies to speaks HTTP, in whose answers endpoints report their load", "Choose another algorithm.", "loadBalancer", "backendUtilization")
	}
}

func (c *ruleCheck) localityFindings(l policyLayer) {
	lb, loc, zone := l.lb, l.lb.GetLocalityLbSetting(), l.lb.GetZoneAwareLbSetting()
	if lb.GetSimple() == networking.LoadBalancerSettings_PASSTHROUGH && (loc != nil || zone != nil) {
		c.noEffect(l, "PASSTHROUGH sends each connection to its original destination", "Remove it, or choose another algorithm.", "loadBalancer", "localityLbSetting")
		return
	}
	if loc != nil && zone != nil {
		c.noEffect(l, "zoneAwareLbSetting takes its place", "Remove one of the two.", "loadBalancer", "localityLbSetting")
	}
	if zone != nil {
		if !l.outlier && (len(zone.Failover) > 0 || len(zone.FailoverPriority) > 0) {
			c.noEffect(l, "failover needs outlierDetection to find failed endpoints", "Add outlierDetection.", "loadBalancer", "zoneAwareLbSetting")
		}
		return
	}
	if loc != nil {
		c.localitySettingFindings(l, loc)
	}
}

// localitySettingFindings reports the parts of a localityLbSetting that are not in force because of others.
func (c *ruleCheck) localitySettingFindings(l policyLayer, loc *networking.LocalityLoadBalancerSetting) {
	off, distributes := loc.Enabled != nil && !loc.Enabled.Value, len(loc.Distribute) > 0
	failsOver := len(loc.Failover) > 0 || len(loc.FailoverPriority) > 0
	switch {
	case off && (distributes || failsOver):
		c.noEffect(l, "enabled is false", "Remove enabled: false, or the rest.", "loadBalancer", "localityLbSetting")
	case off:
	case distributes && failsOver:
		c.noEffect(l, "distribute takes the place of failover", "Remove one of the two.", "loadBalancer", "localityLbSetting", "failover")
	case !l.outlier && failsOver:
		c.noEffect(l, "failover needs outlierDetection to find failed endpoints", "Add outlierDetection.", "loadBalancer", "localityLbSetting")
	}
}

// tlsFindings reports fields that the mode does not read.
func (c *ruleCheck) tlsFindings(l policyLayer) {
	t := l.tls
	if t == nil {
		return
	}
	unread := func(set bool, field, why string) {
		if set {
			c.noEffect(l, why, "Remove it, or change the mode.", "tls", field)
		}
	}
	skip := t.GetInsecureSkipVerify().GetValue()
	switch t.Mode {
	case networking.ClientTLSSettings_DISABLE:
		why := "mode DISABLE uses no TLS"
		unread(t.Sni != "", "sni", why)
		unread(len(t.SubjectAltNames) > 0, "subjectAltNames", why)
		c.unreadFiles(unread, t, why)
		unread(t.InsecureSkipVerify != nil, "insecureSkipVerify", why)
	case networking.ClientTLSSettings_ISTIO_MUTUAL:
		why := "mode ISTIO_MUTUAL uses the identity of the workload and the roots of the mesh"
		c.unreadFiles(unread, t, why)
		unread(t.InsecureSkipVerify != nil, "insecureSkipVerify", why)
		if s := c.in.Service; len(t.SubjectAltNames)+len(s.ServiceAccounts)+len(s.SubjectAltNames) == 0 && !(s.Kubernetes && len(s.Selector) > 0) {
			c.ds.Add(l.object.Finding(diag.Warning, codeAnyName, "any workload of the mesh may answer for "+s.Hostname+": neither subjectAltNames nor a serviceAccount of its endpoints says who does",
				"Set subjectAltNames to the SPIFFE identities of the servers.", append(append([]any{}, l.path...), "tls")...))
		}
	case networking.ClientTLSSettings_SIMPLE:
		unread(t.ClientCertificate != "", "clientCertificate", "mode SIMPLE shows no client certificate")
		unread(t.PrivateKey != "", "privateKey", "mode SIMPLE shows no client certificate")
		c.verifyFindings(unread, l, skip)
	case networking.ClientTLSSettings_MUTUAL:
		if t.CredentialName != "" {
			unread(t.ClientCertificate != "", "clientCertificate", "credentialName takes its place")
			unread(t.PrivateKey != "", "privateKey", "credentialName takes its place")
		} else if (t.ClientCertificate == "") != (t.PrivateKey == "") || t.ClientCertificate == "" {
			c.finding(l.object, codeRuleIncomplete, "mode MUTUAL needs clientCertificate and privateKey, or credentialName", "Set them.", append(append([]any{}, l.path...), "tls")...)
		}
		c.verifyFindings(unread, l, skip)
	}
}

func (c *ruleCheck) unreadFiles(unread func(bool, string, string), t *networking.ClientTLSSettings, why string) {
	unread(t.ClientCertificate != "", "clientCertificate", why)
	unread(t.PrivateKey != "", "privateKey", why)
	unread(t.CaCertificates != "", "caCertificates", why)
	unread(t.CaCrl != "", "caCrl", why)
	unread(t.CredentialName != "", "credentialName", why)
	unread(t.CaCertCredentialName != "", "caCertCredentialName", why)
}

// verifyFindings are about how SIMPLE and MUTUAL verify the server.
func (c *ruleCheck) verifyFindings(unread func(bool, string, string), l policyLayer, skip bool) {
	t := l.tls
	switch {
	case t.CredentialName != "":
		unread(t.CaCertificates != "", "caCertificates", "credentialName takes its place")
		unread(t.CaCrl != "", "caCrl", "the revocation list of credentialName is in its Secret")
	case t.CaCertCredentialName != "":
		unread(t.CaCrl != "", "caCrl", "the revocation list of caCertCredentialName is in its Secret")
	case skip:
		unread(t.CaCertificates != "", "caCertificates", "insecureSkipVerify turns verification off")
		unread(t.CaCrl != "", "caCrl", "insecureSkipVerify turns verification off")
	}
	if skip {
		unread(len(t.SubjectAltNames) > 0, "subjectAltNames", "insecureSkipVerify turns verification off")
	}
	if !skip {
		c.nameFindings(l)
	}
	if t.CredentialName != "" && !credentialUsable(c.in, t.CredentialName) {
		at := append(append([]any{}, l.path...), "tls", "credentialName")
		c.ds.Add(l.object.Finding(diag.Error, codeCredential,
			"credentialName "+t.CredentialName+" cannot be used by sidecars without a workloadSelector: connections to "+c.in.Service.Hostname+" would be sent without TLS",
			"Add a workloadSelector that selects the clients which may read the Secret (for egress, the gateway, in its namespace), or use files or caCertificates.", at...))
	}
	if n := t.CaCertCredentialName; n != "" && !credentialUsable(c.in, n) {
		at := append(append([]any{}, l.path...), "tls", "caCertCredentialName")
		c.ds.Add(l.object.Finding(diag.Error, codeCredential,
			"caCertCredentialName "+n+" cannot be used by sidecars without a workloadSelector: "+cmp.Or(t.CaCertificates, "the roots of the operating system")+" would verify "+c.in.Service.Hostname+" instead",
			"Add a workloadSelector that selects the clients which may read the Secret (for egress, the gateway, in its namespace), or use configmap:// or caCertificates.", at...))
	}
}

// nameFindings are about servers whose certificate may be for any name: Envoy takes the name from the Host header only
// where sni is not set, and only for HTTP.
func (c *ruleCheck) nameFindings(l policyLayer) {
	svc, t := c.in.Service, l.tls
	if len(t.SubjectAltNames) > 0 || !svc.Kubernetes && len(svc.ServiceAccounts)+len(svc.SubjectAltNames) > 0 {
		return
	}
	at := append(append([]any{}, l.path...), "tls")
	const help = "Set subjectAltNames to the names in the server's certificate."
	if t.Sni != "" {
		c.ds.Add(l.object.Finding(diag.Warning, codeAnyName, "the name in the certificate of "+svc.Hostname+" is not verified: sni is set, and then the Host header does not say it",
			help, append(at, "sni")...))
		return
	}
	for _, p := range l.ports {
		if p.Protocol.IsTCP() {
			c.ds.Add(l.object.Finding(diag.Warning, codeAnyName, fmt.Sprintf("the name in the certificate of %s is not verified on port %d: connections that are not HTTP do not say it", svc.Hostname, p.Number), help, at...))
		}
	}
}

// aliasFindings: an ExternalName service has no cluster. One that leads to a service of the mesh is another name of it;
// one that leads out of the mesh is an unknown host to proxies.
func (e *Env) aliasFindings(svc *mesh.Service) diag.List {
	if e.hosts[svc.ExternalName] || svc.Object == nil {
		return nil
	}
	return diag.List{svc.Object.Finding(diag.Warning, codeExternalAlias,
		"ExternalName "+svc.ExternalName+" is not a service of the mesh, so proxies treat calls to "+svc.Hostname+" as calls to an unknown host",
		"Declare "+svc.ExternalName+" by a ServiceEntry.", "spec", "externalName")}
}
