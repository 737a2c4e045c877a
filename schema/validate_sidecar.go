package schema

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// sidecar checks what relates the fields of a Sidecar.
func (r *rules) sidecar(s *networking.Sidecar) {
	if s.WorkloadSelector != nil {
		r.labels(at{"workloadSelector", "labels"}, s.WorkloadSelector.Labels)
	}
	if len(s.Ingress) == 0 && len(s.Egress) == 0 && s.OutboundTrafficPolicy == nil && s.InboundConnectionPool == nil {
		r.bad(nil, "Add egress, ingress or outboundTrafficPolicy.", "the Sidecar changes nothing")
	}
	seen := map[string]bool{}
	for i, l := range s.Ingress {
		r.ingress(at{"ingress", i}, l, seen)
	}
	r.connectionPool(at{"inboundConnectionPool"}, s.InboundConnectionPool)
	r.egress(s)
	r.egressProxy(s.OutboundTrafficPolicy)
}

func (r *rules) ingress(p at, l *networking.IstioIngressListener, seen map[string]bool) {
	if l.Port == nil {
		r.bad(p, "Add port.", "the ingress listener has no port")
		return
	}
	r.listenerPort(p, l.Port, l.Bind, seen)
	if strings.HasPrefix(l.Bind, "unix://") {
		r.bad(p.to("bind"), "Use an IP address, or remove bind.", "an ingress listener takes connections at a port, not on a unix socket")
	}
	r.connectionPool(p.to("connectionPool"), l.ConnectionPool)
	r.defaultEndpoint(p.to("defaultEndpoint"), l.DefaultEndpoint)
	r.ingressTLS(p.to("tls"), l)
}

func (r *rules) ingressTLS(p at, l *networking.IstioIngressListener) {
	t := l.Tls
	if t == nil {
		return
	}
	for _, f := range [...]struct {
		name string
		set  bool
	}{{"credentialName", t.CredentialName != ""}, {"credentialNames", len(t.CredentialNames) > 0}, {"subjectAltNames", len(t.SubjectAltNames) > 0}, {"tlsCertificates", len(t.TlsCertificates) > 0}, {"httpsRedirect", t.HttpsRedirect}} {
		if f.set {
			r.bad(p.to(f.name), "Remove it.", "%s cannot be used by a sidecar", f.name)
		}
	}
	if t.Mode == networking.ServerTLSSettings_ISTIO_MUTUAL || t.Mode == networking.ServerTLSSettings_AUTO_PASSTHROUGH {
		r.bad(p.to("mode"), "Use SIMPLE or MUTUAL.", "a sidecar cannot use the mode %s", t.Mode)
	}
	if pr := strings.ToUpper(l.Port.Protocol); pr != "HTTPS" && pr != "TLS" {
		r.bad(p, "Use protocol HTTPS or TLS.", "tls settings need a port of protocol HTTPS or TLS, not %s", l.Port.Protocol)
	}
	r.serverTLS(p, t)
}

// listenerPort checks a port and address, which no other listener of the list may have.
func (r *rules) listenerPort(p at, port *networking.SidecarPort, bind string, seen map[string]bool) {
	unix := strings.HasPrefix(bind, "unix://")
	key := strconv.Itoa(int(port.Number))
	switch {
	case unix:
		if port.Number != 0 {
			r.bad(p.to("port", "number"), "Use 0.", "a listener on a unix socket has no port number")
		}
		key = bind
	case port.Number == 0:
		r.bad(p.to("port", "number"), "Give the port a number, or bind to unix:///path.", "port 0 needs a unix socket to bind to")
	default:
		r.port(p.to("port", "number"), port.Number)
		if _, err := netip.ParseAddr(bind); bind != "" && err != nil {
			r.bad(p.to("bind"), "Use an IP address or unix:///path.", "%q is no address to listen on", bind)
		}
	}
	if port.Name != "" && !portName.MatchString(port.Name) {
		r.bad(p.to("port", "name"), "Use letters, digits and dashes, or remove the name.", "%q is not a name for a port", port.Name)
	}
	if seen[key] {
		r.bad(p.to("port"), "Keep one of the two.", "another listener of this Sidecar already uses %s", key)
	}
	seen[key] = true
	if port.Protocol != "" {
		r.protocol(p.to("port", "protocol"), port.Protocol)
	}
}

func (r *rules) defaultEndpoint(p at, e string) {
	const help = "Write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path."
	if e == "" {
		return
	}
	if path, ok := strings.CutPrefix(e, "unix://"); ok {
		if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") || strings.HasSuffix(path, "/") {
			r.bad(p, help, "%q is not the absolute path of a socket", e)
		}
		return
	}
	host, port, err := net.SplitHostPort(e)
	if err != nil || !slices.Contains([]string{"", "127.0.0.1", "0.0.0.0", "::1", "::"}, host) {
		r.bad(p, help, "%q is no endpoint of the workload itself", e)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		r.bad(p, help, "%q is not a port", port)
	}
}

func (r *rules) egress(s *networking.Sidecar) {
	seen := map[string]bool{}
	for i, l := range s.Egress {
		p := at{"egress", i}
		if l.Port == nil {
			if i != len(s.Egress)-1 {
				r.bad(p, "Move it to the end.", "the listener without a port takes what others leave, so it must be the last")
			}
			if l.Bind != "" {
				r.bad(p.to("bind"), "Add port, or remove bind.", "a listener with bind needs a port")
			}
		} else {
			r.listenerPort(p, l.Port, l.Bind, seen)
			if strings.HasPrefix(l.Bind, "unix://") && l.CaptureMode == networking.CaptureMode_IPTABLES {
				r.bad(p.to("captureMode"), "Use DEFAULT or NONE.", "a listener on a unix socket cannot capture connections with captureMode IPTABLES")
			}
		}
		if len(l.Hosts) == 0 {
			r.bad(p.to("hosts"), "Add */* for all.", "the egress listener has no hosts")
		}
		for j, h := range l.Hosts {
			r.egressHost(p.to("hosts", j), h)
		}
	}
}

func (r *rules) egressHost(p at, h string) {
	ns, name, ok := strings.Cut(h, "/")
	if !ok {
		r.bad(p, "Write NAMESPACE/HOST, ./HOST or */HOST.", "%q does not say which namespace", h)
		return
	}
	if exclude, is := strings.CutPrefix(ns, "~"); is && exclude != "" {
		ns = exclude
	}
	if ns != "*" && ns != "." && ns != "~" && !dnsLabel.MatchString(ns) {
		r.bad(p, "Use a namespace, \".\", \"*\" or \"~\".", "%q is not a namespace", ns)
	}
	r.listenedHost(p, name, false)
}

func (r *rules) egressProxy(o *networking.OutboundTrafficPolicy) {
	e := o.GetEgressProxy()
	if e == nil {
		return
	}
	p := at{"outboundTrafficPolicy", "egressProxy"}
	if o.Mode != networking.OutboundTrafficPolicy_ALLOW_ANY {
		r.bad(p, "Set mode to ALLOW_ANY.", "egressProxy takes traffic to unknown hosts, which mode %s refuses", o.Mode)
	}
	if e.Port == nil {
		r.bad(p, "Add port with its number.", "the egress proxy has no port")
	}
	if strings.HasPrefix(e.Host, "*") {
		r.bad(p.to("host"), "Name the host.", "the egress proxy is one host, and %s are many", e.Host)
	}
	r.destination(p, e)
}
