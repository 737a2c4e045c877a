package ads

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/bundle"
)

func resource(url, name string, m proto.Message) *bundle.Resource {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &bundle.Resource{Type: url, Name: name, Bytes: b, Origins: []bundle.Origin{{File: "mesh.yaml", Line: 12}}}
}

// mesh makes resources of words: cds/NAME/N, eds/NAME/N, lds/NAME/N, rds/NAME and vhds/ROUTES/NAME/N, N being the version. A virtual
// host whose version has the form >CLUSTER leads there.
func mesh(words ...string) (out []*bundle.Resource) {
	for _, w := range words {
		part := append(strings.Split(w, "/"), "", "")
		name, version := part[1], part[2]
		switch part[0] {
		case "cds":
			out = append(out, resource(bundle.ClusterType, name, &clusterv3.Cluster{Name: name, AltStatName: version, ConnectTimeout: durationpb.New(time.Second)}))
		case "eds":
			out = append(out, resource(bundle.EndpointsType, name, &endpointv3.ClusterLoadAssignment{ClusterName: name, NamedEndpoints: map[string]*endpointv3.Endpoint{version: {}}}))
		case "lds":
			out = append(out, resource(bundle.ListenerType, name, &listenerv3.Listener{Name: name, StatPrefix: version}))
		case "rds":
			out = append(out, resource(bundle.RouteConfigurationType, name, &routev3.RouteConfiguration{Name: name, Vhds: &routev3.Vhds{ConfigSource: &corev3.ConfigSource{}}}))
		case "vhds":
			vh := &routev3.VirtualHost{Name: version, Domains: []string{part[3]}}
			if to, ok := strings.CutPrefix(part[3], ">"); ok {
				vh.Domains = []string{"to"}
				vh.Routes = []*routev3.Route{{Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}, Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: to}}}}}
			}
			out = append(out, resource(bundle.VirtualHostType, name+"/"+version, vh))
		default:
			panic(w)
		}
	}
	return out
}

// viewOf is what a proxy is to have of a bundle of these resources alone.
func viewOf(t testing.TB, reg *Registry, delta bool, words ...string) *View {
	t.Helper()
	b, err := bundle.Seal(bundle.Input{Compiler: "test", EnvoyMin: "1.36", Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": "a"}}},
		Classes: []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, Sets: []*bundle.Set{{Resources: mesh(words...)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return viewIn(t, reg, delta, b)
}

func viewIn(t testing.TB, reg *Registry, delta bool, b *bundle.Bundle) *View {
	t.Helper()
	v := &View{Bundle: b, Class: b.Classes[0], Registry: reg, Origins: func(r *bundle.Resource, _ int) (out []string) {
		if r != nil { // not a secret
			out = append(out, r.Origins[0].Place())
		}
		return out
	}}
	byName := map[string]bundle.Digest{}
	rs := v.Class.Resources()
	for _, r := range rs {
		k, version := KindOf(r.Type), Version(r.Digest)
		if k == Clusters {
			byName[r.Name] = r.Digest
		}
		if k == Endpoints {
			version = Fold(r.Digest, byName[r.Name])
		}
		v.Target[k].Set(reg.Add(k, r.Name, version, r.Bytes, r))
	}
	if !delta {
		inlined, err := bundle.Inlined(rs)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range inlined {
			if r.Type == bundle.RouteConfigurationType {
				v.Target[InlinedRoutes].Set(reg.Add(InlinedRoutes, r.Name, Version(r.Digest), r.Bytes, r))
			}
		}
	}
	return v
}

// play is a stream and the clock it is told.
type play struct {
	t      testing.TB
	reg    *Registry
	s      *Stream
	now    time.Time
	wake   time.Time
	nonces map[Kind]string
	notes  []Note
}

func begin(t testing.TB, words ...string) *play {
	reg := NewRegistry()
	return &play{t: t, reg: reg, now: time.Unix(0, 0), nonces: map[Kind]string{},
		s: NewStream(Options{Delta: true, Grace: 5 * time.Second, AckTimeout: 15 * time.Second}, viewOf(t, reg, true, words...))}
}

func (p *play) do(e Event) Output {
	p.t.Helper()
	out, err := p.s.Step(p.now, e)
	if err != nil {
		p.t.Fatal(err)
	}
	p.notes = append(p.notes, out.Notes...)
	return out
}

func (p *play) ask(url string, names ...string) {
	p.t.Helper()
	p.do(DeltaRequest{DeltaDiscoveryRequest: &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, ResourceNamesSubscribe: names}})
}

func (p *play) show(words ...string) {
	p.t.Helper()
	p.do(ViewChange{View: viewOf(p.t, p.reg, true, words...)})
}

// sends wants these responses and no more, each as "cds +added -removed".
func (p *play) sends(want ...string) {
	p.t.Helper()
	got := []string{}
	for {
		out := p.do(Writable{})
		p.wake = out.Wake
		if out.Response == nil {
			break
		}
		m := decodeDelta(p.t, out.Response)
		text := out.Response.Kind.String()
		for _, r := range m.Resources {
			text += " +" + r.Name
		}
		for _, n := range m.RemovedResources {
			text += " -" + n
		}
		got = append(got, text)
		p.nonces[out.Response.Kind] = m.Nonce
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("sent %q, want %q", got, want)
	}
}

func (p *play) ack(kinds ...Kind) {
	p.t.Helper()
	for _, k := range kinds {
		p.do(DeltaRequest{DeltaDiscoveryRequest: &discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.URL(), ResponseNonce: p.nonces[k]}})
	}
}

func (p *play) nack(k Kind, why string) {
	p.t.Helper()
	p.do(DeltaRequest{DeltaDiscoveryRequest: &discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.URL(), ResponseNonce: p.nonces[k], ErrorDetail: &rpcstatus.Status{Message: why}}})
}

// sleep lets the time pass to which the machine wants to be woken.
func (p *play) sleep(want time.Duration) {
	p.t.Helper()
	if got := p.wake.Sub(p.now); got != want {
		p.t.Errorf("it wants to be woken in %v, want %v", got, want)
	}
	p.now = p.wake
}

func decodeDelta(t testing.TB, r *Response) *discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	m := &discoveryv3.DeltaDiscoveryResponse{}
	decode(t, r, m)
	return m
}

