//go:build unix

// Command soak serves a mesh that changes all the time to many proxies, and fails if the server's memory grows with that, or
// if a proxy does not end with what a new one gets.
//
//	go run ./internal/soak -for 10m -streams 300
//
// Every second (-every) the bundle at the path is another one that was never there before, and every second an endpoint is.
// Proxies acknowledge all; four of five speak delta xDS, the others state of the world. Resident memory, live heap and
// goroutines of the server, which is a process of its own, are printed over time.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/meshc/meshc/internal/lab"
	"github.com/meshc/meshc/internal/meshgen"
)

// soak is one run.
type soak struct {
	duration, every   time.Duration
	services, streams int
	meshc, dir        string

	nodes []*corev3.Node
	admin string
	pid   int
}

func main() {
	s := &soak{}
	flag.DurationVar(&s.duration, "for", 10*time.Minute, "how long the mesh changes")
	flag.DurationVar(&s.every, "every", time.Second, "how often there is another bundle, and another endpoint")
	flag.IntVar(&s.services, "services", 150, "services of the mesh")
	flag.IntVar(&s.streams, "streams", 300, "proxies")
	flag.StringVar(&s.meshc, "meshc", "", "program to run; built from this module when empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		stop()
		os.Exit(1)
	}
}

func (s *soak) run(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "meshc-soak-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if s.meshc == "" {
		if s.meshc, err = lab.Build(ctx, "cmd/meshc", s.dir); err != nil {
			return err
		}
	}
	changes, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	end, ads, err := s.serve(ctx)
	if err != nil {
		return err
	}
	defer end()
	proxies, err := s.connect(ctx, ads)
	if err != nil {
		return err
	}
	samples, err := s.change(ctx, changes)
	if err != nil {
		return err
	}
	if err := s.summary(); err != nil {
		return err
	}
	if err := s.compare(ctx, ads, proxies); err != nil {
		return err
	}
	return flat(samples)
}

// prepare writes the mesh, compiles it and readies its changes.
func (s *soak) prepare(ctx context.Context) (*changes, error) {
	if _, err := meshgen.Write(s.dir, meshgen.Options{Services: s.services, Scoped: true}); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "nodes.json"))
	if err != nil {
		return nil, err
	}
	var nodes []json.RawMessage
	if err := json.Unmarshal(text, &nodes); err != nil {
		return nil, err
	}
	for _, n := range nodes {
		m := &corev3.Node{}
		if err := protojson.Unmarshal(n, m); err != nil {
			return nil, err
		}
		s.nodes = append(s.nodes, m)
	}
	if out, err := exec.CommandContext(ctx, s.meshc, "compile", filepath.Join(s.dir, "repo"), "-o", s.bundle()).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("meshc compile: %w: %s", err, out)
	}
	return newChanges(s.bundle(), filepath.Join(s.dir, "repo/observed"), filepath.Join(s.dir, "endpoints"))
}

func (s *soak) bundle() string { return filepath.Join(s.dir, "bundle") }

// serve starts the server and waits until it is ready. What it returns ends it.
func (s *soak) serve(ctx context.Context) (end func(), ads string, err error) {
	ports, err := lab.FreePorts(2)
	if err != nil {
		return nil, "", err
	}
	ads, s.admin = "127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	server := exec.CommandContext(ctx, s.meshc, "serve", s.bundle(), "--quiet", "--xds-address", ads, "--admin-address", "127.0.0.1:"+ports[1], "--endpoints", filepath.Join(s.dir, "endpoints"))
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		return nil, "", err
	}
	s.pid = server.Process.Pid
	end = func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		r, err := http.Get(s.admin + "/readyz")
		if err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return end, ads, nil
			}
			err = fmt.Errorf("/readyz answers %s", r.Status)
		}
		if time.Now().After(until) {
			end()
			return nil, "", err
		}
	}
}

// change changes the mesh until the time is over, and returns the samples taken meanwhile.
func (s *soak) change(ctx context.Context, c *changes) (list []sample, err error) {
	began, next := time.Now(), time.Now()
	between := max(s.duration/60, time.Second)
	for n := 1; time.Since(began) < s.duration; n++ {
		if err := c.bundle(n); err != nil {
			return nil, err
		}
		if err := c.endpoint(n); err != nil {
			return nil, err
		}
		if !time.Now().Before(next) {
			next = next.Add(between)
			x, err := s.sample(time.Since(began))
			if err != nil {
				return nil, err
			}
			fmt.Println(x)
			list = append(list, x)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Until(began.Add(time.Duration(n) * s.every))):
		}
	}
	return list, nil
}

// summary prints what the server has done.
func (s *soak) summary() error {
	m, err := s.metrics()
	if err != nil {
		return err
	}
	sum := func(name string) string { return strconv.FormatFloat(m[name], 'f', -1, 64) }
	fmt.Printf("%s bundles and %s changes of endpoints taken, %s refused; %s pushes, %s acknowledged, %s refused; %.0f MB sent; %.0f CPU s\n",
		sum(`meshc_bundle_loads_total{result="accepted"}`), sum(`meshc_endpoint_loads_total{result="accepted"}`), sum(`meshc_bundle_loads_total{result="rejected"}`),
		sum("meshc_pushes_total"), sum("meshc_acks_total"), sum("meshc_nacks_total"), m["meshc_sent_bytes_total"]/1e6, m["process_cpu_seconds_total"])
	if m["meshc_nacks_total"] > 0 {
		return fmt.Errorf("the proxies of this run refuse nothing, and %s refusals are counted", sum("meshc_nacks_total"))
	}
	return nil
}
