package server

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"
)

// A proxy whose node does not say that it has what its class needs is served, and that is said: in the log once, in /status
// and as a metric. What a newer meshc may ask for is said, too.
func TestLacks(t *testing.T) {
	var log bytes.Buffer
	needs := func(list ...bundle.Requirement) *bundle.Bundle {
		b, err := bundle.Seal(bundle.Input{EnvoyMin: "1.36", Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": "a"}}},
			Classes: []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, Sets: []*bundle.Set{{Resources: base(1), Requires: list}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	size, lua := bundle.NewRequirement(bundle.ProgramSize, 500, ""), bundle.NewRequirement(bundle.Extension, 0, "envoy.extensions.filters.http.lua.v3.Lua")
	srv, c := start(t, needs(size, lua), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, x := range []struct {
		name       string
		says       any // in MESHC_BOOTSTRAP
		extensions []string
		lacks      []string
	}{
		{"nothing", nil, nil, []string{"re2-program-size/1 of at least 500: the node does not say"}},
		{"enough", map[string]any{size.Mark(): 500}, []string{"x", lua.Of}, nil},
		{"too little", map[string]any{size.Mark(): 499}, []string{"x", lua.Of}, []string{"re2-program-size/1 of at least 500: the bootstrap of the node sets"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			n := node(map[string]any{"app": "a"})
			if x.says != nil {
				v, err := structpb.NewValue(x.says)
				if err != nil {
					t.Fatal(err)
				}
				n.Metadata.Fields[bundle.BootstrapMetadata] = v
			}
			if x.extensions != nil {
				n.Extensions = []*corev3.Extension{{TypeUrls: x.extensions}, {TypeUrls: []string{"y"}}, {TypeUrls: []string{lua.Of}, Disabled: true}}
			}
			p := connect(t, c)
			p.send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: bundle.ClusterType})
			p.want("cds +c1 +c2")
			st := srv.Status()
			if got := st.Nodes[0].Lacks; len(st.Nodes) != 1 || !slices.EqualFunc(got, x.lacks, strings.HasPrefix) {
				t.Errorf("it lacks %q, want %q", got, x.lacks)
			}
			if got := st.Requirements; !slices.Equal(got, []string{size.String()}) {
				t.Errorf("the bundle needs %q", got)
			}
			page := httptest.NewRecorder()
			srv.Admin().ServeHTTP(page, httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil))
			want := `meshc_nodes_lacking{requirement="re2-program-size"} ` + map[bool]string{true: "1", false: "0"}[len(x.lacks) > 0]
			if !strings.Contains(page.Body.String(), want+"\n") {
				t.Errorf("no %s", want)
			}
			if err := p.st.CloseSend(); err != nil {
				t.Fatal(err)
			}
			for len(srv.snapshot()) > 0 {
				time.Sleep(time.Millisecond)
			}
		})
	}
	if n := strings.Count(log.String(), `needs="re2-program-size/1 of at least 500"`); n != 1 {
		t.Errorf("%d warnings of the first proxy:\n%s", n, log.String())
	}
	p := connect(t, c)
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.want("cds +c1 +c2")
	srv.Switch(needs(bundle.Requirement{Name: "telepathy", Version: 2}))
	if got := srv.Status().Nodes[0].Lacks; len(got) != 1 || got[0] != "telepathy/2: this version of meshc does not know what it means" {
		t.Errorf("%q", got)
	}
}

// An Envoy that says what extensions it has gets no bundle that it cannot load, and is told why; one that runs keeps what it
// has. What it has besides, and what one does not say, counts for nothing.
func TestExtensionsThatANodeLacks(t *testing.T) {
	needs := func(names ...string) *bundle.Bundle {
		var list []bundle.Requirement
		for _, n := range names {
			list = append(list, bundle.NewRequirement(bundle.Extension, 0, n))
		}
		b, err := bundle.Seal(bundle.Input{EnvoyMin: "1.36", Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": "a"}}},
			Classes: []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, Sets: []*bundle.Set{{Resources: base(len(names) + 1), Requires: list}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := needs("a.A", "b.B")
	srv, c := start(t, first, Options{})
	says := func(urls ...string) *corev3.Node {
		n := node(map[string]any{"app": "a"})
		for _, u := range urls {
			n.Extensions = append(n.Extensions, &corev3.Extension{TypeUrls: []string{u}})
		}
		return n
	}
	for _, x := range []struct {
		name string
		node *corev3.Node
		why  string // "": it is served
	}{
		{"says nothing", says(), ""},
		{"has both", says("a.A", "b.B", "c.C"), ""},
		{"has one", says("a.A", "c.C"), "b.B"},
		{"has neither", says("c.C"), "a.A, b.B"},
	} {
		_, err := ask(t.Context(), c, x.node, bundle.ClusterType)
		if x.why == "" && err != nil || x.why != "" && (status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), x.why)) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	if n := counted(srv, `meshc_refused_nodes_total{reason="extension"}`); n != "2" {
		t.Errorf("%s are counted", n)
	}
	p := connect(t, c)
	p.send(&discoveryv3.DeltaDiscoveryRequest{Node: says("a.A", "b.B"), TypeUrl: bundle.ClusterType})
	p.ack(p.want("cds +c1 +c2"))
	srv.Switch(needs("a.A", "b.B", "d.D"))
	for range 100 {
		if nodes := srv.Status().Nodes; len(nodes) == 1 && strings.Contains(nodes[0].Kept, "d.D") && nodes[0].Bundle == first.Digest.String() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%+v", srv.Status().Nodes)
}
