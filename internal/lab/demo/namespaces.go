//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/meshc/meshc/internal/lab"
)

// namespaces is the mesh in the lab.
type namespaces struct {
	lab    *lab.Lab
	source string
	client *http.Client
	seen   int
}

func startNamespaces(ctx context.Context, repo string) (mesh, error) {
	n := &namespaces{source: filepath.Join(repo, "overlays/demo")}
	l, err := lab.Start(ctx, lab.Spec{Source: n.source, Meshc: os.Getenv("MESHC"), Visitors: map[string]netip.Addr{"visitor": netip.MustParseAddr("203.0.113.7")}})
	if err != nil {
		return nil, err
	}
	n.lab = l
	if n.client, err = l.Client("visitor"); err != nil {
		l.Close()
		return nil, err
	}
	return n, nil
}

func (n *namespaces) get(ctx context.Context, host, path string, headers map[string]string) (*lab.Response, error) {
	return lab.Do(ctx, n.client, lab.Request{URL: "http://10.8.0.1:8080" + path, Host: host, Headers: headers})
}

func (n *namespaces) apply(ctx context.Context) error { return n.lab.Apply(ctx, n.source) }

// pushed sums up the resources that were sent since the last call.
func (n *namespaces) pushed() []string {
	all := n.lab.Pushes()
	fresh := all[n.seen:]
	n.seen = len(all)
	return summary(fresh)
}

func summary(pushes []lab.Push) []string {
	count := map[string]int{}
	for _, p := range pushes {
		for _, name := range p.Names {
			count[p.Type+" "+name]++
		}
		for _, name := range p.Removed {
			count["removal of "+p.Type+" "+name]++
		}
	}
	var out []string
	for _, what := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprintf("%s to %d proxies", what, count[what]))
	}
	return out
}

func (n *namespaces) refused() (err error) {
	for _, r := range n.lab.Rejections() {
		err = errors.Join(err, fmt.Errorf("proxy %s refused %s: %s", r.Node, r.Type, r.Message))
	}
	return err
}

func (n *namespaces) close() error {
	n.client.CloseIdleConnections()
	return n.lab.Close()
}
