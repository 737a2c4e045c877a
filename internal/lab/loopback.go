//go:build linux

package lab

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/meshc/meshc/internal/bootstrap"
)

// StartLoopback runs a repository without root: applications listen on loopback addresses, so every pod's address must
// be one (127.0.0.0/8), only gateways get a proxy, and applications call each other directly. Requests are sent from
// the host.
func StartLoopback(ctx context.Context, spec Spec) (*Lab, error) {
	l := &Lab{spec: spec, members: map[string]*member{}}
	if err := l.startLoopback(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) startLoopback(ctx context.Context) (err error) {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	ports, err := FreePorts(2)
	if err != nil {
		return err
	}
	if err := l.serve(ctx, nil, "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]); err != nil {
		return err
	}
	ads, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go l.relay.server.Serve(ads)
	names := l.direct()
	l.members["visitor"] = &member{Workload: &Workload{Name: "visitor", Namespace: "outside"}}
	for _, w := range l.repo.workloads {
		m := &member{Workload: w}
		l.members[w.Name] = m
		if !w.Gateway {
			if err := l.startApp(m, 0, names, w.Addresses[0].String()); err != nil {
				return err
			}
			continue
		}
		ports, err := FreePorts(1)
		if err != nil {
			return err
		}
		m.admin = "127.0.0.1:" + ports[0]
		if err := l.startEnvoy(m, 0, bootstrap.Options{XDSAddress: ads.Addr().String(), AdminAddress: m.admin, NoServing: true}); err != nil {
			return err
		}
		if err := l.waitReady(ctx, w.Name+".envoy", nil, m.admin, "/ready"); err != nil {
			return err
		}
	}
	return nil
}

// direct names the first pod of each application.
func (l *Lab) direct() map[string]string {
	names := map[string]string{}
	for _, w := range l.repo.workloads {
		if _, ok := names[w.App()]; !ok {
			names[w.App()] = w.Addresses[0].String()
		}
	}
	return names
}

// Rewrite replaces texts in all manifests of a folder: pairs of old and new.
func Rewrite(dir string, pairs ...string) error {
	r := strings.NewReplacer(pairs...)
	return filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".yaml" {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(p, []byte(r.Replace(string(b))), 0o644)
	})
}
