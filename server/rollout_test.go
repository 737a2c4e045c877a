package server

import (
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/server/waves"
)

// memory is a store in memory.
type memory struct {
	kept  map[string]*bundle.Bundle
	state []byte
	full  bool // the disk is
}

func (m *memory) keep(list ...*bundle.Bundle) *memory {
	if m.kept == nil {
		m.kept = map[string]*bundle.Bundle{}
	}
	for _, b := range list {
		m.kept[b.Digest.String()] = b
	}
	return m
}

func (m *memory) Bundle(digest string) (*bundle.Bundle, error) { return m.kept[digest], nil }
func (m *memory) State() ([]byte, error)                       { return m.state, nil }

func (m *memory) List() (out []bundle.Kept, err error) {
	for _, d := range slices.Sorted(maps.Keys(m.kept)) {
		out = append(out, bundle.Kept{Bundle: d})
	}
	return out, nil
}

func (m *memory) Save(state []byte, needed []string) error {
	if m.full {
		return errors.New("no space left on device")
	}
	for _, d := range needed {
		if m.kept[d] == nil {
			return fmt.Errorf("%s is needed and not kept", d)
		}
	}
	m.state = slices.Clone(state)
	return nil
}

// three are bundles that differ in one virtual host.
func three(t testing.TB) (a, b, c *bundle.Bundle) {
	with := func(domain string) *bundle.Bundle {
		return sealed(t, append(without(base(1), "80/a"), vhs("80", "a", domain))...)
	}
	return with("a"), with("better"), with("best")
}

// by gives a bundle a plan.
func by(b *bundle.Bundle, p rollout.Plan) *bundle.Bundle {
	b.Rollout = &p
	return b
}

// canary is a plan whose first wave are the proxies of the track canary.
func canary(channels ...rollout.Channel) rollout.Plan {
	return rollout.Plan{Waves: []rollout.Wave{{Name: "canary", Selector: &rollout.Selector{MatchLabels: map[string]string{"track": "canary"}}, Bake: rollout.Duration(time.Minute)}}, Channels: channels}
}

// labeled connects a proxy with more labels, and has it acknowledge the base.
func labeled(t testing.TB, c discoveryv3.AggregatedDiscoveryServiceClient, name string, labels map[string]any) *proxy {
	t.Helper()
	p := connect(t, c)
	all := map[string]any{"app": "a"}
	maps.Copy(all, labels)
	n := node(all)
	n.Id = "sidecar~10.0.0.1~" + name + ".default~default.svc.cluster.local"
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType, Node: n})
	p.warmed()
	return p
}

// begun is a server that serves a bundle and keeps some, with its first state on disk.
func begun(t testing.TB, b *bundle.Bundle, m *memory) (*Server, discoveryv3.AggregatedDiscoveryServiceClient) {
	t.Helper()
	srv, c := start(t, b, Options{Store: m})
	if err := srv.begin(b); err != nil {
		t.Fatal(err)
	}
	return srv, c
}

// await waits until the server has taken in what the proxies answered.
func await(t testing.TB, srv *Server, what string, ok func(Status) bool) Status {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		st := srv.Status()
		if ok(st) {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %+v", what, st)
		}
	}
}

func synced(st Status) bool {
	return !slices.ContainsFunc(st.Nodes, func(n NodeStatus) bool { return !n.Synced })
}

// TestRollBack: everybody is sent what differs from the earlier bundle, what arrives waits, a restart changes nothing, and a
// release takes the newest.
func TestRollBack(t *testing.T) {
	a, b, c := three(t)
	m := (&memory{}).keep(a, b, c)
	srv, client := begun(t, a, m)
	p := labeled(t, client, "p", nil)
	if err := srv.Switch(b); err != nil {
		t.Fatal(err)
	}
	p.ack(p.want("vhds +80/a"))
	out, err := srv.RollBack("")
	if err != nil || out.Bundle != a.Digest.String() || out.Before != b.Digest.String() {
		t.Fatalf("%+v, %v", out, err)
	}
	p.ack(p.want("vhds +80/a"))
	if err := srv.Switch(c); err != nil {
		t.Fatal(err)
	}
	p.quiet()
	st := await(t, srv, "held", synced)
	if st.Held == nil || st.Bundle != a.Digest.String() || st.Newest != c.Digest.String() {
		t.Errorf("%+v", st)
	}
	again := New(c, Options{Store: m})
	if err := again.begin(c); err != nil {
		t.Fatal(err)
	}
	if st := again.Status(); st.Held == nil || st.Bundle != a.Digest.String() || st.Newest != c.Digest.String() {
		t.Errorf("after a restart: %+v", st)
	}
	if _, err := srv.Release(); err != nil {
		t.Fatal(err)
	}
	p.ack(p.want("vhds +80/a"))
	if st := await(t, srv, "released", synced); st.Held != nil || st.Bundle != c.Digest.String() {
		t.Errorf("%+v", st)
	}
	if _, err := srv.RollBack("sha256:" + strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "is not kept") {
		t.Errorf("an unknown digest: %v", err)
	}
	p.quiet()
}

