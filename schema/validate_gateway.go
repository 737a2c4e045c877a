package schema

import (
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
)

// gateway checks what relates the fields of a Gateway.
func (r *rules) gateway(g *networking.Gateway) {
	if !label.MatchString(r.o.Name) {
		r.bad(nil, "Use letters, digits and dashes, at most 63.", "%q is not a name for a Gateway, as dots would part it from its namespace", r.o.Name)
	}
	if len(g.Servers) == 0 {
		r.bad(at{"servers"}, "Add a server with port and hosts.", "the Gateway has no server")
	}
	names := map[string]bool{}
	for i, s := range g.Servers {
		p := at{"servers", i}
		r.server(p, s)
		if n := s.GetPort().GetName(); n != "" {
			if names[n] {
				r.bad(p.to("port", "name"), "Name each port differently.", "the port name %q is used twice", n)
			}
			names[n] = true
		}
	}
}

// plainText and encrypted are the protocols a server of a Gateway takes.
func plainText() []string {
	return []string{"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "MONGO", "REDIS", "MYSQL", "TCP"}
}
func encrypted() []string { return []string{"HTTPS", "TLS"} }

func (r *rules) protocol(p at, s string) {
	known := append(plainText(), append(encrypted(), "UDP", "TCP-TLS", "HTTP_PROXY", "HBONE")...)
	if !slices.Contains(known, strings.ToUpper(s)) {
		r.bad(p, "Use "+strings.Join(append(plainText(), encrypted()...), ", ")+".", "%q is not a protocol", s)
	}
}

func (r *rules) server(p at, s *networking.Server) {
	if len(s.Hosts) == 0 {
		r.bad(p.to("hosts"), "Add \"*\" or the names to serve.", "the server has no hosts")
	}
	for i, h := range s.Hosts {
		r.serverHost(p.to("hosts", i), h)
	}
	if s.Port == nil {
		r.bad(p, "Add port.", "the server has no port")
		return
	}
	r.serverAddress(p, s)
	r.serverProtocol(p, s)
}

// serverAddress checks where a server listens.
func (r *rules) serverAddress(p at, s *networking.Server) {
	unix := strings.HasPrefix(s.Bind, "/") || strings.HasPrefix(s.Bind, "@") || strings.HasPrefix(s.Bind, "unix:")
	if unix {
		if s.Port.Number != 0 {
			r.bad(p.to("port", "number"), "Use 0.", "a server on a unix socket has no port number")
		}
	} else {
		r.port(p.to("port", "number"), s.Port.Number)
		if _, err := netip.ParseAddr(s.Bind); s.Bind != "" && err != nil {
			r.bad(p.to("bind"), "Use an IP address or a path.", "%q is no address to listen on", s.Bind)
		}
	}
	if s.Port.Name == "" {
		r.bad(p.to("port", "name"), "Name the port.", "the port has no name")
	}
}

// serverProtocol checks the protocol of a server, and that its TLS settings are for that.
func (r *rules) serverProtocol(p at, s *networking.Server) {
	protocol := strings.ToUpper(s.Port.Protocol)
	if !slices.Contains(append(plainText(), encrypted()...), protocol) {
		r.bad(p.to("port", "protocol"), "Use "+strings.Join(append(plainText(), encrypted()...), ", ")+".", "%q is not a protocol of a Gateway", s.Port.Protocol)
	}
	r.serverTLS(p.to("tls"), s.Tls)
	switch {
	case slices.Contains(encrypted(), protocol) && s.Tls == nil:
		r.bad(p, "Add tls.", "a server of protocol %s needs tls settings", protocol)
	case protocol == "HTTP" || protocol == "HTTP2" || protocol == "GRPC" || protocol == "GRPC-WEB":
		t := s.Tls
		if t != nil && (t.Mode != networking.ServerTLSSettings_PASSTHROUGH && t.Mode != networking.ServerTLSSettings_AUTO_PASSTHROUGH ||
			t.CaCertificates != "" || t.PrivateKey != "" || t.ServerCertificate != "") {
			r.bad(p.to("tls"), "Use protocol HTTPS, or remove tls.", "a server of protocol %s speaks plain text and takes no certificates", protocol)
		}
	case s.Tls != nil && !slices.Contains(encrypted(), protocol):
		r.bad(p.to("tls"), "Use protocol TLS, or remove tls.", "a server of protocol %s speaks plain text, so tls cannot be set", protocol)
	}
}

func (r *rules) serverHost(p at, h string) {
	name := h
	if ns, rest, ok := strings.Cut(h, "/"); ok {
		name = rest
		if ns != "*" && ns != "." && (ns != "~" || r.o.Annotations["internal.istio.io/gateway-semantics"] != "gateway") && !dnsLabel.MatchString(ns) {
			r.bad(p, "Write NAMESPACE/HOST, ./HOST or */HOST.", "%q is not a namespace", ns)
		}
	}
	r.listenedHost(p, name, true)
}

func (r *rules) serverTLS(p at, t *networking.ServerTLSSettings) {
	if t == nil {
		return
	}
	if t.CredentialName != "" && len(t.CredentialNames) > 0 {
		r.bad(p.to("credentialNames"), "Use credentialNames alone.", "credentialName and credentialNames exclude each other")
	}
	r.certificateDigests(p, t)
	switch t.Mode {
	case networking.ServerTLSSettings_ISTIO_MUTUAL:
		r.ownCertificate(p, t)
	case networking.ServerTLSSettings_PASSTHROUGH, networking.ServerTLSSettings_AUTO_PASSTHROUGH:
		if t.ServerCertificate != "" || t.PrivateKey != "" || t.CaCertificates != "" || t.CaCrl != "" || t.CredentialName != "" || len(t.CredentialNames)+len(t.TlsCertificates) > 0 {
			r.out.Add(r.o.Finding(diag.Warning, "IST0133", "mode "+t.Mode.String()+" does not end TLS here, so certificates have no effect", "Remove them, or use mode SIMPLE.", append([]any{"spec"}, p...)...))
		}
	default:
		r.serverCertificates(p, t)
	}
}

// certificateDigests checks the form of the digests that clients' certificates are held to.
func (r *rules) certificateDigests(p at, t *networking.ServerTLSSettings) {
	for i, h := range t.VerifyCertificateHash {
		digits := strings.ReplaceAll(h, ":", "")
		if _, err := hex.DecodeString(digits); len(digits) != 64 {
			r.bad(p.to("verifyCertificateHash", i), "Write the SHA-256 in 64 hex digits.", "the certificate hash has %d digits", len(digits))
		} else if err != nil {
			r.bad(p.to("verifyCertificateHash", i), "Write the SHA-256 in 64 hex digits.", "the certificate hash has other characters than hex digits")
		}
	}
	for i, h := range t.VerifyCertificateSpki {
		if len(h) != 44 {
			r.bad(p.to("verifyCertificateSpki", i), "Write the SHA-256 in base64.", "the hash of a public key has %d characters, but 44 are due", len(h))
		} else if _, err := base64.StdEncoding.DecodeString(h); err != nil {
			r.bad(p.to("verifyCertificateSpki", i), "Write the SHA-256 in base64.", "the hash of a public key is no base64")
		}
	}
}

// ownCertificate checks a server that shows the workload's own certificate.
func (r *rules) ownCertificate(p at, t *networking.ServerTLSSettings) {
	for _, f := range [...]struct{ name, v string }{{"serverCertificate", t.ServerCertificate}, {"privateKey", t.PrivateKey}, {"caCertificates", t.CaCertificates}, {"credentialName", t.CredentialName}} {
		if f.v != "" {
			r.bad(p.to(f.name), "Remove it.", "mode ISTIO_MUTUAL uses the workload's own certificate, not %s", f.name)
		}
	}
	if len(t.CredentialNames) > 0 {
		r.bad(p.to("credentialNames"), "Remove it.", "mode ISTIO_MUTUAL uses the workload's own certificate, not credentialNames")
	}
	if len(t.TlsCertificates) > 0 {
		r.bad(p.to("tlsCertificates"), "Remove it.", "mode ISTIO_MUTUAL uses the workload's own certificate, not tlsCertificates")
	}
}

// serverCertificates checks where a server that ends TLS has its certificates from, and whom it takes as clients.
func (r *rules) serverCertificates(p at, t *networking.ServerTLSSettings) {
	mutual := t.Mode == networking.ServerTLSSettings_MUTUAL || t.Mode == networking.ServerTLSSettings_OPTIONAL_MUTUAL
	credentials := t.CredentialName != "" || len(t.CredentialNames) > 0
	sources := 0
	for _, set := range [...]bool{credentials, t.ServerCertificate != "" && t.PrivateKey != "", len(t.TlsCertificates) > 0} {
		if set {
			sources++
		}
	}
	if sources > 1 {
		r.bad(p, "Keep one of them.", "certificates come from more than one of credentialName, serverCertificate with privateKey, and tlsCertificates")
		return
	}
	if credentials {
		return
	}
	mode := t.Mode.String()
	if t.CaCrl != "" && t.Mode == networking.ServerTLSSettings_SIMPLE {
		r.bad(p.to("caCrl"), "Remove it, or use mode MUTUAL.", "mode SIMPLE takes no certificates of clients, so there are none to revoke")
	}
	if mutual && t.CaCertificates == "" {
		r.bad(p, "Add caCertificates or credentialName.", "mode %s needs the certificate authority of the clients", mode)
	}
	if len(t.TlsCertificates) == 0 {
		r.keyPair(p, mode, t.ServerCertificate, t.PrivateKey)
	}
	for i, c := range t.TlsCertificates {
		r.keyPair(p.to("tlsCertificates", i), mode, c.ServerCertificate, c.PrivateKey)
	}
}

func (r *rules) keyPair(p at, mode, cert, key string) {
	if cert == "" {
		r.bad(p, "Add credentialName, or serverCertificate.", "mode %s needs a server certificate", mode)
	}
	if key == "" {
		r.bad(p, "Add credentialName, or privateKey.", "mode %s needs a private key", mode)
	}
}
