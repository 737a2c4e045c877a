package server

import (
	"fmt"
	"sync"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
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
	gen := srv.gen.Load()
	var sends sync.WaitGroup
	for _, c := range one.Classes {
		n := bundle.Node{ID: c.ID, Namespace: "default", Labels: map[string]string{"app": c.ID}}
		s := &stream{srv: srv, caller: &caller{node: n}, delta: true, send: func(*raw) error { sends.Done(); return nil }}
		e, refused := srv.entitle(gen, s.caller)
		if refused != nil {
			b.Fatal(refused.err)
		}
		if err := s.aim(e); err != nil {
			b.Fatal(err)
		}
		for k := range s.subs {
			s.subs[k] = subscription{asked: true, wildcard: true}
			s.subs[k].held.or(s.view.target[k])
		}
		s.settled = true
		srv.join(s, gen)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		sends.Add(50)
		srv.Switch([]*bundle.Bundle{two, one}[i%2])
		sends.Wait()
		for _, s := range srv.snapshot() {
			s.mu.Lock()
			for k := range s.subs {
				s.subs[k].sent = nil
			}
			s.mu.Unlock()
		}
	}
}
