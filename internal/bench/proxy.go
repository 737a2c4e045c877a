//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/meshc/meshc/internal/lab"
)

// variants are bootstraps of one proxy: what meshc bootstrap writes, and the same without some of it.
var variants = []struct {
	name                      string
	stats, deferred, clusters bool // without: the list of what is kept, deferred statistics, deferred clusters
}{
	{"nothing of it", true, true, true},
	{"deferred statistics", true, false, true},
	{"deferred statistics and clusters", true, false, false},
	{"the list of what is kept", false, true, true},
	{"as meshc bootstrap writes it", false, false, false},
}

// plaintext takes certificates off a mesh: what is measured is what services cost.
const plaintext = `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "enableAutoMtls: false"}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
`

// proxy measures what an Envoy costs that gets one proxy's configuration of the whole mesh from a server, by its bootstrap.
func (b *bench) proxy(ctx context.Context) error {
	envoy, err := lab.FindEnvoy()
	if err != nil {
		fmt.Printf("proxy: left out: %v\n", err)
		return nil
	}
	dir, err := b.generate(ctx, b.services, false)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "repo", "plaintext.yaml"), []byte(plaintext), 0o600); err != nil {
		return err
	}
	defer os.Remove(filepath.Join(dir, "repo", "plaintext.yaml"))
	if _, err := b.compile(ctx, dir); err != nil {
		return err
	}
	ports, err := lab.FreePorts(3)
	if err != nil {
		return err
	}
	ads, serving, admin := "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1], "127.0.0.1:"+ports[2]
	server := exec.CommandContext(ctx, b.meshc, "serve", filepath.Join(dir, "bundle"), "--xds-address", ads, "--admin-address", serving)
	server.Stderr = os.Stderr // which says why a proxy is refused
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	if err := waitFor("http://" + serving + "/readyz"); err != nil {
		return fmt.Errorf("meshc serve: %w", err)
	}
	first, err := firstSidecar(filepath.Join(dir, "nodes.json"))
	if err != nil {
		return err
	}
	boot := filepath.Join(b.dir, "envoy.json")
	args := append([]string{"bootstrap", "--xds", ads, "--identity", "none", "--admin-address", admin, "--no-status-ports", "-o", boot}, first...)
	if out, err := exec.CommandContext(ctx, b.meshc, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("meshc bootstrap: %w: %s", err, last(out))
	}
	return b.compareBootstraps(ctx, envoy, boot, admin)
}

// compareBootstraps prints what an Envoy costs by each variant of a bootstrap.
func (b *bench) compareBootstraps(ctx context.Context, envoy, boot, admin string) error {
	fmt.Printf("one proxy of %d services, 2 workers, plaintext\n", b.services)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	for _, v := range variants {
		config := filepath.Join(b.dir, "variant.json")
		if err := without(boot, config, v.stats, v.deferred, v.clusters); err != nil {
			return err
		}
		f, err := footprintOf(ctx, envoy, config, admin)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %s\t%.1f MB allocated\t%.0f MB resident\tstart CPU %.2f s\n", v.name, f.allocated/1e6, f.resident/1e6, f.cpu.Seconds())
	}
	return w.Flush()
}

// firstSidecar says by flags who the first proxy of a mesh is that is no gateway.
func firstSidecar(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var nodes []struct {
		ID       string
		Metadata struct {
			Labels  map[string]string `json:"LABELS"`
			Account string            `json:"SERVICE_ACCOUNT"`
		}
	}
	if err := json.Unmarshal(text, &nodes); err != nil {
		return nil, err
	}
	for _, n := range nodes {
		parts := strings.Split(n.ID, "~")
		if len(parts) != 4 || parts[0] != "sidecar" {
			continue
		}
		name, namespace, _ := strings.Cut(parts[2], ".")
		out := []string{"--name", name, "--namespace", namespace, "--ip", parts[1], "--service-account", n.Metadata.Account}
		for k, v := range n.Metadata.Labels {
			out = append(out, "--label", k+"="+v)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s has no sidecar", file)
}

// without writes a bootstrap without parts of it.
func without(from, to string, stats, deferred, clusters bool) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var boot map[string]any
	if err := json.Unmarshal(text, &boot); err != nil {
		return err
	}
	config, _ := boot["statsConfig"].(map[string]any)
	if stats {
		delete(config, "statsMatcher")
	}
	if deferred {
		delete(boot, "deferredStatOptions")
	}
	if clusters {
		delete(boot, "clusterManager")
	}
	if text, err = json.Marshal(boot); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}

// footprint is what an Envoy uses that has started and that nobody calls, in bytes.
type footprint struct {
	allocated, resident float64
	cpu                 time.Duration
}

// footprintOf starts an Envoy, asks it and the system for its memory, and ends it.
func footprintOf(ctx context.Context, envoy, config, admin string) (f footprint, err error) {
	cmd := exec.CommandContext(ctx, envoy, "--config-path", config, "--concurrency", "2", "--disable-hot-restart", "--log-level", "error")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return f, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		f.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}()
	if err := waitFor("http://" + admin + "/ready"); err != nil {
		return f, fmt.Errorf("envoy: %w: %s", err, log.Bytes()[:min(log.Len(), 2000)])
	}
	resp, err := http.Get("http://" + admin + "/memory")
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	var memory struct{ Allocated string }
	if err := json.NewDecoder(resp.Body).Decode(&memory); err != nil {
		return f, err
	}
	if f.allocated, err = strconv.ParseFloat(memory.Allocated, 64); err != nil {
		return f, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if m := residentLine.FindSubmatch(status); err == nil && m != nil {
		f.resident, _ = strconv.ParseFloat(string(m[1]), 64)
		f.resident *= 1024
	}
	return f, nil // a system without /proc tells no resident memory
}

var residentLine = regexp.MustCompile(`(?m)^VmRSS:\s*(\d+) kB$`)
