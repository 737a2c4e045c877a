package server

import (
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server/ads"
)

// BenchmarkSwitch moves 2,000 warm proxies of 40 scopes to a bundle in which one virtual host of one scope differs.
func BenchmarkSwitch(b *testing.B) {
	mesh := func(domain string) *bundle.Bundle {
		in := bundle.Input{Compiler: "bench", EnvoyMin: "1.36"}
		for i := range 40 {
			set := &bundle.Set{Resources: []*bundle.Resource{rds("80")}}
			for j := range 50 {
				n := fmt.Sprintf("svc-%d-%d", i, j)
				d := n
				if i == 0 && j == 0 {
					d = domain
				}
				set.Resources = append(set.Resources, cds(n, 1), eds(n), vhs("80", n, d))
			}
			for j := range 50 {
				id := fmt.Sprintf("c-%02d-%02d", i, j)
				in.Selectors = append(in.Selectors, bundle.Selector{ID: id, Labels: map[string]string{"app": id}})
				in.Classes = append(in.Classes, bundle.Class{ID: id, Namespace: "default", Selectors: []string{id}, Sets: []*bundle.Set{set, {Resources: []*bundle.Resource{lds("in-"+id, "x")}}}})
			}
		}
		s, err := bundle.Seal(in)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	one, two := mesh("one"), mesh("two")
	srv := New(one, Options{})
	gen := srv.base()
	type push struct {
		to       *session
		response *ads.Response
	}
	sent := make(chan push, 50)
	for _, c := range one.Classes {
		n := bundle.Node{ID: c.ID, Namespace: "default", Labels: map[string]string{"app": c.ID}}
		caller := &caller{node: n, account: "default", delta: true}
		e, refused := srv.entitle(gen, caller)
		if refused != nil {
			b.Fatal(refused.err)
		}
		s := newSession(srv, caller, e)
		warm := make(chan *ads.Response, 100)
		s.send = func(r *ads.Response) error { warm <- r; return nil }
		for k, url := range map[ads.Kind]string{ads.Clusters: bundle.ClusterType, ads.Endpoints: bundle.EndpointsType, ads.Listeners: bundle.ListenerType, ads.Routes: bundle.RouteConfigurationType, ads.VirtualHosts: bundle.VirtualHostType} {
			ask := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, ResourceNamesSubscribe: []string{"*"}, InitialResourceVersions: map[string]string{}}
			e.view.Target[k].Each(func(id int32) {
				x := e.view.Registry.List(k)[id]
				ask.InitialResourceVersions[x.Name] = x.Version
			})
			if err := s.request(ads.DeltaRequest{DeltaDiscoveryRequest: ask}); err != nil {
				b.Fatal(err)
			}
		}
		drained(s)
		if len(warm) > 0 {
			b.Fatalf("a proxy that has all is sent %d responses", len(warm))
		}
		s.send = func(r *ads.Response) error { sent <- push{s, r}; return nil }
		srv.join(s, srv.assigned.Load())
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		srv.Switch([]*bundle.Bundle{two, one}[i%2])
		for range 50 {
			p := <-sent
			if err := p.to.request(ads.DeltaRequest{DeltaDiscoveryRequest: &discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.VirtualHostType, ResponseNonce: p.response.Nonce}}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
