package bundle

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/meshc/meshc/compiler/names"
)

// mesh is 1,000 services in 40 scopes, two classes a service: 7,000 resources, 2,001 classes.
func meshInput() Input {
	body := bytes.Repeat([]byte("reviews.default.svc.cluster.local "), 60)
	in := Input{Compiler: "bench", EnvoyMin: "1.36"}
	var scopes []*Set
	add := func(s *Set, url, name string, line int) {
		r := &Resource{Type: url, Name: name, Bytes: append([]byte(name), body...), Origins: []Origin{
			{File: fmt.Sprintf("repo/ns/%d.yaml", line%100), Line: line, Kind: "Service", Namespace: "ns", Name: name, Field: "spec"},
			{At: names.RoutePart(0), File: fmt.Sprintf("repo/ns/%d.yaml", line%100), Line: line, Kind: "VirtualService", Namespace: "ns", Name: name, Field: "spec.http[0]"}}}
		r.Digest = ResourceDigest(r.Type, r.Name, r.Bytes)
		s.Resources = append(s.Resources, r)
	}
	for i := range 40 {
		s := &Set{}
		for j := range 25 {
			for k := range 5 {
				add(s, ClusterType, fmt.Sprintf("outbound|%d||svc-%d.ns-%d", k, j, i), j)
			}
			add(s, EndpointsType, fmt.Sprintf("outbound|80||svc-%d.ns-%d", j, i), j)
			add(s, VirtualHostType, fmt.Sprintf("80/svc-%d.ns-%d:80", j, i), j)
		}
		scopes = append(scopes, s)
	}
	for i := range 1000 {
		in.Selectors = append(in.Selectors, Selector{ID: fmt.Sprintf("svc-%04d", i), Namespace: fmt.Sprintf("ns-%d", i/25), Labels: map[string]string{"app": fmt.Sprintf("s%d", i)}})
	}
	for _, v := range []string{"v1", "v2"} {
		in.Selectors = append(in.Selectors, Selector{ID: v, Labels: map[string]string{"version": v}})
		for i := range 1000 {
			in.Classes = append(in.Classes, Class{ID: fmt.Sprintf("c-%d-%s", i, v), Namespace: fmt.Sprintf("ns-%d", i/25), Selectors: []string{fmt.Sprintf("svc-%04d", i), v},
				Workloads: []string{fmt.Sprintf("ns/w%d", i)}, Sets: []*Set{scopes[i/25], scopes[(i/25+1)%40]}})
		}
	}
	return in
}

func BenchmarkSeal(b *testing.B) {
	in := meshInput()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	s, err := Seal(meshInput())
	if err != nil {
		b.Fatal(err)
	}
	p := b.TempDir() + "/b"
	if err := s.WriteDir(p); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClassOf(b *testing.B) {
	s, err := Seal(meshInput())
	if err != nil {
		b.Fatal(err)
	}
	n := Node{ID: "x", Namespace: "ns-7", Labels: map[string]string{"app": "s180", "version": "v2", "security.istio.io/tlsMode": "istio"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.ClassOf(n); err != nil {
			b.Fatal(err)
		}
	}
}
