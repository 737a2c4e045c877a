package server

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/meshgen"
)

// written lays out the files of a txtar and returns their folder.
func written(t testing.TB, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range archive.Files {
		if strings.HasSuffix(f.Name, ".yaml") && !strings.Contains(f.Name, " ") {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Name)), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func compiled(t testing.TB, dir string) *bundle.Bundle {
	t.Helper()
	res, findings, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	if res.Bundle == nil {
		t.Fatal(findings)
	}
	return res.Bundle
}

// observed reads the objects of an input as a source would tell them: with a namespace, and with the labels that
// injection gives a pod.
func observed(t testing.TB, dir string, b *bundle.Bundle) endpointUpdate {
	t.Helper()
	g := newEndpointCollector()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for doc := range bytes.SplitSeq(data, []byte("\n---")) {
			k := kindOfDocument(doc)
			if k != "Pod" && k != "EndpointSlice" && k != "Node" {
				continue
			}
			if k != "Node" && !bytes.Contains(doc, []byte("namespace:")) {
				doc = bytes.Replace(doc, []byte("metadata:"), []byte("metadata:\n  namespace: default"), 1)
			}
			if err := g.read(doc); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range g.t.snapshot.namespaces {
		for _, p := range ns.Pods {
			injected(p, b)
		}
	}
	res, err := g.done()
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func kindOfDocument(doc []byte) string {
	for line := range bytes.Lines(doc) {
		if kind, ok := bytes.CutPrefix(line, []byte("kind:")); ok {
			return string(bytes.TrimSpace(kind))
		}
	}
	return ""
}

func injected(p *corev1.Pod, b *bundle.Bundle) {
	for _, w := range b.Workloads {
		if w.Kind == "Pod" && w.Namespace == p.Namespace && slices.Equal(w.Addresses, endpoint.PodAddresses(p)) {
			p.Labels = w.Labels
		}
	}
}

// The endpoints of the input, told by a source, join to the bytes that the compiler made of them.
func TestJoinEqualsCompile(t *testing.T) {
	generated := t.TempDir()
	if _, err := meshgen.Write(generated, meshgen.Options{Services: 12}); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"meshgen": generated}
	files, err := filepath.Glob("testdata/join/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no inputs", err)
	}
	for _, f := range files {
		archive, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		dirs[filepath.Base(f)] = written(t, archive)
	}
	shop, err := os.ReadFile("../golden/base/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dirs["shop"] = written(t, &txtar.Archive{Files: []txtar.File{{Name: "shop.yaml", Data: shop}}})
	if extra := os.Getenv("MESHC_JOIN_INPUTS"); extra != "" {
		more, _ := filepath.Glob(extra)
		for _, d := range more {
			dirs[d] = d
		}
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) { joinsAsCompiled(t, dir) })
	}
}

func joinsAsCompiled(t *testing.T, dir string) {
	b := compiled(t, dir)
	if b.Plan == nil {
		t.Skip("nothing to join")
	}
	seen := observed(t, dir, b)
	j := newJoiner(b.Plan, seen.snapshot)
	known, filled := 0, 0
	for _, r := range b.Resources {
		if r.Join == nil || !j.known(r) {
			continue
		}
		known++
		m := j.make(r, "")
		if m.digest == r.Digest {
			if len(r.Bytes) > 2+len(r.Name)+2 {
				filled++
			}
			continue
		}
		t.Errorf("%s\ncompiled %s\n  joined %s", r.Name, text(r.Bytes), text(m.bytes))
	}
	t.Logf("%d joined, %d of them not empty", known, filled)
	if filled == 0 {
		t.Error("no endpoints were joined")
	}
}

func text(b []byte) string {
	m := &endpointv3.ClusterLoadAssignment{}
	if err := proto.Unmarshal(b, m); err != nil {
		return err.Error()
	}
	return prototext.MarshalOptions{}.Format(m)
}