func decode(t testing.TB, r *Response, m proto.Message) {
	t.Helper()
	b := r.Parts.MaterializeToBuffer(mem.DefaultBufferPool())
	defer b.Free()
	if err := proto.Unmarshal(b.ReadOnlyData(), m); err != nil {
		t.Fatalf("a response that is none: %v", err)
	}
	if len(b.ReadOnlyData()) != r.Size {
		t.Errorf("%d bytes, counted as %d", len(b.ReadOnlyData()), r.Size)
	}
}

// warm has the proxy ask for all and take it.
func (p *play) warm() {
	p.t.Helper()
	for _, k := range []Kind{Clusters, Endpoints, Listeners, Routes, VirtualHosts} {
		p.ask(k.URL(), "*")
		out := p.do(Writable{})
		if out.Response == nil || out.Response.Kind != k {
			p.t.Fatalf("nothing of %v", k)
		}
		p.nonces[k] = out.Response.Nonce
		p.ack(k)
		p.sends()
	}
}

var small = []string{"cds/c1/1", "eds/c1/1", "lds/l/1", "rds/80", "vhds/80/a/1"}

// A change is made before the old is broken: the new cluster, then what leads to it, then after the time of grace the old
// cluster goes.
func TestOrderOfAChange(t *testing.T) {
	p := begin(t, small...)
	p.warm()
	p.show("cds/c2/1", "eds/c2/1", "lds/l/1", "rds/80", "vhds/80/a/>c2")
	p.sends("cds +c2", "eds +c2 -c1")
	p.ack(Clusters)
	p.sends() // the endpoints are not acknowledged yet
	p.ack(Endpoints)
	p.sends("vhds +80/a")
	p.ack(VirtualHosts)
	p.sends()
	p.sleep(5 * time.Second)
	p.sends("cds -c1")
	p.ack(Clusters)
	p.sends()
	if !p.s.Synced() {
		t.Error("it is not synced")
	}
}

// A proxy that never acknowledges is sent the rest after AckTimeout.
func TestSilentProxy(t *testing.T) {
	p := begin(t, small...)
	p.warm()
	p.show("cds/c1/2", "eds/c1/1", "lds/l/2", "rds/80", "vhds/80/a/1")
	p.sends("cds +c1", "eds +c1")
	p.sleep(15 * time.Second)
	p.sends("lds +l")
	p.show("eds/c1/1", "lds/l/2", "rds/80", "vhds/80/a/1")
	p.sends("eds +c1")
	p.sleep(15 * time.Second)
	p.sends()
	p.sleep(5 * time.Second)
	p.sends("cds -c1")
}

