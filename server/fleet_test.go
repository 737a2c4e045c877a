package server

import (
	"context"
	"fmt"
	"sync"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
)

// TestFleet: of 500 proxies a bundle has arrived when the last has acknowledged, and not before; a rollback reaches all of them.
func TestFleet(t *testing.T) {
	const all = 500
	a := sealed(t, base(1)...)
	b := sealed(t, append(without(base(1), "c1"), cds("c1", 7))...)
	srv := New(a, Options{Store: (&memory{}).keep(a, b)})
	if err := srv.begin(a); err != nil {
		t.Fatal(err)
	}
	address := serveADS(t, srv)
	var clients []discoveryv3.AggregatedDiscoveryServiceClient // a connection has so many streams
	for range all/limit.ConnStreams + 1 {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		clients = append(clients, discoveryv3.NewAggregatedDiscoveryServiceClient(conn))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	last := make(chan struct{}) // the last proxy answers no more until it is closed
	got := make(chan struct{}, 16)
	var held sync.Map
	for i := range all {
		st, err := clients[i%len(clients)].DeltaAggregatedResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n := node(map[string]any{"app": "a"})
		n.Id = fmt.Sprintf("sidecar~10.0.0.1~p%d.default~default.svc.cluster.local", i)
		for _, url := range []string{bundle.ClusterType, bundle.ListenerType} {
			if err := st.Send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: url}); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			for k := 0; ; k++ {
				r, err := st.Recv()
				if err != nil {
					return
				}
				held.Store(n.Id, r.SystemVersionInfo)
				if i == all-1 && k == 2 { // clusters and listeners of the first bundle came before
					got <- struct{}{}
					<-last
				}
				if st.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce}) != nil {
					return
				}
			}
		}()
	}
	arrived := func(digest string, want int) func(Status) bool {
		return func(st Status) bool {
			acked, of, _ := st.Arrived(digest)
			return acked == want && of == all
		}
	}
	await(t, srv, "the first", arrived(a.Digest.String(), all))
	if err := srv.Switch(b); err != nil {
		t.Fatal(err)
	}
	<-got
	st := await(t, srv, "all but one", arrived(b.Digest.String(), all-1))
	if _, _, waiting := st.Arrived(b.Digest.String()); len(waiting) != 1 {
		t.Errorf("%v", waiting)
	}
	close(last)
	await(t, srv, "all", arrived(b.Digest.String(), all))
	if _, err := srv.RollBack(""); err != nil {
		t.Fatal(err)
	}
	await(t, srv, "back", arrived(a.Digest.String(), all))
	held.Range(func(id, version any) bool {
		if version != a.Digest.String() {
			t.Errorf("%v was sent %v last", id, version)
		}
		return true
	})
}
