package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server"
)

// killing is a server that is killed again and again while bundles arrive, roll out and are rolled back.
type killing struct {
	t       *testing.T
	dir     string
	path    string
	digests []string
	bundles []string // files
	last    string   // what the last command that was answered asks of the next life: "", held DIGEST, or free
	unsure  bool     // a later command was sent and not answered
}

const killToken = "a-token-of-some-length"

// life is one of its processes.
type life struct {
	cmd        *exec.Cmd
	xds, admin string
	webhook    string // where it takes webhooks, if it does
}

func (k *killing) start() *life {
	k.t.Helper()
	return startLife(k.t, exec.Command("meshc", "serve", k.path, "--keep", filepath.Join(k.dir, "keep"), "--admin-token", filepath.Join(k.dir, "token"), "--poll", "50ms", "--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"), &bytes.Buffer{})
}

// startLife starts a server and waits until it serves.
func startLife(t *testing.T, cmd *exec.Cmd, stderr fmt.Stringer) *life {
	t.Helper()
	return startUntil(t, cmd, stderr, func(l *life) bool { return l.admin != "" })
}

// startUntil starts a process and waits until it has told where it listens.
func startUntil(t *testing.T, cmd *exec.Cmd, stderr fmt.Stringer, told func(*life) bool) *life {
	t.Helper()
	cmd.Stderr, _ = stderr.(io.Writer)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &life{cmd: cmd}
	to := map[string]*string{"xds": &l.xds, "admin": &l.admin, "webhook": &l.webhook}
	for lines := bufio.NewReader(out); !told(l); {
		line, err := lines.ReadString('\n')
		name, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err != nil || to[name] == nil {
			_ = cmd.Wait()
			t.Fatalf("it does not serve: %q, %v\n%s", line, err, stderr.String())
		}
		*to[name] = address
	}
	return l
}

func (l *life) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
}

// status asks the server.
func (l *life) status() (st server.Status, err error) {
	resp, err := http.Get("http://" + l.admin + "/status")
	if err != nil {
		return st, err
	}
	defer func() { _ = resp.Body.Close() }()
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

// command gives one; false: it was not answered, or refused.
func (l *life) command(path, body string) bool {
	r, err := http.NewRequest(http.MethodPost, "http://"+l.admin+path, strings.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Authorization", "Bearer "+killToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// served is the digest of the bundle that a proxy is given, with a cluster at least.
func (l *life) served(ctx context.Context) (string, error) {
	conn, err := grpc.NewClient(l.xds, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	st, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return "", err
	}
	md, err := structpb.NewStruct(map[string]any{"NAMESPACE": "shop", "LABELS": map[string]any{"app": "web", "version": "v1"}, "CLUSTER_ID": "Kubernetes"})
	if err != nil {
		return "", err
	}
	n := &corev3.Node{Id: "sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local", Metadata: md}
	if err := st.Send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: bundle.ClusterType}); err != nil {
		return "", err
	}
	r, err := st.Recv()
	if err != nil || len(r.Resources) == 0 {
		return "", fmt.Errorf("%d clusters: %w", len(r.GetResources()), err)
	}
	return r.SystemVersionInfo, nil
}

// check holds what a new life serves to what was pushed and to the last command that was answered.
func (k *killing) check(l *life) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	digest, err := l.served(ctx)
	if err != nil || !slices.Contains(k.digests, digest) {
		k.t.Fatalf("it serves %q: %v", digest, err)
	}
	st, err := l.status()
	if err != nil || !slices.Contains(k.digests, st.Bundle) || st.Rollout != nil && !slices.Contains(k.digests, st.Rollout.Bundle) {
		k.t.Fatalf("%+v, %v", st, err)
	}
	held, wanted := strings.CutPrefix(k.last, "held ")
	switch {
	case k.unsure:
	case wanted && (st.Held == nil || st.Bundle != held || digest != held):
		k.t.Fatalf("a rollback to %s was answered, and the next process serves %s, held %v", held, st.Bundle, st.Held)
	case k.last == "free" && st.Held != nil:
		k.t.Fatalf("a release was answered, and the next process holds %s", st.Bundle)
	}
}

// disturb has bundles arrive and commands be given until the time is over.
func (k *killing) disturb(l *life, end time.Time) {
	for i := rand.IntN(3); time.Now().Before(end); i++ {
		switch rand.IntN(4) {
		case 0:
			k.unsure = true
			to := k.digests[rand.IntN(len(k.digests))]
			if l.command("/rollback", `{"bundle":"`+to+`"}`) {
				k.last, k.unsure = "held "+to, false
			} else if _, err := l.status(); err == nil {
				k.unsure = false // it was refused: not kept yet
			}
		case 1:
			k.unsure = true
			if l.command("/release", "") {
				k.last, k.unsure = "free", false
			} else if _, err := l.status(); err == nil {
				k.unsure = false
			}
		default:
			data, err := os.ReadFile(k.bundles[i%len(k.bundles)])
			if err == nil {
				_ = bundle.ReplaceFile(k.path, data)
			}
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		}
	}
}

// TestServeKilled: whenever a server is killed, the next serves a whole bundle that was pushed, and what it answered to a command
// holds.
func TestServeKilled(t *testing.T) {
	runs := 6
	if n, err := strconv.Atoi(os.Getenv("MESHC_KILLS")); err == nil {
		runs = n
	}
	dir := t.TempDir()
	k := &killing{t: t, dir: dir, path: filepath.Join(dir, "mesh.tar.gz")}
	put(t, filepath.Join(dir, "token"), killToken)
	waves := `
---
apiVersion: meshc.dev/v1alpha1
kind: MeshRollout
metadata: {name: waves, namespace: shop}
spec:
  waves:
  - {name: first, selector: {matchLabels: {version: v1}}, optional: true, bake: 20ms}
  - {name: second, percent: 50, optional: true, bake: 20ms}
`
	for i, more := range []string{"", waves, waves, waves} {
		src, file := filepath.Join(dir, fmt.Sprint("mesh", i, ".yaml")), filepath.Join(dir, fmt.Sprint(i, ".tar.gz"))
		put(t, src, strings.Replace(liveMesh, "weight: 100", fmt.Sprint("weight: ", 100-i), 1)+more)
		if text, err := exec.Command("meshc", "compile", src, "-o", file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		b, err := bundle.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		k.bundles, k.digests = append(k.bundles, file), append(k.digests, b.Digest.String())
	}
	data, err := os.ReadFile(k.bundles[0])
	if err != nil {
		t.Fatal(err)
	}
	put(t, k.path, string(data))
	for range runs {
		l := k.start()
		k.check(l)
		k.disturb(l, time.Now().Add(time.Duration(rand.IntN(400))*time.Millisecond))
		if !k.unsure && rand.IntN(2) == 0 { // in the middle of a command
			k.unsure = true
			go l.command("/rollback", "")
			time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
		}
		l.kill()
		k.checkless()
	}
	l := k.start()
	k.check(l)
	l.kill()
}

// checkless forgets what the last command asks where nobody knows whether a later one was done.
func (k *killing) checkless() {
	if k.unsure {
		k.last, k.unsure = "", false
	}
}
