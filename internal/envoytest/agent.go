package envoytest

import (
	"net"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/names"
)

// agent hands out the identity of a workload over SDS, made up, as that of SPIRE or Istio does: a cluster is not ready, and Envoy says
// nothing more, before it has the secrets that it names.
type agent struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer
	secrets map[string]named
}

// serveAgent has an agent listen at a socket until the server is stopped.
func serveAgent(socket string) (*grpc.Server, error) {
	w := newWants()
	w.certs[names.OwnCertificate], w.roots[names.OwnRoots] = true, true
	secrets, err := w.secrets()
	if err != nil {
		return nil, err
	}
	at, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer()
	secretv3.RegisterSecretDiscoveryServiceServer(s, &agent{secrets: secrets})
	go func() { _ = s.Serve(at) }()
	return s, nil
}

// StreamSecrets implements SecretDiscoveryServiceServer. Each secret has a stream of its own, on which all but the first request are
// acknowledgements.
func (a *agent) StreamSecrets(s secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	r, err := s.Recv()
	if err != nil {
		return err
	}
	answer := &discoveryv3.DiscoveryResponse{TypeUrl: secretType, VersionInfo: "1", Nonce: "1"}
	for _, n := range r.GetResourceNames() {
		secret, ok := a.secrets[n]
		if !ok {
			continue
		}
		any, err := anypb.New(secret.message)
		if err != nil {
			return err
		}
		answer.Resources = append(answer.Resources, any)
	}
	if err := s.Send(answer); err != nil {
		return err
	}
	for {
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
}
