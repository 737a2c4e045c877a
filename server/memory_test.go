package server

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/meshc/meshc/compiler/bundle"
)

// Each bundle that was in service, and each state of the endpoints, leaves nothing behind once no proxy needs it.
func TestMemoryStaysFlat(t *testing.T) {
	dir := t.TempDir()
	srv, c := start(t, many(t, 0), Options{Grace: -1, Endpoints: dir})
	eps := &source{t: t, srv: srv, path: filepath.Join(dir, "e.yaml")}
	for range 4 {
		p := connect(t, c)
		for _, url := range []string{bundle.ClusterType, bundle.ListenerType} {
			p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: url})
		}
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesSubscribe: []string{"*"}})
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.RouteConfigurationType, ResourceNamesSubscribe: []string{"80"}})
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.VirtualHostType, ResourceNamesSubscribe: []string{"80"}})
		go func() {
			for r := range p.in {
				_ = p.st.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce})
			}
		}()
	}
	through := func(from, to int) uint64 {
		for i := from; i < to; i++ {
			srv.Switch(many(t, i))
			eps.tell(sliceOf("c1", fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)))
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	few := through(1, 20)
	lots := through(20, 100)
	if lots > few+few/4 {
		t.Errorf("after 20 bundles %d KiB, after 100 bundles %d KiB", few>>10, lots>>10)
	}
}

// many is a bundle of some size, as one piece of memory, that differs from others in one virtual host.
func many(t testing.TB, version int) *bundle.Bundle {
	t.Helper()
	rs := base(1)
	for i := range 100 {
		rs = append(rs, cds(fmt.Sprint("big", i), 1), vhs("80", fmt.Sprint("v", i), fmt.Sprint("v", i, strings.Repeat("x", 4000))))
	}
	rs = append(rs, vhs("80", "changes", fmt.Sprint("n", version, strings.Repeat("y", 20000))))
	b := joinable(t, rs...)
	dir := filepath.Join(t.TempDir(), "b")
	if err := b.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	read, err := bundle.ReadToServe(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return read
}
