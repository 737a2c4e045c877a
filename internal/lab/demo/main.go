//go:build linux

// Command demo shows the whole way once: it compiles examples/bookinfo, serves the bundle over ADS, starts the real
// Envoys, sends requests through them, moves half of the reviews traffic to another version while requests run, and
// prints what happened. It ends by itself and leaves nothing behind.
//
// As root on Linux every workload runs in a network namespace of its own behind its own sidecar. Elsewhere only the
// gateway is a proxy, on ports of the loopback interface, and the demo says so.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/meshc/meshc/internal/lab"
)

const host = "bookinfo.example.com"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := demo(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

// mesh is what both ways of running offer to the demo.
type mesh interface {
	// get asks for a path of a host from outside, through the gateway.
	get(ctx context.Context, host, path string, headers map[string]string) (*lab.Response, error)
	apply(ctx context.Context) error
	pushed() []string // what was sent to proxies since the last call
	refused() error   // what proxies did not accept
	close() error
}

func demo(ctx context.Context, out io.Writer) error {
	work, err := lab.StateDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	repo := filepath.Join(work, "bookinfo")
	if err := os.CopyFS(repo, os.DirFS("examples/bookinfo")); err != nil {
		return fmt.Errorf("copy the example (run this from the project's folder): %w", err)
	}
	var m mesh
	if why := lab.Unavailable(); why == nil {
		fmt.Fprintln(out, "bookinfo in network namespaces: each workload behind its own Envoy, and an ingress gateway.")
		m, err = startNamespaces(ctx, repo)
	} else {
		fmt.Fprintf(out, "Only the gateway is a proxy here, on loopback ports: %v.\n", why)
		m, err = startLoopback(ctx, work, repo)
	}
	if err != nil {
		return err
	}
	defer m.close()
	t := &table{tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)}
	t.row("what", "requests", "answered", "reviews v1", "v2", "v3", "remark")
	if err := story(ctx, m, repo, t); err != nil {
		t.Flush()
		return errors.Join(err, m.refused())
	}
	return t.Flush()
}

// story sends the requests and changes the split.
func story(ctx context.Context, m mesh, repo string, t *table) error {
	m.pushed()
	everyone := result{what: "everyone"}
	testers := result{what: "header end-user: tester"}
	for range 100 {
		everyone.add(m.get(ctx, host, "/productpage", nil))
	}
	for range 20 {
		testers.add(m.get(ctx, host, "/productpage", map[string]string{"end-user": "tester"}))
	}
	t.result(everyone, "gateway -> "+everyone.path)
	t.result(testers, "gateway -> "+testers.path)
	if everyone.failed+testers.failed > 0 || everyone.versions["v1"] != 100 {
		return fmt.Errorf("not every request was answered as routed: of %d requests %d failed, the last: %s%s", everyone.requests+testers.requests, everyone.failed+testers.failed, everyone.last, testers.last)
	}
	for _, c := range []struct{ host, path, why string }{{host, "/admin", "path without a route"}, {"other.example.com", "/productpage", "unknown host"}} {
		r, err := m.get(ctx, c.host, c.path, nil)
		if err != nil {
			return err
		}
		t.row(c.why, 1, fmt.Sprint("refused ", r.Status), "", "", "", c.host+c.path)
		if r.Status != 404 {
			return fmt.Errorf("%s%s was answered with %d", c.host, c.path, r.Status)
		}
	}
	return change(ctx, m, repo, t)
}

// change moves half of the traffic to version 3 while requests run.
func change(ctx context.Context, m mesh, repo string, t *table) error {
	during := result{what: "while 100/0 becomes 50/50"}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				during.add(m.get(ctx, host, "/productpage", nil))
			}
		}
	}()
	began := time.Now()
	err := edit(filepath.Join(repo, "base/reviews-routing.yaml"), "weight: 100", "weight: 50", "weight: 0", "weight: 50")
	if err == nil {
		err = m.apply(ctx)
	}
	for deadline := time.Now().Add(20 * time.Second); err == nil; time.Sleep(20 * time.Millisecond) {
		var r *lab.Response
		if r, err = m.get(ctx, host, "/productpage", nil); err == nil && reviews(&r.Echo) == "v3" {
			break
		}
		if time.Now().After(deadline) {
			err = fmt.Errorf("the new split did not arrive")
		}
	}
	took := time.Since(began)
	close(stop)
	<-done
	if err != nil {
		return err
	}
	t.result(during, fmt.Sprintf("edit, compile, push, first v3: %.1f s", took.Seconds()))
	after := result{what: "after the change"}
	for range 200 {
		after.add(m.get(ctx, host, "/productpage", nil))
	}
	t.result(after, "gateway -> "+after.path)
	t.row("sent for the change:", "", "", "", "", "", strings.Join(m.pushed(), ", "))
	if during.failed+after.failed > 0 || after.versions["v1"] == 0 || after.versions["v3"] == 0 {
		return fmt.Errorf("the change lost requests or did not split: %v %v", during, after)
	}
	return nil
}

// edit replaces pairs of texts in a file, each at its first place.
func edit(file string, pairs ...string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(b)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return fmt.Errorf("%s does not contain %q", file, pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
