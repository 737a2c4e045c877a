// Package spiffetest is a SPIFFE agent for tests: it serves the Workload API at a socket and says what it is told to.
package spiffetest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"sync"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Agent serves one identity to whoever can reach its socket.
type Agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	g *grpc.Server

	mu      sync.Mutex
	answer  *workload.X509SVIDResponse // nil: no identity
	changed chan struct{}              // closed when there is another answer
}

// Identity is what an agent hands out. All is in PEM, a certificate may be followed by those of its issuers.
type Identity struct {
	Certificate, Key []byte
	Bundle           []byte            // of the trust domain of the certificate
	Federated        map[string][]byte // bundles of others, by trust domain
}

// Start serves at a socket. The agent has no identity for anybody until it is given one.
func Start(socket string) (*Agent, error) {
	lis, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	a := &Agent{g: grpc.NewServer(), changed: make(chan struct{})}
	workload.RegisterSpiffeWorkloadAPIServer(a.g, a)
	go func() { _ = a.g.Serve(lis) }()
	return a, nil
}

// Stop ends the agent in the middle of what it does; the socket is gone.
func (a *Agent) Stop() { a.g.Stop() }

// Give hands out an identity in place of the one before.
func (a *Agent) Give(id Identity) error {
	chain := certificates(id.Certificate)
	cert, err := x509.ParseCertificates(chain)
	if err != nil || len(cert) == 0 || len(cert[0].URIs) == 0 {
		return fmt.Errorf("no certificate with a URI name: %w", err)
	}
	block, _ := pem.Decode(id.Key)
	if block == nil {
		return fmt.Errorf("the key is not PEM")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	r := &workload.X509SVIDResponse{FederatedBundles: map[string][]byte{}, Svids: []*workload.X509SVID{
		{SpiffeId: cert[0].URIs[0].String(), X509Svid: chain, X509SvidKey: der, Bundle: certificates(id.Bundle)}}}
	for td, bundle := range id.Federated {
		r.FederatedBundles["spiffe://"+td] = certificates(bundle)
	}
	a.say(r)
	return nil
}

// Withdraw takes the identity away.
func (a *Agent) Withdraw() { a.say(nil) }

// Garble says something that is no identity.
func (a *Agent) Garble() {
	a.say(&workload.X509SVIDResponse{Svids: []*workload.X509SVID{{SpiffeId: "spiffe://td/x", X509Svid: []byte("x"), X509SvidKey: []byte("x"), Bundle: []byte("x")}}})
}

func (a *Agent) say(r *workload.X509SVIDResponse) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = r
	close(a.changed)
	a.changed = make(chan struct{})
}

// FetchX509SVID implements the Workload API.
func (a *Agent) FetchX509SVID(_ *workload.X509SVIDRequest, st grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	if err := asked(st.Context()); err != nil {
		return err
	}
	for {
		a.mu.Lock()
		answer, changed := a.answer, a.changed
		a.mu.Unlock()
		if answer == nil {
			return status.Error(codes.PermissionDenied, "no identity issued")
		}
		if err := st.Send(answer); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-st.Context().Done():
			return nil
		}
	}
}

// asked holds callers to the header that the SPIFFE Workload Endpoint wants of them.
func asked(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get("workload.spiffe.io"); len(v) != 1 || v[0] != "true" {
		return status.Error(codes.InvalidArgument, "the header workload.spiffe.io is missing")
	}
	return nil
}

// certificates is PEM as the Workload API has it: one DER after the other.
func certificates(text []byte) []byte {
	var out bytes.Buffer
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		out.Write(block.Bytes)
	}
	return out.Bytes()
}
