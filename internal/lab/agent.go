//go:build linux

package lab

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
)

// agent hands out the identity of one workload over SDS at a socket, under the names that SPIRE's agent uses.
type agent struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer
	folder string

	mu      sync.Mutex
	changed chan struct{} // closed when the files have changed
}

// rotate tells all streams to read the files again.
func (a *agent) rotate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *agent) change() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// startAgent serves the identity in the workload's folder of secrets; the proxy's user can reach the socket.
func (l *Lab) startAgent(w *Workload) error {
	socket := l.agentSocket(w)
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	lis, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	l.tunnels = append(l.tunnels, lis)
	a := &agent{folder: l.secretFolder(w), changed: make(chan struct{})}
	if l.agents == nil {
		l.agents = map[string]*agent{}
	}
	l.agents[w.Name] = a
	g := grpc.NewServer()
	secretv3.RegisterSecretDiscoveryServiceServer(g, a)
	go g.Serve(lis)
	return os.Chmod(socket, 0o777)
}

func (l *Lab) agentSocket(w *Workload) string { return filepath.Join(l.dir, "agent", w.Name+".sock") }

// StreamSecrets implements the secret discovery service.
func (a *agent) StreamSecrets(st secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	asked := make(chan []string)
	go func() {
		defer close(asked)
		for {
			r, err := st.Recv()
			if err != nil {
				return
			}
			select {
			case asked <- r.GetResourceNames():
			case <-st.Context().Done():
				return
			}
		}
	}()
	var names []string
	changed := a.change()
	for version, first := 0, true; ; first = false {
		select {
		case n, ok := <-asked:
			if !ok {
				return nil
			}
			if !first {
				continue // an acknowledgement
			}
			names = n
		case <-changed:
			changed = a.change()
		}
		version++
		resp := &discovery.DiscoveryResponse{TypeUrl: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", VersionInfo: strconv.Itoa(version), Nonce: strconv.Itoa(version)}
		for _, n := range names {
			s, err := a.secret(n)
			if err != nil {
				return err
			}
			any, err := anypb.New(s)
			if err != nil {
				return err
			}
			resp.Resources = append(resp.Resources, any)
		}
		if err := st.Send(resp); err != nil {
			return err
		}
	}
}

func (a *agent) secret(name string) (*tlsv3.Secret, error) {
	var err error
	inline := func(file string) *corev3.DataSource {
		b, e := os.ReadFile(filepath.Join(a.folder, file))
		if e != nil {
			err = e
		}
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
	}
	s := &tlsv3.Secret{Name: name}
	if name == "ROOTCA" {
		s.Type = &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline("ca.crt")}}
	} else {
		s.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline("tls.crt"), PrivateKey: inline("tls.key")}}
	}
	return s, err
}
