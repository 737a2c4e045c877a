package ads

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"maps"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/watchdog"
)

// Bounds of one input of the fuzz target.
const (
	maxFuzzEvents    = 150
	maxFuzzResponses = 600 // answers to one event
)

// stages are bundles that a proxy may be led to, as words of mesh.
func stages() [][]string {
	base := []string{"cds/c1/1", "eds/c1/1", "cds/c2/1", "eds/c2/1", "lds/l/1", "lds/m/1", "rds/80", "rds/90", "vhds/80/a/1", "vhds/80/b/1", "vhds/90/a/1"}
	return [][]string{
		base,
		{"cds/c1/2", "eds/c1/1", "cds/c3/1", "eds/c3/1", "lds/l/1", "lds/m/2", "rds/80", "vhds/80/a/2", "vhds/80/b/>c3", "vhds/80/d/1"},
		{"cds/c1/1", "eds/c1/2", "lds/l/2", "rds/80", "rds/90", "rds/100", "vhds/80/a/1", "vhds/80/b/2", "vhds/80/c/1", "vhds/80/d/2", "vhds/90/a/2"},
		{"cds/c2/1", "eds/c2/1", "lds/m/1"},
	}
}

// fuzzed reads choices off the input; it ends in zeros.
type fuzzed struct{ data []byte }

