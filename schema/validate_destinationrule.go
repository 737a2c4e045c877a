package schema

import (
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
		if h.MaxRetries < -1 {
			r.bad(q.to("maxRetries"), "Use 0 or more.", "the number %d is negative", h.MaxRetries)
		}
		r.durationOrZero(q.to("idleTimeout"), h.IdleTimeout)
		if h.H2UpgradePolicy == networking.ConnectionPoolSettings_HTTPSettings_UPGRADE && h.UseClientProtocol {
			r.bad(q.to("useClientProtocol"), "Keep one of the two.", "h2UpgradePolicy UPGRADE and useClientProtocol contradict each other")
		}
		if k := h.Http2KeepAlive; k != nil {
			q := q.to("http2KeepAlive")
			if k.Interval == nil || k.Timeout == nil {
				r.bad(q, "Add both.", "http2KeepAlive needs interval and timeout")
			}
			r.duration(q.to("interval"), k.Interval)
			r.duration(q.to("timeout"), k.Timeout)
		}
	}
	if t := c.Tcp; t != nil {
		q := p.to("tcp")
		r.notNegative(q.to("maxConnections"), t.MaxConnections)
		r.duration(q.to("connectTimeout"), t.ConnectTimeout)
		r.duration(q.to("maxConnectionDuration"), t.MaxConnectionDuration)
		r.durationOrZero(q.to("idleTimeout"), t.IdleTimeout)
	}
}

func (r *rules) outlier(p at, o *networking.OutlierDetection) {
	if o == nil {
		return
	}
	r.duration(p.to("interval"), o.Interval)
	r.duration(p.to("baseEjectionTime"), o.BaseEjectionTime)
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
		if c := h.GetHttpCookie(); c != nil && c.Name == "" {
			r.bad(p.to("consistentHash", "httpCookie"), "Name the cookie.", "the cookie has no name")
		}
		if h.GetHashKey() == nil {
			r.bad(p.to("consistentHash"), "Add httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName.", "consistentHash does not say what to hash")
		}
	}
	r.locality(p.to("localityLbSetting"), l.LocalityLbSetting)
}

func (r *rules) locality(p at, l *networking.LocalityLoadBalancerSetting) {
	if l == nil {
		return
	}
	if len(l.Distribute) > 0 && len(l.Failover) > 0 {
		r.bad(p.to("failover"), "Keep one of the two.", "distribute and failover exclude each other")
	}
	for i, d := range l.Distribute {
		total := uint32(0)
		for _, k := range keys(d.To) {
			if d.To[k] < 1 || d.To[k] > 100 {
				r.bad(p.to("distribute", i, "to", k), "Use 1 to 100.", "the weight %d is not in the range 1 to 100", d.To[k])
			}
			total += d.To[k]
		}
		if total != 100 {
			r.bad(p.to("distribute", i, "to"), "Make them add up to 100.", "the weights of the localities add up to %d", total)
		}
	}
	for i, f := range l.Failover {
		if f.From == f.To {
			r.bad(p.to("failover", i, "to"), "Name another region.", "the region %q fails over to itself", f.From)
		}
	}
}

func (r *rules) clientTLS(p at, t *networking.ClientTLSSettings) {
	if t == nil {
		return
	}
	if t.InsecureSkipVerify.GetValue() && (t.CaCertificates != "" || len(t.SubjectAltNames) > 0 || (t.CredentialName != "" && t.Mode == networking.ClientTLSSettings_SIMPLE)) {
		r.bad(p.to("insecureSkipVerify"), "Remove it to have the server verified.", "insecureSkipVerify contradicts caCertificates, subjectAltNames and credentialName, which verify the server")
	}
	files := t.ClientCertificate != "" || t.PrivateKey != "" || t.CaCertificates != "" || t.CaCrl != ""
	if (t.Mode == networking.ClientTLSSettings_SIMPLE || t.Mode == networking.ClientTLSSettings_MUTUAL) && t.CredentialName != "" && files {
		r.bad(p.to("credentialName"), "Keep the Secret or the files.", "credentialName and certificate files exclude each other")
	}
	if t.Mode == networking.ClientTLSSettings_MUTUAL && t.CredentialName == "" {
		if t.ClientCertificate == "" {
			r.bad(p, "Add clientCertificate or credentialName.", "mode MUTUAL needs a client certificate")
		}
		if t.PrivateKey == "" {
			r.bad(p, "Add privateKey or credentialName.", "mode MUTUAL needs a private key")
		}
	}
}