// Of what was refused the good arrives by itself, the bad is named, and comes again when it has changed.
func TestRefusal(t *testing.T) {
	p := begin(t, small...)
	p.warm()
	p.show("cds/c1/1", "eds/c1/1", "lds/l/1", "rds/80", "vhds/80/a/2", "vhds/80/b/1", "vhds/80/c/1")
	p.sends("vhds +80/a +80/b +80/c")
	p.nack(VirtualHosts, "no")
	p.sends("vhds +80/a", "vhds +80/b +80/c")
	p.nack(VirtualHosts, "no")
	p.sends("vhds +80/b", "vhds +80/c")
	p.notes = nil
	p.nack(VirtualHosts, "no")
	if r, ok := p.notes[0].(Refused); !ok || r.NACK == nil || !slices.Equal(r.NACK.Resources, []string{"80/c"}) || !slices.Equal(r.NACK.Origins, []string{"mesh.yaml:12"}) || !r.NACK.Time.Equal(p.now) {
		t.Errorf("notes %+v", p.notes)
	}
	p.sends()
	if p.s.Synced() {
		t.Error("a refusal is synced")
	}
	p.show("cds/c1/1", "eds/c1/1", "lds/l/1", "rds/80", "vhds/80/a/2", "vhds/80/b/1", "vhds/80/c/2")
	p.sends("vhds +80/c")
}

// Secrets come with the events that need them.
func TestSecretsOfEvents(t *testing.T) {
	p := begin(t, small...)
	req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: SecretType, ResourceNamesSubscribe: []string{"b", "a"}}
	if got := p.s.NeedsSecrets(DeltaRequest{DeltaDiscoveryRequest: req}); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("it needs %q", got)
	}
	p.do(DeltaRequest{req, map[string]Secret{"a": {Message: []byte("1")}, "b": {Missing: "none"}}})
	p.sends("sds +a")
	if fmt.Sprint(p.notes) != "[{b none}]" || fmt.Sprint(p.s.MissingSecrets(9)) != "map[b:none]" {
		t.Errorf("notes %v, missing %v", p.notes, p.s.MissingSecrets(9))
	}
	p.ack(Secrets)
	if got := p.s.NeedsSecrets(ViewChange{View: p.s.View()}); got != nil {
		t.Errorf("for the same bundle it needs %q", got)
	}
	p.do(SecretChange{map[string]Secret{"a": {Message: []byte("1")}, "b": {Message: []byte("2")}}})
	p.sends("sds +b")
	if len(p.notes) != 2 { // and that a was acknowledged
		t.Errorf("notes %v", p.notes)
	}
}

// Of state of the world, a response that was sent before the one before was answered may be refused for that one, so it is
// tried once more.
func TestWorldRefusedForAnother(t *testing.T) {
	reg := NewRegistry()
	p := &play{t: t, reg: reg, now: time.Unix(0, 0), s: NewStream(Options{AckTimeout: 15 * time.Second}, viewOf(t, reg, false, small...))}
	next := func(want string) (nonce string) {
		t.Helper()
		out := p.do(Writable{})
		if p.wake = out.Wake; out.Response == nil {
			if want != "" {
				t.Errorf("nothing is sent, want %s", want)
			}
			return ""
		}
		m := &discoveryv3.DiscoveryResponse{}
		decode(t, out.Response, m)
		c := &clusterv3.Cluster{}
		if err := m.Resources[0].UnmarshalTo(c); err != nil || c.AltStatName != want {
			t.Errorf("version %q, want %q (%v)", c.AltStatName, want, err)
		}
		return m.Nonce
	}
	ask := func(nonce string, refusal *rpcstatus.Status) {
		t.Helper()
		p.do(SotWRequest{DiscoveryRequest: &discoveryv3.DiscoveryRequest{TypeUrl: bundle.ClusterType, ResponseNonce: nonce, ErrorDetail: refusal}})
	}
	lead := func(version string) { p.do(ViewChange{View: viewOf(t, reg, false, "cds/c1/"+version, "eds/c1/1")}) }
	ask("", nil)
	first := next("1")
	ask(first, nil)
	lead("2")
	second := next("2")
	lead("3")
	third := next("3")
	ask(second, &rpcstatus.Status{Message: "no"})
	ask(third, &rpcstatus.Status{Message: "no"}) // perhaps for what was wrong with the second
	fourth := next("3")
	ask(fourth, &rpcstatus.Status{Message: "no"})
	next("")
	if n := p.s.NACKs(); len(n) != 2 {
		t.Errorf("refusals %+v", n)
	}
}
