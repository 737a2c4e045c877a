//go:build linux

package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/meshc/meshc/internal/lab"
)

// loopback is the gateway alone. It leads to reviews itself, since no sidecar of productpage is there to do so.
type loopback struct {
	namespaces
	address string
}

func startLoopback(ctx context.Context, _, repo string) (mesh, error) {
	ports, err := lab.FreePorts(2) // of the gateway and of all applications: other demos may run, and 9080 may be taken
	if err != nil {
		return nil, err
	}
	err = lab.Rewrite(repo,
		"10.8.", "127.8.", // every address of 127.0.0.0/8 is this machine
		"targetPort: 8080", "targetPort: "+ports[0], "port: 8080", "port: "+ports[0], "9080", ports[1])
	if err != nil {
		return nil, err
	}
	if err := edit(filepath.Join(repo, "base/gateway.yaml"), "- "+host, "- \"*.example.com\""); err != nil {
		return nil, err
	}
	if err := edit(filepath.Join(repo, "base/reviews-routing.yaml"), "    - reviews\n  http:", "    - "+host+"\n  gateways:\n    - bookinfo\n  http:"); err != nil {
		return nil, err
	}
	if err := edit(filepath.Join(repo, "base/reviews-routing.yaml"), "    - name: everyone\n", "    - name: everyone\n      match:\n        - uri:\n            exact: /productpage\n"); err != nil {
		return nil, err
	}
	// the routes of productpage move out of the way, to a host of their own
	if err := edit(filepath.Join(repo, "base/productpage-routing.yaml"), "    - "+host, "    - page.example.com"); err != nil {
		return nil, err
	}
	l := &loopback{address: net.JoinHostPort("127.0.0.1", ports[0])}
	l.source = filepath.Join(repo, "overlays/demo")
	if l.lab, err = lab.StartLoopback(ctx, lab.Spec{Source: l.source, Meshc: os.Getenv("MESHC")}); err != nil {
		return nil, err
	}
	l.client = &http.Client{}
	return l, nil
}

func (l *loopback) get(ctx context.Context, host, path string, headers map[string]string) (*lab.Response, error) {
	return lab.Do(ctx, l.client, lab.Request{URL: "http://" + l.address + path, Host: host, Headers: headers})
}