func (f *fuzzed) pick(n int) int {
	if len(f.data) == 0 {
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return int(b) % n
}

func (f *fuzzed) flip() bool { return f.pick(2) == 1 }

// some picks some of those that there are, and some that are not.
func (f *fuzzed) some() (out []string) {
	all := []string{"*", "c1", "c2", "c3", "l", "m", "80", "90", "100", "80/a", "80/b", "80/c", "80/d", "90/a", "80/", "", "none", "default", "a/b"}
	for range f.pick(4) {
		out = append(out, all[f.pick(len(all))])
	}
	return out
}

// walk is a stream with a proxy that answers, honest or not.
type walk struct {
	t     testing.TB
	delta bool
	in    *fuzzed
	regs  []*Registry
	seals []*bundle.Bundle
	s     *Stream
	now   time.Time
	trace bytes.Buffer // all that was sent

	bad    uint32 // resources whose version has this remainder are refused; 0: none
	held   [Kinds]map[string]string
	names  [Kinds][]string // of state of the world, as asked for
	asked  [Kinds]bool
	nonces map[string]bool
	open   []answer // responses that are not answered yet
	over   bool     // the stream has ended
}

type answer struct {
	kind  Kind
	nonce string
	good  bool
	take  func()
}

func newWalk(t testing.TB, in *fuzzed, seals []*bundle.Bundle) *walk {
	w := &walk{t: t, in: in, seals: seals, now: time.Unix(0, 0), nonces: map[string]bool{}, regs: []*Registry{NewRegistry(), NewRegistry()}}
	w.delta = in.flip()
	w.bad = uint32(in.pick(8))
	for k := range w.held {
		w.held[k] = map[string]string{}
	}
	w.s = NewStream(Options{Delta: w.delta, Grace: time.Second, AckTimeout: 3 * time.Second}, viewIn(t, w.regs[0], w.delta, seals[0]))
	return w
}

func (w *walk) refuses(version string) bool {
	h := fnv.New32()
	_, _ = h.Write([]byte(version))
	return w.bad != 0 && h.Sum32()%8 == w.bad
}

func (w *walk) step(e Event) {
	out, err := w.s.Step(w.now, e)
	if err != nil {
		w.over = true
		return
	}
	if out.Pending {
		w.flush()
	}
}

// flush takes all that is to be sent now.
func (w *walk) flush() (wake time.Time) {
	for n := 0; ; n++ {
		out, err := w.s.Step(w.now, Writable{})
		if err != nil {
			w.t.Fatal(err)
		}
		if out.Response == nil {
			return out.Wake
		}
		if n > maxFuzzResponses {
			w.t.Fatal("no end of responses")
		}
		w.receive(out.Response)
	}
}

func (w *walk) receive(r *Response) {
	k := r.Kind
	if w.nonces[r.Nonce] {
		w.t.Errorf("nonce %s comes twice", r.Nonce)
	}
	w.nonces[r.Nonce] = true
	if !w.asked[k] {
		w.t.Errorf("%v was not asked for", k)
	}
	now := map[string]string{}
	var removed []string
	if w.delta {
		m := decodeDelta(w.t, r)
		for _, x := range m.Resources {
			now[x.Name] = x.Version
		}
		removed = m.RemovedResources
	} else {
		m := &discoveryv3.DiscoveryResponse{}
		decode(w.t, r, m)
		for _, x := range m.Resources {
			name, version := w.identify(k, x.Value)
			if _, twice := now[name]; twice {
				w.t.Errorf("%v %s is in one response twice", k, name)
			}
			now[name] = version
		}
	}
	fmt.Fprintf(&w.trace, "%v %s %v %q\n", k, r.Nonce, now, removed)
	good := true
	for _, version := range now {
		good = good && !w.refuses(version)
	}
	w.open = append(w.open, answer{k, r.Nonce, good, func() {
		if !w.delta && (k == Clusters || k == Listeners) {
			clear(w.held[k])
		}
		for _, name := range removed {
			delete(w.held[k], name)
		}
		maps.Copy(w.held[k], now)
	}})
}

// identify finds the resource that a message of state of the world is.
func (w *walk) identify(k Kind, message []byte) (name, version string) {
	for _, reg := range w.regs {
		for _, e := range reg.List(k) {
			if len(message) > 0 && bytes.Equal(e.value, message) {
				return e.Name, w.versionOf(e)
			}
		}
	}
	w.t.Errorf("%v: a message that no bundle has", k)
	return "", ""
}

// versionOf is what tells versions apart for the proxy: state of the world has messages only, and those of endpoints are sent
// again with their cluster.
func (w *walk) versionOf(e *Entry) string {
	if w.delta {
		return e.Version
	}
	return Version(sha256.Sum256(e.value))
}

// answerNext acknowledges the oldest response, or refuses it if it holds something bad.
func (w *walk) answerNext() {
	a := w.open[0]
	w.open = w.open[1:]
	var refusal *rpcstatus.Status
	if a.good {
		a.take()
	} else {
		refusal = &rpcstatus.Status{Message: "no"}
	}
	if w.delta {
		w.step(DeltaRequest{DeltaDiscoveryRequest: &discoveryv3.DeltaDiscoveryRequest{TypeUrl: a.kind.URL(), ResponseNonce: a.nonce, ErrorDetail: refusal}})
		return
	}
	w.step(SotWRequest{DiscoveryRequest: &discoveryv3.DiscoveryRequest{TypeUrl: a.kind.URL(), ResponseNonce: a.nonce, ErrorDetail: refusal, ResourceNames: w.names[a.kind]}})
}

// kinds are those that the protocol has.
func (w *walk) kinds() []Kind {
	if w.delta {
		return []Kind{Clusters, Endpoints, Listeners, Routes, VirtualHosts}
	}
	return []Kind{Clusters, Endpoints, Listeners, InlinedRoutes}
}

// lead goes to another bundle, or to the same one numbered anew.
func (w *walk) lead() {
	w.step(ViewChange{View: viewIn(w.t, w.regs[w.in.pick(len(w.regs))], w.delta, w.seals[w.in.pick(len(w.seals))])})
}

// everything are the names that any of the stages has, for state of the world, which has no wildcard for them.
func everything(k Kind) []string {
	if k == Endpoints {
		return []string{"c1", "c2", "c3"}
	}
	return []string{"80", "90", "100"}
}

// honest does one thing that a real proxy may do, or the server.
func (w *walk) honest() {
	list := w.kinds()
	k := list[w.in.pick(len(list))]
	switch w.in.pick(6) {
	case 0, 1:
		if len(w.open) > 0 {
			w.answerNext()
		}
	case 2:
		w.lead()
	case 3:
		w.now = w.now.Add(time.Duration(w.in.pick(5)) * time.Second)
		w.flush()
	default:
		w.ask(k)
	}
}

// ask subscribes to all of a kind, once.
func (w *walk) ask(k Kind) {
	if w.asked[k] {
		return
	}
	w.asked[k] = true
	if w.delta {
		w.step(DeltaRequest{DeltaDiscoveryRequest: &discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.URL(), ResourceNamesSubscribe: []string{"*"}}})
		return
	}
	if k == Endpoints || k == InlinedRoutes {
		w.names[k] = everything(k)
	}
	w.step(SotWRequest{DiscoveryRequest: &discoveryv3.DiscoveryRequest{TypeUrl: k.URL(), ResourceNames: w.names[k]}})
}

