package trace

import (
	"fmt"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/match"
	"github.com/meshc/meshc/compiler/trace/urlpath"
)

// sanMatchers are the names that a peer must show one of.
func sanMatchers(c *tlsv3.CommonTlsContext) []*tlsv3.SubjectAltNameMatcher {
	if v := c.GetCombinedValidationContext(); v != nil {
		return v.GetDefaultValidationContext().GetMatchTypedSubjectAltNames()
	}
	return c.GetValidationContext().GetMatchTypedSubjectAltNames()
}

// terminate ends the outer TLS of a connection at a chain. The error is what the handshake fails with.
func (w *Tracer) terminate(c *conn, socket *corev3.TransportSocket, server string) (text string, peer *layer, err error) {
	if socket == nil || isRaw(socket) {
		return "", nil, nil
	}
	d, ok := unpack(socket.GetTypedConfig(), &tlsv3.DownstreamTlsContext{})
	if !ok {
		return "", nil, &match.Unsupported{What: "transport socket " + shortType(socket.GetTypedConfig(), socket.GetName())}
	}
	in := c.outer()
	if in == nil {
		return "", nil, fmt.Errorf("the server wants TLS and the client speaks plain text")
	}
	if err := handshake(d, in, server); err != nil {
		return "", nil, err
	}
	text = "TLS ends here"
	if d.GetRequireClientCertificate().GetValue() {
		text = "mutual TLS ends here"
	}
	c.layers = c.layers[1:]
	return text, in, nil
}

// handshake says why a server and a client do not come together.
func handshake(d *tlsv3.DownstreamTlsContext, in *layer, server string) error {
	required := d.GetRequireClientCertificate().GetValue()
	validates := d.GetCommonTlsContext().GetValidationContextType() != nil
	switch {
	case required && !in.cert:
		return fmt.Errorf("the server wants a client certificate and %s has none", in.by)
	case in.cert && validates && len(sanMatchers(d.GetCommonTlsContext())) > 0 && !shows(sanMatchers(d.GetCommonTlsContext()), in.ids):
		return fmt.Errorf("the server does not accept the identity %s", strings.Join(in.ids, ", "))
	}
	if own := secrets(d.GetCommonTlsContext()); slices.Contains(own, names.OwnCertificate) && server != "" && len(in.wants) > 0 && !shows(in.wants, []string{server}) {
		return fmt.Errorf("the client wants a server that is %s, and this one is %s", wanted(in.wants), server)
	}
	return nil
}

func secrets(c *tlsv3.CommonTlsContext) []string {
	var out []string
	for _, s := range c.GetTlsCertificateSdsSecretConfigs() {
		out = append(out, s.GetName())
	}
	return out
}

// shows tells whether one of the URI names is accepted. Names of other kinds are not known here, so they cannot fail.
func shows(wants []*tlsv3.SubjectAltNameMatcher, ids []string) bool {
	uri := false
	for _, m := range wants {
		if m.GetSanType() != tlsv3.SubjectAltNameMatcher_URI {
			continue
		}
		uri = true
		for _, id := range ids {
			if ok, err := match.String(m.GetMatcher(), id); ok || err != nil {
				return true
			}
		}
	}
	return !uri
}

func wanted(wants []*tlsv3.SubjectAltNameMatcher) string {
	var out []string
	for _, m := range wants {
		out = append(out, match.StringText(m.GetMatcher()))
	}
	return strings.Join(out, " or ")
}

// socketFor is the transport socket a cluster uses towards an endpoint, with the name of the match that chose it.
func socketFor(c *clusterv3.Cluster, meta *corev3.Metadata) (*corev3.TransportSocket, string) {
	fields := meta.GetFilterMetadata()["envoy.transport_socket_match"].GetFields()
	for _, m := range c.GetTransportSocketMatches() {
		fits := true
		for k, want := range m.GetMatch().GetFields() {
			fits = fits && fields[k] != nil && proto.Equal(fields[k], want)
		}
		if fits {
			return m.GetTransportSocket(), m.GetName()
		}
	}
	return c.GetTransportSocket(), ""
}

func isRaw(s *corev3.TransportSocket) bool {
	_, ok := unpack(s.GetTypedConfig(), &rawbufferv3.RawBuffer{})
	return ok || s.GetName() == "envoy.transport_sockets.raw_buffer"
}

// originate says which TLS a proxy opens towards an endpoint, nil for none. id is the proxy's own identity, host what the
// request calls the server.
func originate(c *clusterv3.Cluster, socket *corev3.TransportSocket, id, host, proxy string) (*layer, []Effect, error) {
	var out []Effect
	if p, ok := unpack(socket.GetTypedConfig(), &proxyprotocolv3.ProxyProtocolUpstreamTransport{}); ok {
		socket, out = p.GetTransportSocket(), []Effect{{Kind: EffectProxyProtocol}}
	}
	if socket == nil || isRaw(socket) {
		return nil, append(out, Effect{EffectTLS, "", tlsPlain}), nil
	}
	u, ok := unpack(socket.GetTypedConfig(), &tlsv3.UpstreamTlsContext{})
	if !ok {
		return nil, nil, &match.Unsupported{What: "transport socket " + shortType(socket.GetTypedConfig(), socket.GetName())}
	}
	common := u.GetCommonTlsContext()
	l := &layer{sni: u.GetSni(), alpn: common.GetAlpnProtocols(), by: proxy, wants: sanMatchers(common)}
	if l.sni == "" && httpOptions(c).GetUpstreamHttpProtocolOptions().GetAutoSni() {
		l.sni = urlpath.StripPort(host)
	}
	own := secrets(common)
	l.cert = len(own) > 0 || len(common.GetTlsCertificates()) > 0
	switch {
	case slices.Contains(own, names.OwnCertificate):
		out = append(out, Effect{EffectTLS, "", tlsMesh})
		l.ids = nonEmpty(id)
	case l.cert:
		out = append(out, Effect{EffectTLS, "", tlsMutual}, Effect{EffectCertificate, "", strings.Join(own, ", ")})
	default:
		out = append(out, Effect{EffectTLS, "", tlsSimple})
	}
	if l.sni != "" {
		out = append(out, Effect{EffectServerName, "", l.sni})
	}
	return l, out, nil
}

// httpOptions are the HTTP settings of a cluster.
func httpOptions(c *clusterv3.Cluster) *httpv3.HttpProtocolOptions {
	o, _ := unpack(c.GetTypedExtensionProtocolOptions()["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"], &httpv3.HttpProtocolOptions{})
	return o
}

// upstreamWire is the HTTP version that a cluster speaks, given that of the client.
func upstreamWire(c *clusterv3.Cluster, downstream string) string {
	o := httpOptions(c)
	switch {
	case o.GetExplicitHttpConfig().GetHttp2ProtocolOptions() != nil:
		return wireHTTP2
	case o.GetUseDownstreamProtocolConfig() != nil:
		return downstream
	}
	return wireHTTP1
}
