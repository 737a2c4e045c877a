//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/server"
)

// live is the shop with a split that may be set while it runs.
func live(v1 int) manifests {
	m := shop(v1, "")
	m["changed.yaml"] = strings.Replace(m["changed.yaml"], "kind: VirtualService\nmetadata: {name: changed, namespace: lab}",
		"kind: VirtualService\nmetadata: {name: changed, namespace: lab, annotations: {meshc.dev/live-weights: main}}", 1)
	m["changed.yaml"] = strings.Replace(m["changed.yaml"], "  http:\n  - route:", "  http:\n  - name: main\n    route:", 1)
	return m
}

// put gives the server a command.
func (l *Lab) put(token, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	c := clientIn(l.net.hub, nil)
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPut, "http://"+serverAdmin+path, strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

// TestLiveWeights: weights that are set move requests with one resource to each proxy; a bundle that arrives does not reset them,
// and released, those of the file hold.
func TestLiveWeights(t *testing.T) {
	require(t)
	for name, sotw := range map[string]bool{"delta": false, "state of the world": true} {
		t.Run(name, func(t *testing.T) {
			const token = "a-token-of-some-length"
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
				t.Fatal(err)
			}
			l := run(t, Spec{Source: live(100).write(t), StateOfTheWorld: sotw, ServeFlags: []string{"--admin-token", file}})
			ld := startLoad(t, l, "client", Request{URL: "http://changed/"}, 2)
			ld.only(t, "at rest", "v1")
			before := len(l.Pushes())
			set := func(weights map[string]uint32) {
				t.Helper()
				if err := l.put(token, "/weights", server.WeightsRequest{Route: "lab/changed/main", Weights: weights}); err != nil {
					t.Fatal(err)
				}
			}
			set(map[string]uint32{"v1": 50, "v2": 50})
			ld.only(t, "half", "v1", "v2")
			set(map[string]uint32{"v1": 0, "v2": 7})
			ld.only(t, "the other", "v2")
			for _, p := range l.Pushes()[before:] {
				if p.Type != "Runtime" || p.Count != 1 || !sotw && p.Names[0] != names.RuntimeLayer {
					t.Errorf("%+v", p)
				}
			}
			if n := len(l.Pushes()) - before; n != 2*3 { // both settings to each of three proxies
				t.Errorf("%d responses", n)
			}
			if err := l.Apply(context.Background(), live(90).write(t)); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				for _, p := range l.Pushes()[before:] {
					if p.Type != "Runtime" && strings.Contains(p.Node, "~client.") {
						return nil
					}
				}
				return fmt.Errorf("the bundle has not arrived")
			})
			ld.only(t, "after a bundle", "v2")
			set(nil)
			ld.only(t, "released", "v1", "v2")
			if failures := ld.end(); len(failures) > 0 {
				t.Errorf("%d requests failed, the first: %s", len(failures), failures[0])
			}
		})
	}
}
