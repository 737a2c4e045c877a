//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/server"
	"github.com/meshc/meshc/server/waves"
)

// staged is the shop with a second client, which gets a bundle first, and more manifests.
func staged(more ...string) manifests {
	m := shop(100, "")
	m.pod("sidecar", "canary", "app: client, track: canary", "10.9.0.8", "http:8080")
	m.add("rollout.yaml", `
apiVersion: meshc.dev/v1alpha1
kind: MeshRollout
metadata: {name: waves, namespace: istio-system}
spec:
  waves:
  - {name: canary, selector: {matchLabels: {track: canary}}, bake: 4s}
  errors: {percent: 20, requests: 20, every: 1s}
`)
	for _, text := range more {
		m.add("more.yaml", "%s", text)
	}
	return m
}

// refused is what the compiler cannot know to be bad: a file that the proxy does not have.
const refused = `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: log, namespace: lab}
spec:
  configPatches:
  - applyTo: NETWORK_FILTER
    match: {context: SIDECAR_OUTBOUND, listener: {name: 0.0.0.0_80, filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: MERGE
      value:
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          access_log:
          - name: envoy.access_loggers.file
            typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /no/such/folder/log}
`

// staging is a lab whose server keeps bundles and reaches the proxies' metrics.
type staging struct {
	*Lab
	t     *testing.T
	token string
}

func stage(t *testing.T) *staging {
	t.Helper()
	dir := t.TempDir()
	s := &staging{t: t, token: filepath.Join(dir, "token")}
	if err := os.WriteFile(s.token, []byte("a-token-of-some-length"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	l, err := Start(ctx, built(t, Spec{Source: staged().write(t), ServeFlags: []string{"--keep", filepath.Join(dir, "keep"), "--admin-token", s.token}}))
	if err != nil {
		t.Fatal(err)
	}
	s.Lab = l
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("server: %s", l.Log("server"))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, argv := range [][]string{{"ip", "addr", "add", "10.8.0.1/32", "dev", "br0"}, {"ip", "route", "add", "10.0.0.0/8", "dev", "br0", "src", "10.8.0.1"}} {
		if err := l.net.hub.run(argv...); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *staging) apply(m manifests) {
	s.t.Helper()
	if err := s.Apply(context.Background(), m.write(s.t)); err != nil {
		s.t.Fatal(err)
	}
}

// status asks the server.
func (s *staging) status() (st server.Status, err error) {
	c := clientIn(s.net.hub, nil)
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://" + serverAdmin + "/status")
	if err != nil {
		return st, err
	}
	defer func() { _ = resp.Body.Close() }()
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

// until waits for a status.
func (s *staging) until(what string, ok func(server.Status) bool) (st server.Status) {
	s.t.Helper()
	eventually(s.t, func() (err error) {
		if st, err = s.status(); err == nil && !ok(st) {
			err = fmt.Errorf("%s: %+v", what, st)
		}
		return err
	})
	return st
}

// sentTo are the names of what was sent to a proxy since a push.
func (s *staging) sentTo(node string, since int) (names []string) {
	for _, p := range s.Pushes()[since:] {
		if strings.Contains(p.Node, "~"+node+".") {
			names = append(names, p.Names...)
		}
	}
	return names
}

// TestRolloutStopsAtRefusal: a bundle that Envoy refuses stops in its first wave, with the line of the source that made it; no
// other proxy is sent anything, and no request fails anywhere.
func TestRolloutStopsAtRefusal(t *testing.T) {
	require(t)
	s := stage(t)
	first := s.until("serving", func(st server.Status) bool { return len(st.Nodes) == 4 })
	rest, wave := startLoad(t, s.Lab, "client", Request{URL: "http://changed/"}, 2), startLoad(t, s.Lab, "canary", Request{URL: "http://changed/"}, 1)
	before := len(s.Pushes())
	s.apply(staged(refused))
	st := s.until("gone back", func(st server.Status) bool { return len(st.Failed) == 1 })
	f := st.Failed[0]
	if st.Bundle != first.Bundle || st.Rollout != nil || f.Wave != "canary" || f.Refusal == nil || !strings.Contains(f.Refusal.Error, "/no/such/folder") || !strings.Contains(fmt.Sprint(f.Refusal.Origins), "more.yaml:") {
		t.Errorf("%+v, %+v", st, f.Refusal)
	}
	s.until("all have the bundle before", func(st server.Status) bool {
		acked, all, _ := st.Arrived(first.Bundle)
		return acked == 4 && all == 4
	})
	for _, node := range []string{"client", "web-v1", "web-v2"} {
		if names := s.sentTo(node, before); len(names) > 0 {
			t.Errorf("%s was sent %v", node, names)
		}
	}
	for what, ld := range map[string]*load{"the others": rest, "the wave": wave} {
		if failures := ld.end(); len(failures) > 0 {
			t.Errorf("%d requests of %s failed, the first: %s", len(failures), what, failures[0])
		}
	}
	var refusals []string
	for _, r := range s.Rejections() {
		refusals = append(refusals, r.Node)
		if !strings.Contains(r.Node, "~canary.") {
			t.Errorf("%s refused %s: %s", r.Node, r.Type, r.Message)
		}
	}
	if len(refusals) == 0 {
		t.Error("nobody refused anything")
	}
}

// TestRolloutGoesBackByErrors: a bundle whose first wave answers with errors goes back by itself, and requests of the others
// never fail; a good one then reaches everybody, wave by wave.
func TestRolloutGoesBackByErrors(t *testing.T) {
	require(t)
	s := stage(t)
	first := s.until("serving", func(st server.Status) bool { return len(st.Nodes) == 4 })
	rest, wave := startLoad(t, s.Lab, "client", Request{URL: "http://changed/"}, 2), startLoad(t, s.Lab, "canary", Request{URL: "http://changed/"}, 1)
	bad := staged()
	bad["changed.yaml"] = strings.Replace(bad["changed.yaml"], "  http:\n  - route:", "  http:\n  - fault: {abort: {httpStatus: 503, percentage: {value: 100}}}\n    route:", 1)
	s.apply(bad)
	st := s.until("gone back", func(st server.Status) bool { return len(st.Failed) == 1 })
	if f := st.Failed[0]; st.Bundle != first.Bundle || f.Wave != "canary" || f.Refusal != nil || !strings.Contains(f.Reason, "had a status of 500 or more") {
		t.Errorf("%+v", st)
	}
	wave.only(t, "led back", "v1")
	if failures := wave.end(); len(failures) == 0 {
		t.Error("no request of the wave failed, so nothing was raised")
	}
	good := staged()
	good["changed.yaml"] = shop(0, "")["changed.yaml"]
	before := len(s.Pushes())
	s.apply(good)
	s.until("the wave bakes", func(st server.Status) bool {
		return st.Rollout != nil && st.Rollout.Waves[0].State == waves.StateBaking
	})
	if names := s.sentTo("client", before); len(names) > 0 {
		t.Errorf("the others were sent %v while the wave bakes", names)
	}
	s.until("complete", func(st server.Status) bool { return st.Rollout == nil && st.Bundle != first.Bundle })
	rest.only(t, "complete", "v2")
	if failures := rest.end(); len(failures) > 0 {
		t.Errorf("%d requests of the others failed, the first: %s", len(failures), failures[0])
	}
}
