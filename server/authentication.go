package server

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server/ads"
)

// admit admits a proxy: its node, who it is, which class it belongs to. The first request decides all three; what later
// requests say about the node is not read.
func (srv *Server) admit(g grpc.ServerStream, m *corev3.Node, delta bool, shown proof) (*session, error) {
	if err := sizeOf(m); err != nil {
		return nil, srv.refuse(bundle.Node{}, "limit", codes.InvalidArgument, err)
	}
	n, err := bundle.NodeFromProto(m)
	if err != nil {
		return nil, srv.refuse(n, "node", codes.InvalidArgument, err)
	}
	if r := shown.refused; r != nil {
		return nil, srv.refuse(n, r.why, r.code, r.err)
	}
	c, err := srv.identify(shown, n)
	if err != nil {
		return nil, srv.refuse(n, "identity", codes.PermissionDenied, err)
	}
	c.delta = delta
	c.extensions = srv.extensions.of(m)
	for {
		assigned := srv.assigned.Load()
		gen := assigned.of(n)
		e, refused := srv.entitle(gen, c)
		if refused != nil {
			return nil, srv.refuse(n, refused.why, refused.code, refused.err)
		}
		s := newSession(srv, c, e)
		s.done, s.send = g.Context().Done(), func(r *ads.Response) error { return g.SendMsg(r) }
		if srv.join(s, assigned) {
			srv.renew(s, gen) // endpoints may have changed meanwhile
			srv.report(slog.LevelInfo, n.ID, "proxy connected", e.view.Class.ID, "class", e.view.Class.ID, "bundle", gen.bundle.Digest.String())
			return s, nil
		}
	}
}

func (srv *Server) refuse(n bundle.Node, why string, code codes.Code, err error) error {
	srv.metrics.refused.WithLabelValues(why).Inc()
	srv.refusals.add(n.ID, why, err.Error())
	if ok, left := srv.refusals.gate.pass(why+n.ID, time.Now()); ok {
		srv.log.Warn("proxy refused", append([]any{"node", n.ID, "why", why, "reason", err.Error()}, left...)...)
	}
	if srv.own != nil && (why == "class" || why == "identity" || why == "token") {
		// The reason names selectors and service accounts of others. They are for who runs the server.
		return status.Errorf(code, "node %q is refused (%s); the log and /status of the server say why", n.ID, why)
	}
	return status.Error(code, err.Error())
}

// unproven notes a caller that does not get through TLS: it has no certificate, or one that does not hold. It has not
// said which node it is. Those that only look whether the port is open are not noted, nor is it their fault while the
// server has no identity.
func (srv *Server) unproven(from net.Addr, err error) {
	if _, own := srv.ownIdentity(); own != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	srv.metrics.refused.WithLabelValues("tls").Inc()
	why := err.Error()
	if len(why) > 300 { // it may quote the caller's certificate
		why = why[:300]
	}
	if ok, left := srv.refusals.gate.pass("tls"+why, time.Now()); ok {
		srv.log.Warn("caller refused by TLS", append([]any{"address", from.String(), "reason", why}, left...)...)
	}
}

// unread says why no request could be read; nil when the proxy went away.
func (srv *Server) unread(err error) error {
	switch {
	case errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled:
		return nil
	case status.Code(err) == codes.ResourceExhausted, status.Code(err) == codes.DeadlineExceeded:
		srv.metrics.refused.WithLabelValues("limit").Inc()
	}
	return err
}

// supported compares the oldest Envoy that the bundle is for with the node's. A node that does not say is let in.
func supported(b *bundle.Bundle, n bundle.Node) error {
	var major, minor uint32
	if _, err := fmt.Sscanf(b.EnvoyMin, "%d.%d", &major, &minor); err != nil || n.EnvoyVersion == [3]uint32{} {
		return nil
	}
	if v := n.EnvoyVersion; v[0] < major || v[0] == major && v[1] < minor {
		return fmt.Errorf("the bundle %s is for Envoy %s or newer, and node %q runs %d.%d.%d: upgrade the proxy", b.Digest, b.EnvoyMin, n.ID, v[0], v[1], v[2])
	}
	return nil
}

// workload reads who a certificate is for.
func workload(cert *x509.Certificate) (trustDomain, namespace, account string, err error) {
	uris := cert.URIs
	if len(uris) != 1 || uris[0].Scheme != "spiffe" {
		return "", "", "", fmt.Errorf("the client certificate has %d URI names; it needs exactly one SPIFFE ID", len(uris))
	}
	parts := strings.Split(uris[0].Path, "/")
	if len(parts) == 5 && uris[0].Host != "" && parts[2] != "" && parts[4] != "" &&
		uris[0].String() == "spiffe://"+uris[0].Host+"/ns/"+parts[2]+"/sa/"+parts[4] { // nothing escaped, and nothing else in it
		return uris[0].Host, parts[2], parts[4], nil
	}
	return "", "", "", fmt.Errorf("the SPIFFE ID %s has not the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT", uris[0])
}

// identify holds what the node says against what its stream has proven.
func (srv *Server) identify(shown proof, n bundle.Node) (*caller, error) {
	if srv.own == nil {
		return &caller{node: n, account: n.ServiceAccount}, nil
	}
	if err := shown.fits(n); err != nil {
		return nil, err
	}
	return &caller{node: n, account: shown.account, trustDomain: shown.trustDomain, chain: shown.chain, token: shown.token, hangUp: shown.hangUp}, nil
}

// listen opens the ADS address: plaintext on loopback only, unless told otherwise in so many words.
func listen(o Options) (net.Listener, error) {
	if !o.secured() && !o.InsecurePlaintextOnAnyAddress {
		if ok, err := onLoopback(o.XDSAddress); err != nil {
			return nil, fmt.Errorf("xds address %q: %w", o.XDSAddress, err)
		} else if !ok {
			return nil, fmt.Errorf("xds address %q is not loopback, and configuration is served without TLS there only: give --tls-cert, --tls-key and --tls-ca, --spiffe-socket, or --insecure-plaintext-on-any-address if the network itself is trusted", o.XDSAddress)
		}
	}
	return net.Listen("tcp", o.XDSAddress)
}

// adminMayListen holds the admin address to loopback, too: it answers whoever asks.
func adminMayListen(o Options) error {
	if o.AdminAddress == "-" || o.InsecureAdminOnAnyAddress {
		return nil
	}
	ok, err := onLoopback(o.AdminAddress)
	if err != nil {
		return fmt.Errorf("admin address %q: %w", o.AdminAddress, err)
	}
	if !ok {
		return fmt.Errorf("admin address %q is not loopback, and health, metrics and the names of proxies are served without TLS: give --insecure-admin-on-any-address if whoever reaches it may see them, or - for none", o.AdminAddress)
	}
	return nil
}

func onLoopback(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, err
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}