// TestWavesOverStreams: a wave is sent a bundle and all others are not; a restart goes on in the middle; when the wave has
// acknowledged and baked, the others get it.
func TestWavesOverStreams(t *testing.T) {
	a, b, _ := three(t)
	m := (&memory{}).keep(a, by(b, canary()))
	srv, client := begun(t, a, m)
	first, other := labeled(t, client, "first", map[string]any{"track": "canary"}), labeled(t, client, "other", nil)
	if err := srv.Switch(b); err != nil {
		t.Fatal(err)
	}
	r := first.want("vhds +80/a")
	other.quiet()
	srv.advanceRollout(time.Now().Add(time.Second))
	if st := srv.Status(); st.Rollout == nil || st.Rollout.Waves[0].State != waves.StateAcknowledging || st.Rollout.Waves[0].Proxies != 1 || st.Rollout.Waves[0].Acked != 0 || st.Bundle != a.Digest.String() {
		t.Errorf("%+v", st.Rollout)
	}
	again := New(a, Options{Store: m})
	if err := again.begin(b); err != nil {
		t.Fatal(err)
	}
	if st := again.Status(); st.Rollout == nil || st.Bundle != a.Digest.String() {
		t.Errorf("after a restart: %+v", st)
	}
	first.ack(r)
	await(t, srv, "acknowledged", synced)
	srv.advanceRollout(time.Now())
	if st := srv.Status(); st.Rollout.Waves[0].State != waves.StateBaking || st.Rollout.Waves[0].Acked != 1 {
		t.Errorf("%+v", st.Rollout)
	}
	other.quiet()
	srv.advanceRollout(time.Now().Add(2 * time.Minute))
	other.ack(other.want("vhds +80/a"))
	await(t, srv, "acknowledged", synced)
	srv.advanceRollout(time.Now().Add(2 * time.Minute))
	if st := srv.Status(); st.Rollout != nil || st.Bundle != b.Digest.String() {
		t.Errorf("%+v", st)
	}
	first.quiet()
}

// TestRefusalGoesBack: a refusal leads the wave back and is told with the source line; nobody else is sent any of it, not even
// when the source brings it again, until somebody releases it.
func TestRefusalGoesBack(t *testing.T) {
	a, b, c := three(t)
	m := (&memory{}).keep(a, by(b, canary()), by(c, canary()))
	srv, client := begun(t, a, m)
	first, other := labeled(t, client, "first", map[string]any{"track": "canary"}), labeled(t, client, "other", nil)
	if err := srv.Switch(b); err != nil {
		t.Fatal(err)
	}
	first.nack(first.want("vhds +80/a"), "no such domain")
	await(t, srv, "refused", func(st Status) bool { return len(st.Nodes[0].NACKs) > 0 })
	srv.advanceRollout(time.Now())
	first.ack(first.want("vhds +80/a")) // that of the base
	st := await(t, srv, "led back", synced)
	if st.Rollout != nil || st.Bundle != a.Digest.String() || len(st.Failed) != 1 {
		t.Fatalf("%+v", st)
	}
	if why := st.Failure(b.Digest.String()); !strings.Contains(why, "wave canary") || !strings.Contains(why, "mesh.yaml:12") || !strings.Contains(why, "no such domain") {
		t.Error(why)
	}
	for range 2 {
		if err := srv.Switch(b); err != nil {
			t.Fatal(err)
		}
		srv.advanceRollout(time.Now().Add(time.Hour))
	}
	first.quiet()
	other.quiet()
	if err := srv.Switch(c); err != nil {
		t.Fatal(err)
	}
	first.ack(first.want("vhds +80/a"))
	other.quiet()
}

