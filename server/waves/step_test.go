package waves

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/compiler/rollout"
)

// fleet is a number of proxies that acknowledge what they are led to, each after a while; one may refuse a bundle.
type fleet struct {
	t       *testing.T
	now     time.Time
	state   State
	proxies []rollout.Proxy
	has     map[string]string
	refuses map[string]string // bundle by proxy
	silent  map[string]bool
	said    []string
	probe   string
	errors  string
}

func newFleet(t *testing.T, n int) *fleet {
	f := &fleet{t: t, now: time.Unix(1000, 0), has: map[string]string{}, refuses: map[string]string{}, silent: map[string]bool{}}
	for i := range n {
		f.proxies = append(f.proxies, rollout.Proxy{ID: fmt.Sprint("p", i), Namespace: "shop", Labels: map[string]string{"app": []string{"web", "api"}[i%2]}, Locality: "eu/" + []string{"a", "b"}[i%2], Cluster: "c"})
	}
	return f
}

// do takes an event in, by way of what is kept on disk, and returns what was said.
func (f *fleet) do(e Event) string {
	f.t.Helper()
	text, err := json.Marshal(f.state)
	if err != nil {
		f.t.Fatal(err)
	}
	var kept State
	if err := json.Unmarshal(text, &kept); err != nil {
		f.t.Fatal(err)
	}
	next, actions := Step(kept, e)
	led := false
	var said []string
	for _, a := range actions {
		switch a := a.(type) {
		case Lead:
			led = true
		case Tell:
			said = append(said, strings.TrimSpace(fmt.Sprint(a.What, " ", a.Bundle, " ", a.Wave)))
		}
	}
	for _, p := range f.proxies {
		if before, now := f.state.Leads(p), next.Leads(p); before != now && !led {
			f.t.Errorf("%s is led from %s to %s without a word", p.ID, before, now)
		}
	}
	f.state = next
	f.said = append(f.said, said...)
	return strings.Join(said, "; ")
}

// look has the proxies acknowledge, and tells so.
func (f *fleet) look(after time.Duration) string {
	f.t.Helper()
	f.now = f.now.Add(after)
	e := Looked{Now: f.now, Probe: f.probe, Errors: f.errors}
	for _, p := range f.proxies {
		to := f.state.Leads(p)
		s := Seen{Proxy: p, Bundle: to}
		switch {
		case f.refuses[p.ID] == to:
			s.Refusal = &Refusal{Node: p.ID, Resources: []string{"80/a"}, Origins: []string{"mesh.yaml:12"}, Error: "bad"}
		case !f.silent[p.ID]:
			f.has[p.ID] = to
			s.Synced = true
		}
		e.Proxies = append(e.Proxies, s)
	}
	return f.do(e)
}

func (f *fleet) arrive(bundle string, p rollout.Plan) string {
	f.t.Helper()
	return f.do(Arrived{Now: f.now, Bundle: bundle, Plan: p})
}

func (f *fleet) have(bundle string) (n int) {
	for _, b := range f.has {
		if b == bundle {
			n++
		}
	}
	return n
}

func minutes(n int) rollout.Duration { return rollout.Duration(time.Duration(n) * time.Minute) }

