package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server/token"
)

// proof is what a stream proves of its caller before anything that it says of its node is read: by the certificate of the
// connection, or, where it has none, by a token in the headers.
type proof struct {
	id                 string // by which streams are counted; "": nobody
	namespace, account string
	trustDomain        string              // of the certificate; "": it is a token that proves
	chain              []*x509.Certificate // as it was shown, the caller's own first; nil: there is none
	token              *token.Account      // nil: there is none
	hangUp             func()              // ends the connection; nil: nothing that it was made with loses its worth
	refused            *refusal            // why it proves nothing
}

// prove holds what a stream was opened with against what the server trusts.
func (srv *Server) prove(g grpc.ServerStream) proof {
	if srv.own == nil {
		return proof{}
	}
	p, ok := peer.FromContext(g.Context())
	var conn tlsCaller
	if ok {
		conn, ok = p.AuthInfo.(tlsCaller)
	}
	switch {
	case !ok:
		return proof{refused: &refusal{"identity", codes.PermissionDenied, errors.New("the connection has no TLS")}}
	case len(conn.State.PeerCertificates) > 0: // who shows a certificate is held to it, whatever else it shows
		return byCertificate(conn)
	case srv.tokens == nil:
		return proof{refused: &refusal{"identity", codes.PermissionDenied, errors.New("the connection has no client certificate")}}
	}
	return srv.byToken(g.Context(), conn)
}

func byCertificate(conn tlsCaller) proof {
	p := proof{chain: conn.State.PeerCertificates, hangUp: conn.hangUp}
	if uris := p.chain[0].URIs; len(uris) > 0 {
		p.id = uris[0].String()
	}
	var err error
	if p.trustDomain, p.namespace, p.account, err = workload(p.chain[0]); err != nil {
		p.refused = &refusal{"identity", codes.PermissionDenied, err}
	}
	return p
}

func (srv *Server) byToken(ctx context.Context, conn tlsCaller) proof {
	raw, err := bearer(ctx)
	if err != nil {
		return proof{refused: &refusal{"token", codes.Unauthenticated, err}}
	}
	a, err := srv.tokens.Verify(ctx, raw)
	if err != nil {
		return proof{refused: &refusal{"token", codes.Unauthenticated, err}}
	}
	return proof{id: "spiffe://" + srv.base().bundle.TrustDomain + "/ns/" + a.Namespace + "/sa/" + a.Name, namespace: a.Namespace, account: a.Name,
		token: &a, hangUp: conn.hangUp}
}

// bearer is the token in the headers of a stream.
func bearer(ctx context.Context) (string, error) {
	m, _ := metadata.FromIncomingContext(ctx)
	shown := m.Get("authorization")
	if len(shown) != 1 {
		return "", fmt.Errorf("the caller shows neither a certificate nor one token: its stream has %d authorization headers", len(shown))
	}
	scheme, raw, ok := strings.Cut(shown[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return "", errors.New("the authorization header of the stream has not the form Bearer TOKEN")
	}
	return raw, nil
}

// expire ends the connection when the token expires that the stream was opened with: the stream does not outlive what it was
// let in by, as with a certificate. cancel is called when the stream has ended before.
func (p proof) expire() (cancel func()) {
	if p.token == nil {
		return func() {}
	}
	t := time.AfterFunc(time.Until(p.token.Expires), p.hangUp)
	return func() { t.Stop() }
}

// fits holds what a node says against what its stream has proven.
func (p proof) fits(n bundle.Node) error {
	what := "certificate"
	if p.token != nil {
		what = "token"
	}
	switch {
	case p.namespace != n.Namespace:
		return fmt.Errorf("the %s is for namespace %q, node %q says %q", what, p.namespace, n.ID, n.Namespace)
	case n.ServiceAccount != "" && p.account != n.ServiceAccount:
		return fmt.Errorf("the %s is for service account %q, node %q says %q", what, p.account, n.ID, n.ServiceAccount)
	case p.token != nil && p.token.Pod != "" && p.token.Pod != n.Name:
		return fmt.Errorf("the token is bound to the pod %q, node %q says %q", p.token.Pod, n.ID, n.Name)
	}
	return nil
}

// tokens tells whether callers may prove by a token who they are.
func (o *Options) tokens() bool { return o.TokenKeys != "" || o.TokenReview }

// checkTokens holds the options about tokens against the others.
func (o *Options) checkTokens() error {
	switch {
	case o.TokenKeys != "" && o.TokenReview:
		return errors.New("tokens are verified by keys or by the API server, not both: leave out --token-keys or --token-review")
	case !o.tokens() && len(o.TokenAudiences)+len(o.TokenIssuers) > 0:
		return errors.New("--token-audience and --token-issuer are about tokens, and none is taken: add --token-keys or --token-review")
	case o.tokens() && !o.secured():
		return errors.New("tokens are taken over TLS only, since whoever reads one has its rights: give --tls-cert and --tls-key, or --spiffe-socket")
	}
	return nil
}

// DefaultAudience is that of the tokens which Istio's agent shows.
const DefaultAudience = "istio-ca"

// openTokens makes ready to verify tokens, until the context ends.
func (srv *Server) openTokens(ctx context.Context) error {
	o := &srv.opts
	w := token.Wants{Audiences: o.TokenAudiences, Issuers: o.TokenIssuers}
	if len(w.Audiences) == 0 {
		w.Audiences = []string{DefaultAudience}
	}
	switch {
	case o.TokenKeys != "":
		srv.keys = token.NewKeys(o.TokenKeys, w)
		srv.tokens = srv.keys
		return srv.keys.Follow(ctx, min(identityPoll, o.Poll))
	case o.TokenReview:
		api, err := srv.connect()
		if err != nil {
			return err
		}
		srv.tokens = token.NewReview(api, w)
	}
	return nil
}

// tokenKeys are those that vouch for tokens now; nil: none do, or the API server does.
func (srv *Server) tokenKeys() *token.Set {
	if srv.keys == nil {
		return nil
	}
	return srv.keys.Current()
}
