package schema

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// destinationRule checks what relates the fields of a DestinationRule.
func (r *rules) destinationRule(d *networking.DestinationRule) {
	r.wildcardHost(at{"host"}, d.Host)
	if s := d.WorkloadSelector; s != nil {
		r.labels(at{"workloadSelector", "matchLabels"}, s.MatchLabels)
		for i, e := range d.ExportTo {
			if e != "." && e != r.o.Namespace {
				r.bad(at{"exportTo", i}, "Use \".\" or remove exportTo.", "a DestinationRule with a workloadSelector holds in its own namespace only")
				break
			}
		}
	}
	r.exportTo(at{"exportTo"}, d.ExportTo, false)
	r.trafficPolicy(at{"trafficPolicy"}, d.TrafficPolicy)
	seen := map[string]bool{}
	for i, s := range d.Subsets {
		p := at{"subsets", i}
		r.subsetName(p.to("name"), s.Name)
		if seen[s.Name] {
			r.bad(p.to("name"), "Name each subset once.", "the subset %q is defined twice", s.Name)
		}
		seen[s.Name] = true
		r.labels(p.to("labels"), s.Labels)
		r.trafficPolicy(p.to("trafficPolicy"), s.TrafficPolicy)
	}
}

func (r *rules) trafficPolicy(p at, t *networking.TrafficPolicy) {
	if t == nil {
		return
	}
	if t.OutlierDetection == nil && t.ConnectionPool == nil && t.LoadBalancer == nil && t.Tls == nil && t.PortLevelSettings == nil &&
		t.Tunnel == nil && t.ProxyProtocol == nil && t.RetryBudget == nil {
		r.bad(p, "Add a setting, as connectionPool, or remove it.", "the traffic policy sets nothing")
	}
	if t.Tunnel != nil && t.ProxyProtocol != nil {
		r.bad(p.to("proxyProtocol"), "Keep one of the two.", "tunnel and proxyProtocol exclude each other")
	}
	r.connectionPool(p.to("connectionPool"), t.ConnectionPool)
	r.outlier(p.to("outlierDetection"), t.OutlierDetection)
	r.loadBalancer(p.to("loadBalancer"), t.LoadBalancer)
	r.clientTLS(p.to("tls"), t.Tls)
	r.tunnel(p.to("tunnel"), t.Tunnel)
	for i, s := range t.PortLevelSettings {
		q := p.to("portLevelSettings", i)
		if s.Port == nil || s.Port.Number == 0 {
			r.bad(q.to("port"), "Add port with its number.", "a port level setting must say which port it is for")
		}
		if s.OutlierDetection == nil && s.ConnectionPool == nil && s.LoadBalancer == nil && s.Tls == nil {
			r.bad(q, "Add a setting, as connectionPool, or remove it.", "the port level setting sets nothing")
		}
		r.connectionPool(q.to("connectionPool"), s.ConnectionPool)
		r.outlier(q.to("outlierDetection"), s.OutlierDetection)
		r.loadBalancer(q.to("loadBalancer"), s.LoadBalancer)
		r.clientTLS(q.to("tls"), s.Tls)
	}
}

func (r *rules) tunnel(p at, t *networking.TrafficPolicy_TunnelSettings) {
	if t == nil {
		return
	}
	if t.Protocol != "" && t.Protocol != "CONNECT" && t.Protocol != "POST" {
		r.bad(p.to("protocol"), "Use CONNECT or POST.", "%q is not a way to tunnel", t.Protocol)
	}
	if t.TargetHost == "*" {
		r.bad(p.to("targetHost"), "Name the host.", "a tunnel cannot lead to *")
	} else if !ipOrCIDR(t.TargetHost) {
		r.host(p.to("targetHost"), t.TargetHost)
	}
	r.port(p.to("targetPort"), t.TargetPort)
}

func (r *rules) notNegative(p at, n int32) {
	if n < 0 {
		r.bad(p, "Use 0 or more.", "the number %d is negative", n)
	}
}

func (r *rules) connectionPool(p at, c *networking.ConnectionPoolSettings) {
	if c == nil {
		return
	}
	if c.Http == nil && c.Tcp == nil {
		r.bad(p, "Add http or tcp, or remove it.", "the connection pool sets nothing")
	}
	if h := c.Http; h != nil {
		q := p.to("http")
		r.notNegative(q.to("http1MaxPendingRequests"), h.Http1MaxPendingRequests)
		r.notNegative(q.to("http2MaxRequests"), h.Http2MaxRequests)
		r.notNegative(q.to("maxRequestsPerConnection"), h.MaxRequestsPerConnection)
		r.notNegative(q.to("maxConcurrentStreams"), h.MaxConcurrentStreams)
		r.notNegative(q.to("maxRetries"), h.MaxRetries)
		if h.H2UpgradePolicy == networking.ConnectionPoolSettings_HTTPSettings_UPGRADE && h.UseClientProtocol {
			r.bad(q.to("useClientProtocol"), "Keep one of the two.", "h2UpgradePolicy UPGRADE and useClientProtocol contradict each other")
		}
		if k := h.Http2KeepAlive; k != nil {
			q := q.to("http2KeepAlive")
			if k.Interval == nil || k.Timeout == nil {
				r.bad(q, "Add both.", "http2KeepAlive needs interval and timeout")
			}
		}
	}
	if t := c.Tcp; t != nil {
		q := p.to("tcp")
		r.notNegative(q.to("maxConnections"), t.MaxConnections)
		r.durationOrZero(q.to("idleTimeout"), t.IdleTimeout)
	}
}