func plan() rollout.Plan {
	return rollout.Plan{Waves: []rollout.Wave{
		{Name: "canary", Selector: &rollout.Selector{MatchLabels: map[string]string{"app": "web"}}, Percent: 10, Bake: minutes(5)},
		{Name: "zone", Locality: "eu/a", Bake: minutes(1)},
	}}
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

// TestWaves: each wave acknowledges and bakes before the next begins, and all others follow the last.
func TestWaves(t *testing.T) {
	f := newFleet(t, 40)
	f.arrive("a", rollout.Plan{})
	f.look(0)
	expect(t, f.arrive("b", plan()), "began b canary")
	expect(t, f.look(0), "") // who is in a share is decided with the first look
	expect(t, f.look(time.Second), "baking b canary")
	if f.have("b") != 2 { // a tenth of 20
		t.Errorf("%d proxies have it", f.have("b"))
	}
	expect(t, f.look(4*time.Minute), "")
	expect(t, f.look(time.Minute), "began b zone")
	f.silent["p4"] = true // of the zone
	expect(t, f.look(time.Second), "")
	f.silent["p4"] = false
	expect(t, f.look(time.Second), "baking b zone")
	if f.have("b") != 20 {
		t.Errorf("%d proxies have it", f.have("b"))
	}
	expect(t, f.look(time.Minute), "began b all others")
	expect(t, f.look(time.Second), "completed b")
	if f.have("b") != 40 || f.state.Base != "b" || !slices.Equal(f.state.Before, []string{"a"}) {
		t.Errorf("%d proxies have it, %+v", f.have("b"), f.state)
	}
}

// TestGoesBack: whatever goes wrong in a wave leads it back, reaches no second wave, and is not begun again before somebody
// says so.
func TestGoesBack(t *testing.T) {
	for name, wrong := range map[string]func(*fleet){
		"refusal": func(f *fleet) { f.refuses["p0"] = "b" },
		"probe":   func(f *fleet) { f.probe = "probe: 503" },
		"errors":  func(f *fleet) { f.errors = "12 % of 100 answers" },
		"silence": func(f *fleet) { f.silent["p0"] = true },
		"no such one": func(f *fleet) {
			f.proxies = slices.DeleteFunc(f.proxies, func(p rollout.Proxy) bool { return p.Labels["app"] == "web" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 40)
			f.arrive("a", rollout.Plan{})
			f.look(0)
			wrong(f)
			p := plan()
			p.Waves[0].Percent = 0
			f.arrive("b", p)
			for range 3 {
				f.look(10 * time.Minute)
			}
			f.probe, f.errors = "", ""
			f.look(time.Minute)
			if f.have("b") > 0 && name != "silence" || f.state.Base != "a" || f.state.Run != nil || !slices.Contains(f.said, "went-back b canary") || slices.Contains(f.said, "began b zone") {
				t.Fatalf("%v %+v", f.said, f.state)
			}
			if r := f.state.Failed[0].Refusal; (r != nil) != (name == "refusal") {
				t.Errorf("%+v", r)
			}
			expect(t, f.arrive("b", p), "") // the source looks again and again
			expect(t, f.arrive("a", p), "")
			expect(t, f.arrive("b", p), "waits b canary")
			f.refuses, f.silent = map[string]string{}, map[string]bool{}
			expect(t, f.do(Released{Now: f.now, Plan: p}), "released b; began b canary")
		})
	}
}

// TestRollback: a rollback ends what is under way and holds until it is released.
func TestRollback(t *testing.T) {
	f := newFleet(t, 10)
	f.arrive("a", rollout.Plan{})
	f.arrive("b", rollout.Plan{})
	f.look(time.Second)
	f.arrive("c", plan())
	expect(t, f.do(RolledBack{Now: f.now, To: "a"}), "rolled-back a")
	f.look(time.Second)
	if f.have("a") != 10 || f.state.Run != nil || f.state.Before[0] != "b" {
		t.Errorf("%+v", f.state)
	}
	expect(t, f.arrive("d", plan()), "waits d")
	expect(t, f.arrive("d", plan()), "")
	f.look(time.Hour)
	if f.have("a") != 10 {
		t.Error("what arrived was taken")
	}
	expect(t, f.do(Released{Now: f.now, Plan: plan()}), "released d; began d canary")
}

// TestNewer: what is newer takes the place of what is under way, from the first wave on; what is the base ends it.
func TestNewer(t *testing.T) {
	f := newFleet(t, 40)
	f.arrive("a", rollout.Plan{})
	f.arrive("b", plan())
	f.look(0)
	f.look(time.Second)
	f.look(5 * time.Minute)
	expect(t, f.arrive("c", plan()), "dropped b zone; began c canary")
	f.look(0)
	f.look(time.Second)
	if f.have("b") != 0 || f.have("c") != 2 {
		t.Errorf("%v", f.has)
	}
	expect(t, f.arrive("a", plan()), "dropped c canary")
	f.look(time.Second)
	if f.have("a") != 40 {
		t.Errorf("%v", f.has)
	}
	expect(t, f.arrive("d", rollout.Plan{}), "switched d")
}

// TestChannels: a channel holds its proxies on its bundle whatever else happens, and a rollout does not count them.
func TestChannels(t *testing.T) {
	f := newFleet(t, 10)
	f.proxies[0].Labels = map[string]string{"app": "web", "istio.io/rev": "stable"}
	f.arrive("a", rollout.Plan{})
	held := rollout.Plan{Channels: []rollout.Channel{{Name: "stable", Bundle: "a"}}}
	f.arrive("b", held)
	f.look(time.Second)
	if f.have("a") != 1 || f.has["p0"] != "a" {
		t.Errorf("%v", f.has)
	}
	p := plan()
	p.Channels, p.ChannelLabel = held.Channels, "track"
	f.arrive("b", p)
	f.look(time.Second)
	if f.have("a") != 0 {
		t.Errorf("another label: %v", f.has)
	}
	if got := f.state.Bundles(); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("%v", got)
	}
}

// TestOptional: a wave that may be empty takes its time and no more.
func TestOptional(t *testing.T) {
	f := newFleet(t, 4)
	f.arrive("a", rollout.Plan{})
	f.arrive("b", rollout.Plan{Waves: []rollout.Wave{{Name: "far", Cluster: "other", Bake: minutes(2), Optional: true}}})
	expect(t, f.look(time.Second), "baking b far")
	expect(t, f.look(time.Minute), "")
	expect(t, f.look(time.Minute), "began b all others")
}

// TestNeverTwo: whatever happens in whatever order, no proxy is led to a bundle that was refused before somebody released it,
// a state survives its encoding, and a wave begins only when those before it have acknowledged.
func TestNeverTwo(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		f := newFleet(t, 12)
		f.arrive("a", rollout.Plan{})
		bad := map[string]bool{}
		for step := range 60 {
			bundle := string(rune('a' + r.IntN(5)))
			switch r.IntN(8) {
			case 0:
				f.refuses[fmt.Sprint("p", r.IntN(12))] = bundle
			case 1:
				f.arrive(bundle, plan())
			case 2:
				if r.IntN(4) == 0 {
					f.do(RolledBack{Now: f.now, To: bundle})
					delete(bad, bundle) // a person wants it
				}
			case 3:
				if r.IntN(4) == 0 {
					delete(bad, f.state.Newest)
					f.do(Released{Now: f.now, Plan: plan()})
				}
			default:
				before := f.state.Run
				f.look(time.Duration(r.IntN(400)) * time.Second)
				if before != nil && f.state.Run == nil && f.state.Base != before.Bundle {
					bad[before.Bundle] = true
				}
			}
			if run := f.state.Run; run != nil && bad[run.Bundle] {
				t.Fatalf("seed %d, step %d: %s is begun again: %v", seed, step, run.Bundle, f.said)
			}
			var again State
			if text, err := json.Marshal(f.state); err != nil || json.Unmarshal(text, &again) != nil || !reflect.DeepEqual(mustJSON(again), mustJSON(f.state)) {
				t.Fatalf("seed %d: the state does not survive: %v", seed, err)
			}
		}
	}
}

func mustJSON(s State) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}
