package server

import (
	"encoding/binary"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"

	"github.com/meshc/meshc/internal/credential"
	"github.com/meshc/meshc/internal/watchdog"
	"github.com/meshc/meshc/server/ads"
)

// script joins messages to the input of FuzzRequests: each behind its length.
func script(ms ...proto.Message) (out []byte) {
	for _, m := range ms {
		b, _ := proto.Marshal(m)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(b))), b...)
	}
	return out
}

// drained waits until a stream has said all it has to say.
func drained(s *session) {
	for {
		s.mu.Lock()
		busy := s.sending
		s.mu.Unlock()
		if !busy {
			return
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// Whatever a proxy sends, in whatever order, the server answers well or refuses; a change of bundle between two requests
// makes no difference.
func FuzzRequests(f *testing.F) {
	delta := func(url string, names ...string) *discoveryv3.DeltaDiscoveryRequest {
		return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, ResourceNamesSubscribe: names}
	}
	f.Add(true, script(delta(bundle.ClusterType), delta(bundle.EndpointsType, "c1", "c2"), &discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType, ResponseNonce: "1"},
		delta(bundle.ListenerType), delta(bundle.RouteConfigurationType, "80", "gone"), delta(bundle.VirtualHostType, "80"), delta(bundle.VirtualHostType, "80/a", "*")))
	f.Add(true, script(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType, InitialResourceVersions: map[string]string{"c1": "x", "": ""}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType, ResponseNonce: "1", ErrorDetail: &rpcstatus.Status{Message: "no"}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesUnsubscribe: []string{"c1", "*"}}, delta(ads.SecretType, "default", "file-cert:/a~/b", "kubernetes://x")))
	sotw := func(url, nonce string, names ...string) *discoveryv3.DiscoveryRequest {
		return &discoveryv3.DiscoveryRequest{TypeUrl: url, ResponseNonce: nonce, ResourceNames: names}
	}
	f.Add(false, script(sotw(bundle.ClusterType, ""), sotw(bundle.EndpointsType, "", "c1", "c2"), sotw(bundle.ClusterType, "1"), sotw(bundle.ListenerType, ""), sotw(bundle.RouteConfigurationType, "", "80"),
		sotw(bundle.RouteConfigurationType, "4"), sotw(ads.SecretType, "", "default")))
	dir := f.TempDir()
	put(f, filepath.Join(dir, "default", "sa"), map[string][]byte{"ca.crt": newAuthority(f).pem})
	first := sealed(f, append(base(1), naming(f, "file-cert:/a~/b"))...)
	second := sealed(f, append(without(without(base(1), "c2"), "80/b"), vhs("80", "c", "c"))...)
	f.Fuzz(func(t *testing.T, isDelta bool, data []byte) {
		defer watchdog.Watch(t)()
		srv := New(first, Options{SecretsDir: dir, Grace: -1})
		n, err := bundle.NodeFromProto(node(map[string]any{"app": "a"}))
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		gen := srv.base()
		who := &caller{account: "sa", node: n, delta: isDelta}
		e, refused := srv.entitle(gen, who)
		if refused != nil {
			t.Fatal(refused.err)
		}
		s := newSession(srv, who, e)
		s.send = func(r *ads.Response) error {
			b := r.Parts.MaterializeToBuffer(mem.DefaultBufferPool())
			defer b.Free()
			var m proto.Message = &discoveryv3.DiscoveryResponse{}
			if isDelta {
				m = &discoveryv3.DeltaDiscoveryResponse{}
			}
			if err := proto.Unmarshal(b.ReadOnlyData(), m); err != nil {
				t.Errorf("a response that is none: %v", err)
			}
			if sent++; sent > 10000 {
				t.Error("no end of responses")
			}
			return nil
		}
		srv.join(s, srv.assigned.Load())
		for i := 0; len(data) >= 2 && i < 64; i++ {
			size := int(binary.BigEndian.Uint16(data))
			data = data[2:]
			chunk := data[:min(size, len(data))]
			data = data[len(chunk):]
			if isDelta {
				req := &discoveryv3.DeltaDiscoveryRequest{}
				if proto.Unmarshal(chunk, req) == nil {
					_ = s.request(ads.DeltaRequest{DeltaDiscoveryRequest: req})
				}
			} else {
				req := &discoveryv3.DiscoveryRequest{}
				if proto.Unmarshal(chunk, req) == nil {
					_ = s.request(ads.SotWRequest{DiscoveryRequest: req})
				}
			}
			drained(s)
			if i%3 == 2 {
				if err := srv.Switch([]*bundle.Bundle{second, first}[i/3%2]); err != nil {
					t.Fatal(err)
				}
				srv.rotate()
				drained(s)
			}
		}
		_ = srv.Status()
	})
}

// A name leads to a folder of the proxy's own namespace, or to nothing.
func FuzzSecretNames(f *testing.F) {
	for _, n := range []string{"default", "ROOTCA", "kubernetes://web-cacert", "kubernetes-gateway://shop/web", "configmap://a", "file-cert:/a~/b", "file-root:system", "kubernetes://../x", "kubernetes://a/../b"} {
		f.Add("shop", "sa", n)
	}
	f.Fuzz(func(t *testing.T, namespace, account, name string) {
		defer watchdog.Watch(t)()
		ref, err := credential.Refer(bundle.Node{Namespace: namespace}, account, name)
		if err != nil {
			return
		}
		for _, dir := range ref.Folders() {
			if !filepath.IsLocal(dir) || path.Clean(dir) != dir || !strings.HasPrefix(dir, namespace+"/") || strings.Count(dir, "/") > 2 {
				t.Errorf("%q of %s/%s is in %q", name, namespace, account, dir)
			}
		}
		if m := ref.Remote(name); m != nil && m.ValidateAll() != nil {
			t.Errorf("%q: Envoy would refuse the secret: %v", name, m.ValidateAll())
		}
	})
}

// The bytes of a bundle are searched for names of secrets without being trusted to be messages.
func FuzzMentioned(f *testing.F) {
	f.Add(naming(f, "kubernetes://web", "file-root:system").Bytes)
	f.Add([]byte("kubernetes://"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer watchdog.Watch(t)()
		known := map[string]bool{}
		mentioned(b, known)
		for n := range known {
			if names.ParseSecret(n).Kind == names.UnknownSecret || !strings.Contains(string(b), n) {
				t.Errorf("%q is not in there", n)
			}
		}
	})
}