// settle has all answered, and lets the time pass that the machine waits for.
func (w *walk) settle() {
	for _, k := range w.kinds() {
		w.ask(k)
	}
	for range 5000 {
		wake := w.flush()
		switch {
		case len(w.open) > 0:
			w.answerNext()
		case !wake.IsZero():
			w.now = wake
		default:
			return
		}
	}
	w.t.Fatal("it does not come to rest")
}

// check holds what an honest proxy has in the end against the view: all that it does not refuse, and nothing that is gone.
func (w *walk) check() {
	v := w.s.View()
	target := func(k Kind) map[string]string {
		out := map[string]string{}
		v.Target[k].Each(func(id int32) {
			e := v.Registry.List(k)[id]
			out[e.Name] = w.versionOf(e)
		})
		return out
	}
	dependent := false // on a cluster or endpoints that are refused: these wait with their old version
	for _, k := range []Kind{Clusters, Endpoints} {
		for _, version := range target(k) {
			dependent = dependent || w.refuses(version)
		}
	}
	for _, k := range w.kinds() {
		want := target(k)
		for name, version := range want {
			if has := w.held[k][name]; has != version && !w.refuses(version) && !(dependent && k >= Listeners) && !(k == VirtualHosts && w.held[Routes][strings.Split(name, "/")[0]] == "") {
				w.t.Errorf("%v %s is held in version %q, and is to be in %q", k, name, has, version)
			}
		}
		if !w.delta && k != Clusters && k != Listeners {
			continue // what is gone of these is not said by state of the world
		}
		for name := range w.held[k] {
			if want[name] == "" && !dependent {
				w.t.Errorf("%v %s is held, and is gone", k, name)
			}
		}
	}
}

// hostile does anything.
func (w *walk) hostile() {
	urls := []string{bundle.ClusterType, bundle.EndpointsType, bundle.ListenerType, bundle.RouteConfigurationType, bundle.VirtualHostType, SecretType, "", "nonsense", "type.googleapis.com/istio.workload.Address"}
	url := urls[w.in.pick(len(urls))]
	nonce := ""
	if w.in.flip() {
		nonce = fmt.Sprint(w.in.pick(12))
	}
	var refusal *rpcstatus.Status
	if w.in.pick(3) == 0 {
		refusal = &rpcstatus.Status{Message: strings.Join(w.in.some(), " ")}
	}
	if k, ok := kindOf(url, w.delta); ok {
		w.asked[k] = true
	}
	switch w.in.pick(8) {
	case 0:
		w.lead()
	case 1:
		w.now = w.now.Add(time.Duration(w.in.pick(9)-1) * time.Second) // clocks are set back, too
		w.flush()
	case 2:
		e := SecretChange{}
		e.Secrets = w.secrets(w.s.NeedsSecrets(e))
		w.step(e)
	default:
		if w.delta {
			e := DeltaRequest{DeltaDiscoveryRequest: &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, ResponseNonce: nonce, ErrorDetail: refusal, ResourceNamesSubscribe: w.in.some(), ResourceNamesUnsubscribe: w.in.some()}}
			if w.in.flip() {
				e.InitialResourceVersions = map[string]string{}
				for _, name := range w.in.some() {
					e.InitialResourceVersions[name] = w.version(name)
				}
			}
			e.Secrets = w.secrets(w.s.NeedsSecrets(e))
			w.step(e)
			return
		}
		e := SotWRequest{DiscoveryRequest: &discoveryv3.DiscoveryRequest{TypeUrl: url, ResponseNonce: nonce, ErrorDetail: refusal, ResourceNames: w.in.some()}}
		if w.in.flip() {
			e.VersionInfo = "1"
		}
		e.Secrets = w.secrets(w.s.NeedsSecrets(e))
		w.step(e)
	}
}