// TestChannelsOverStreams: a channel holds its proxies over all that arrives; a channel with a bundle that nobody has keeps the
// bundle that says so out of service.
func TestChannelsOverStreams(t *testing.T) {
	a, b, c := three(t)
	stable := rollout.Channel{Name: "stable", Bundle: a.Digest.String()}
	m := (&memory{}).keep(a, by(b, rollout.Plan{Channels: []rollout.Channel{stable}}), c)
	srv, client := begun(t, a, m)
	held, free := labeled(t, client, "held", map[string]any{"istio.io/rev": "stable"}), labeled(t, client, "free", nil)
	if err := srv.Switch(b); err != nil {
		t.Fatal(err)
	}
	free.ack(free.want("vhds +80/a"))
	held.quiet()
	st := await(t, srv, "synced", synced)
	if acked, all, _ := st.Arrived(b.Digest.String()); acked != 1 || all != 1 {
		t.Errorf("%d of %d", acked, all)
	}
	unknown := rollout.Channel{Name: "old", Bundle: "sha256:" + strings.Repeat("1", 64)}
	if err := srv.Switch(by(c, rollout.Plan{Channels: []rollout.Channel{unknown}})); err == nil || !strings.Contains(err.Error(), "the channel old") {
		t.Errorf("a channel with an unknown bundle: %v", err)
	}
	free.quiet()
	if err := srv.Switch(by(c, rollout.Plan{})); err != nil {
		t.Fatal(err)
	}
	free.ack(free.want("vhds +80/a"))
	held.ack(held.want("vhds +80/a"))
}

// TestFullDisk: a state that cannot be kept lets nothing new into service, and keeps nobody on what is bad.
func TestFullDisk(t *testing.T) {
	a, b, c := three(t)
	m := (&memory{}).keep(a, by(b, canary()), c)
	srv, client := begun(t, a, m)
	p := labeled(t, client, "p", map[string]any{"track": "canary"})
	m.full = true
	if err := srv.Switch(b); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
	p.quiet()
	m.full = false
	if err := srv.Switch(b); err != nil {
		t.Fatal(err)
	}
	p.ack(p.want("vhds +80/a"))
	m.full = true
	if _, err := srv.RollBack(""); err != nil {
		t.Fatal(err)
	}
	p.ack(p.want("vhds +80/a"))
	if st := await(t, srv, "rolled back", synced); !strings.Contains(st.Warning, "no space left") {
		t.Errorf("%q", st.Warning)
	}
}

// TestCommands: nobody changes anything without the token.
func TestCommands(t *testing.T) {
	a, b, _ := three(t)
	token := filepath.Join(t.TempDir(), "token")
	ask := func(srv *Server, path, body, shown string) (int, string) {
		r := httptest.NewRequest("POST", "http://127.0.0.1"+path, strings.NewReader(body))
		if shown != "" {
			r.Header.Set("Authorization", shown)
		}
		w := httptest.NewRecorder()
		srv.Admin().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if code, _ := ask(New(a, Options{}), "/rollback", "", "Bearer "); code != 403 {
		t.Errorf("without a token on the server: %d", code)
	}
	srv := New(a, Options{AdminToken: token})
	good := "a-token-of-some-length"
	if code, _ := ask(srv, "/rollback", "", "Bearer "+good); code != 500 {
		t.Errorf("with no such file: %d", code)
	}
	for _, short := range []string{"", "short"} {
		if err := os.WriteFile(token, []byte(short), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _ := ask(srv, "/rollback", "", "Bearer "+short); code != 500 {
			t.Errorf("with the token %q: %d", short, code)
		}
	}
	if err := os.WriteFile(token, []byte(good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{"", good, "Bearer", "Bearer ", "Bearer x" + good, "Basic " + good, "bearer " + good} {
		if code, body := ask(srv, "/rollback", "", shown); code != 401 || strings.Contains(body, good) {
			t.Errorf("%q: %d %s", shown, code, body)
		}
	}
	if err := srv.Switch(b); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{"": 409, `{"bundle":"sha256:1"}`: 404, `{"bundel":"x"}`: 400, "[": 400, strings.Repeat(" ", 1<<17): 400} {
		if code, text := ask(srv, "/rollback", body, "Bearer "+good); code != want && !(body == "" && code == 404) {
			t.Errorf("%.20q: %d %s", body, code, text)
		}
	}
	if srv.Status().Bundle != b.Digest.String() {
		t.Error("something has changed")
	}
}
