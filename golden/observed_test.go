package golden

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/internal/kubetest"
	"github.com/meshc/meshc/server/cluster"
	"github.com/meshc/meshc/server/kube"
)

// The same objects give the same bundle whether they stand in the source or are observed in a cluster: what Git cannot hold of
// each input (addresses of Services, EndpointSlices, Pods, Nodes) and its Namespaces are taken out of the source and handed over
// as what the cluster has, by way of an API server and what a server keeps of it. The meshes below the folders in MESHC_DIGEST_INPUTS are tried as well.
func TestObservedAlike(t *testing.T) {
	compared := 0
	each := func(name string, sources []string, opts compiler.Options) {
		// A subtest lets go of its API server when it ends.
		t.Run(filepath.Base(name), func(t *testing.T) { compared += observedAlike(t, name, sources, opts) })
	}
	for _, file := range cases(t) {
		g := read(t, file)
		each(file, g.sources, compiler.Options{Lenient: g.settings.Lenient, Severity: g.settings.Severity})
	}
	for _, dir := range filepath.SplitList(os.Getenv("MESHC_DIGEST_INPUTS")) {
		for _, mesh := range meshesIn(t, dir) {
			each(mesh, filesIn(t, mesh), compiler.Options{Lenient: true})
		}
	}
	if compared < 30 {
		t.Errorf("only %d inputs had something to observe", compared)
	}
}

// observedAlike compares the bundle of a whole input with that of its parts, and returns how many there were: 0 or 1.
func observedAlike(t *testing.T, name string, sources []string, opts compiler.Options) int {
	t.Helper()
	dir := t.TempDir()
	var intent, observed []string
	seen := false
	for _, s := range sources {
		a, b, some := split(t, s)
		seen = seen || some
		for _, part := range []struct {
			text []byte
			to   *[]string
			in   string
		}{{a, &intent, "intent"}, {b, &observed, "observed"}} {
			if len(part.text) == 0 {
				continue
			}
			path := filepath.Join(dir, part.in, filepath.Base(s))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, part.text, 0o600); err != nil {
				t.Fatal(err)
			}
			*part.to = append(*part.to, path)
		}
	}
	if !seen || len(intent) == 0 {
		return 0
	}
	digest := func(sources []string, o compiler.Options) string {
		r, found, err := compiler.Compile(context.Background(), sources, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Bundle == nil {
			var b strings.Builder
			for _, d := range found {
				b.WriteString("\n" + d.Pos.String() + " " + d.Code + " " + d.Message)
			}
			return "none" + b.String()
		}
		return r.Bundle.Digest.String()
	}
	whole := digest(sources, opts)
	if strings.HasPrefix(whole, "none") {
		return 0
	}
	opts.Observed = []string{followed(t, dir, observed)}
	if joined := digest(intent, opts); joined != whole {
		t.Errorf("%s: compiled as a whole %s, joined %s", name, whole, joined)
	}
	return 1
}

// followed writes what a server sees of the objects in files when it follows an API server that has them.
func followed(t *testing.T, dir string, files []string) string {
	t.Helper()
	api := kubetest.New(t)
	resources := map[string]string{"Namespace": "namespaces", "Node": "nodes", "Service": "services", "EndpointSlice": "endpointslices", "Pod": "pods"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var doc map[string]any
			if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			o := &unstructured.Unstructured{Object: doc}
			resource := resources[o.GetKind()]
			if o.GetNamespace() == "" && resource != "namespaces" && resource != "nodes" {
				o.SetNamespace("default")
			}
			api.Put(resource, o)
		}
	}
	client, err := kube.Connect(kube.Options{Kubeconfig: api.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	heard := make(chan struct{}, 1)
	c := cluster.New(func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	w := cluster.NewWatches()
	c.Follow(w)
	go w.Run(ctx, client)
	for c.List() == nil {
		<-heard
	}
	path := filepath.Join(dir, "followed.json")
	if err := os.WriteFile(path, c.List(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// split takes what only a cluster knows out of a file. It tells whether there was something.
func split(t *testing.T, file string) (intent, observed []byte, some bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	write := func(to *bytes.Buffer, doc map[string]any) {
		out, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		to.WriteString("---\n")
		to.Write(out)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return text, nil, false // broken on purpose
		}
		spec, _ := doc["spec"].(map[string]any)
		switch doc["kind"] {
		case "EndpointSlice", "Node":
			some = true
			write(&b, doc)
		case "Namespace":
			write(&b, doc)
		case "Pod":
			if doc["status"] == nil {
				write(&a, doc)
				continue
			}
			some = true
			write(&b, doc)
		case "Service":
			write(&b, doc)
			if ip, _ := spec["clusterIP"].(string); ip != "" && ip != "None" {
				some = true
				delete(spec, "clusterIP")
				delete(spec, "clusterIPs")
			}
			write(&a, doc)
		default:
			if len(doc) > 0 {
				write(&a, doc)
			}
		}
	}
	return a.Bytes(), b.Bytes(), some
}