// version is one that some bundle has of the name, or none.
func (w *walk) version(name string) string {
	var all []string
	for k := range Kinds {
		for _, e := range w.regs[0].List(k) {
			if e.Name == name {
				all = append(all, e.Version)
			}
		}
	}
	return append(all, "x")[w.in.pick(len(all)+1)]
}

func (w *walk) secrets(names []string) map[string]Secret {
	out := map[string]Secret{}
	for _, name := range names {
		out[name] = []Secret{{Missing: "none"}, {Message: []byte("1 " + name)}, {Message: []byte("2 " + name)}, {Missing: "wait", Waiting: true}}[w.in.pick(4)]
	}
	return out
}

// bounded holds what the stream remembers to its limits.
func (w *walk) bounded() {
	for k := range w.s.subs {
		sub := &w.s.subs[k]
		if len(sub.sent) > limit.StreamUnanswered || len(sub.others)+len(sub.stale)+len(sub.missing) > 100 || len(sub.refused) > 200 || len(sub.suspects) > 200 {
			w.t.Errorf("%v: %d sent, %d others, %d stale, %d missing, %d refused, %d suspects", Kind(k), len(sub.sent), len(sub.others), len(sub.stale), len(sub.missing), len(sub.refused), len(sub.suspects))
		}
	}
	if len(w.s.nacks) > limit.StreamRefusals || len(w.s.unserved) > limit.StreamUnserved {
		w.t.Errorf("%d refusals, %d types", len(w.s.nacks), len(w.s.unserved))
	}
}

// run plays an input and returns all that was sent.
func run(t testing.TB, data []byte, seals []*bundle.Bundle) string {
	in := &fuzzed{data}
	w := newWalk(t, in, seals)
	isHonest := in.flip()
	for n := 0; len(in.data) > 0 && n < maxFuzzEvents && !w.over; n++ {
		if isHonest {
			w.honest()
		} else {
			w.hostile()
		}
		w.bounded()
		_ = w.s.Synced()
	}
	if isHonest && !w.over {
		w.settle()
		w.check()
		if refused := w.bad != 0; !refused && !w.s.Synced() {
			t.Error("a proxy that has taken all is not synced")
		}
	}
	return w.trace.String()
}

// Whatever a proxy asks and answers, in whatever order, while bundles change: the machine answers what was asked for, comes
// to an end, remembers no more than it may, and does the same with the same events; and a proxy that means well ends with
// all of the bundle in service that it does not refuse.
func FuzzStream(f *testing.F) {
	var seals []*bundle.Bundle
	for _, words := range stages() {
		seals = append(seals, viewOf(f, NewRegistry(), true, words...).Bundle)
	}
	for seed := range 64 {
		h := fnv.New64()
		data := []byte{byte(seed), byte(seed / 2), byte(seed / 4)}
		for range 24 {
			_, _ = h.Write([]byte{byte(seed)})
			data = h.Sum(data)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		defer watchdog.Watch(t)()
		if first, second := run(t, data, seals), run(t, data, seals); first != second {
			t.Errorf("the same events give\n%s\nand\n%s", first, second)
		}
	})
}