func (r *rules) outlier(p at, o *networking.OutlierDetection) {
	if o == nil {
		return
	}
	for _, f := range []struct {
		name string
		v    int32
	}{{"maxEjectionPercent", o.MaxEjectionPercent}, {"minHealthPercent", o.MinHealthPercent}} {
		if f.v < 0 || f.v > 100 {
			r.bad(p.to(f.name), "Use 0 to 100.", "the percentage %d is not in the range 0 to 100", f.v)
		}
	}
	if o.ConsecutiveLocalOriginFailures.GetValue() > 0 && !o.SplitExternalLocalOriginErrors {
		r.bad(p.to("consecutiveLocalOriginFailures"), "Set splitExternalLocalOriginErrors to true.", "consecutiveLocalOriginFailures counts only with splitExternalLocalOriginErrors")
	}
}

func (r *rules) loadBalancer(p at, l *networking.LoadBalancerSettings) {
	if l == nil {
		return
	}
	if l.LocalityLbSetting != nil && l.ZoneAwareLbSetting != nil {
		r.bad(p.to("zoneAwareLbSetting"), "Keep one of the two.", "localityLbSetting and zoneAwareLbSetting exclude each other")
	}
	if h := l.GetConsistentHash(); h != nil {
		r.cookie(p.to("consistentHash", "httpCookie"), h.GetHttpCookie())
		if m := h.GetMaglev(); m != nil && m.TableSize == 0 {
			r.bad(p.to("consistentHash", "maglev"), "Add tableSize, a prime number as 65537.", "maglev has no tableSize")
		}
		if h.MinimumRingSize != 0 && h.GetHashAlgorithm() != nil {
			r.bad(p.to("consistentHash", "minimumRingSize"), "Keep ringHash or maglev.", "minimumRingSize excludes ringHash and maglev, which have sizes of their own")
		}
		if h.GetHashKey() == nil {
			r.bad(p.to("consistentHash"), "Add httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName.", "consistentHash does not say what to hash")
		}
	}
	r.locality(p.to("localityLbSetting"), l.LocalityLbSetting)
	r.zoneAware(p.to("zoneAwareLbSetting"), l.ZoneAwareLbSetting)
}

// cookie: Envoy wants each attribute of a cookie once, and by its name.
func (r *rules) cookie(p at, c *networking.LoadBalancerSettings_ConsistentHashLB_HTTPCookie) {
	if c == nil {
		return
	}
	if c.Name == "" {
		r.bad(p, "Name the cookie.", "the cookie has no name")
	}
	seen := map[string]bool{}
	for i, a := range c.Attributes {
		if seen[a.Name] {
			r.bad(p.to("attributes", i, "name"), "Keep one of the two.", "the cookie has the attribute %q twice", a.Name)
		}
		seen[a.Name] = true
	}
}

func (r *rules) clientTLS(p at, t *networking.ClientTLSSettings) {
	if t == nil {
		return
	}
	r.credentialNamespace(p, t)
	r.verification(p, t)
	if t.Mode == networking.ClientTLSSettings_MUTUAL && t.CredentialName == "" {
		if t.ClientCertificate == "" {
			r.bad(p, "Add clientCertificate or credentialName.", "mode MUTUAL needs a client certificate")
		}
		if t.PrivateKey == "" {
			r.bad(p, "Add privateKey or credentialName.", "mode MUTUAL needs a private key")
		}
	}
}

// credentialNamespace refuses a ConfigMap of another namespace.
func (r *rules) credentialNamespace(p at, t *networking.ClientTLSSettings) {
	for _, f := range []struct{ field, name string }{{"credentialName", t.CredentialName}, {"caCertCredentialName", t.CaCertCredentialName}} {
		ns, ok := strings.CutPrefix(f.name, "configmap://")
		if !ok || !strings.Contains(ns, "/") || r.o == nil {
			continue
		}
		if ns, _, _ = strings.Cut(ns, "/"); ns != r.o.Namespace {
			r.bad(p.to(f.field), "Copy the ConfigMap there, or name one of this namespace.", "the ConfigMap is in the namespace %s, and only those of the object's own are read", ns)
		}
	}
}

// verification refuses settings of a server's verification that contradict each other.
func (r *rules) verification(p at, t *networking.ClientTLSSettings) {
	verified := t.Mode == networking.ClientTLSSettings_SIMPLE || t.Mode == networking.ClientTLSSettings_MUTUAL
	if verified && t.InsecureSkipVerify.GetValue() && (t.CaCertificates != "" || t.CaCertCredentialName != "" || len(t.SubjectAltNames) > 0 || (t.CredentialName != "" && t.Mode == networking.ClientTLSSettings_SIMPLE)) {
		r.bad(p.to("insecureSkipVerify"), "Remove it to have the server verified.", "insecureSkipVerify contradicts caCertificates, subjectAltNames and credentialName, which verify the server")
	}
	if verified && t.CaCertCredentialName != "" && (t.CaCertificates != "" || t.CaCrl != "") {
		r.bad(p.to("caCertCredentialName"), "Keep the Secret or the files.", "caCertCredentialName and files of roots exclude each other")
	}
	files := t.ClientCertificate != "" || t.PrivateKey != "" || t.CaCertificates != "" || t.CaCrl != ""
	if verified && t.CredentialName != "" && files {
		r.bad(p.to("credentialName"), "Keep the Secret or the files.", "credentialName and certificate files exclude each other")
	}
}
