package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/clustertest"
)

// TestTemplatesOnKubernetes: each workload of testdata/templates, and of the folders in MESHC_TEMPLATES, that an API server takes as it
// stands is taken with its proxy, too, strictly, and so is a pod made from its template; and injecting it again changes nothing.
// What gets no proxy says why. Nothing else decides which workloads are tried.
func TestTemplatesOnKubernetes(t *testing.T) {
	api := clustertest.Start(t)
	tally := map[string]int{}
	for _, folder := range append([]string{filepath.Join("testdata", "templates")}, filepath.SplitList(os.Getenv("MESHC_TEMPLATES"))...) {
		list := workloadsIn(t, folder)
		if len(list) == 0 {
			t.Errorf("%s holds no workload", folder)
		}
		for _, w := range list {
			became := w.try(t, api)
			tally[became]++
			if strings.HasPrefix(became, "failed") {
				t.Errorf("%s: %s", w, became)
				tally["failed"]++
			}
		}
	}
	for _, became := range slices.Sorted(maps.Keys(tally)) {
		if !strings.HasPrefix(became, "failed:") {
			t.Logf("%d %s", tally[became], became)
		}
	}
	fmt.Printf("%d passed, %d failed\n", tally[asInjected], tally["failed"])
	if own := 13; tally[asInjected] < own {
		t.Errorf("only %d workloads were injected, and testdata/templates alone has %d", tally[asInjected], own)
	}
}

// What becomes of a workload, but for what failed.
const (
	asInjected = "injected and taken"
	asRefused  = "not taken by the API server as they stand"
	asKeptOff  = "get no proxy: "
)

// workload is an object with a template of pods.
type workload struct {
	file string
	doc  map[string]any
}

func (w workload) String() string {
	return fmt.Sprintf("%s: %v %v", w.file, w.doc["kind"], mapping(w.doc, "metadata")["name"])
}

// workloadsIn reads those of a folder, file by file. What is no YAML, a template of Helm for instance, and what is no whole object is
// nobody's workload.
func workloadsIn(t *testing.T, folder string) (out []workload) {
	t.Helper()
	err := filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(file)) {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var doc map[string]any
			err := dec.Decode(&doc)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return nil //nolint:nilerr // no YAML: nothing in it is a workload
			}
			if templateOf(doc) != nil {
				out = append(out, workload{file, doc})
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mapping(v map[string]any, path ...string) map[string]any {
	for _, key := range path {
		v, _ = v[key].(map[string]any)
	}
	return v
}

// templateOf is the template of pods in an object, nil if it has none.
func templateOf(doc map[string]any) map[string]any {
	switch version, kind := doc["apiVersion"], doc["kind"]; {
	case version == "apps/v1" && slices.Contains([]any{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}, kind), version == "batch/v1" && kind == "Job":
		return mapping(doc, "spec", "template")
	case version == "batch/v1" && kind == "CronJob":
		return mapping(doc, "spec", "jobTemplate", "spec", "template")
	case version == "v1" && kind == "Pod":
		return doc
	}
	return nil
}

// podOf is a pod as a controller makes it from a template.
func podOf(doc map[string]any) map[string]any {
	tmpl := templateOf(doc)
	meta := map[string]any{"generateName": "template-", "namespace": mapping(doc, "metadata")["namespace"]}
	for _, key := range []string{"labels", "annotations"} {
		if v, ok := mapping(tmpl, "metadata")[key]; ok {
			meta[key] = v
		}
	}
	spec := maps.Clone(mapping(tmpl, "spec"))
	claims, _ := mapping(doc, "spec")["volumeClaimTemplates"].([]any)
	volumes, _ := spec["volumes"].([]any)
	for _, c := range claims {
		claim, _ := c.(map[string]any)
		name := mapping(claim, "metadata")["name"]
		volumes = append(slices.Clip(volumes), map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": fmt.Sprint(name, "-0")}})
	}
	if len(volumes) > 0 {
		spec["volumes"] = volumes
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
}

// try injects a workload and has the API server take what comes out.
func (w workload) try(t *testing.T, api *clustertest.Cluster) string {
	t.Helper()
	meta := mapping(w.doc, "metadata")
	if meta == nil {
		return asRefused
	}
	if meta["namespace"] == nil {
		meta["namespace"] = "default"
	}
	namespace, _ := meta["namespace"].(string)
	for _, err := range []error{api.Namespace(namespace), api.Accepts(w.doc), api.Accepts(podOf(w.doc))} {
		if err != nil {
			t.Logf("%s is not taken: %v", w, err)
			return asRefused
		}
	}
	text, err := sigsyaml.Marshal(w.doc)
	if err != nil {
		return "failed: " + err.Error()
	}
	once, said, ok := injectedText(text)
	switch {
	case !ok:
		return asKeptOff + strings.TrimSpace(said)
	case bytes.Equal(once, text):
		_, why, _ := strings.Cut(strings.TrimSpace(said), "no proxy added, ")
		return asKeptOff + why
	}
	if twice, said, ok := injectedText(once); !ok || !bytes.Equal(twice, once) {
		return "failed: injecting it again changes it: " + said
	}
	var with map[string]any
	if err := sigsyaml.Unmarshal(once, &with); err != nil {
		return "failed: " + err.Error()
	}
	for _, doc := range []map[string]any{with, podOf(with)} {
		if err := api.Create(doc); err != nil {
			return fmt.Sprintf("failed: the %v with its proxy: %v", doc["kind"], err)
		}
	}
	return asInjected
}

func injectedText(text []byte) (out []byte, said string, ok bool) {
	var o, e bytes.Buffer
	code := run(context.Background(), []string{"inject", "-", "--enable-namespaces-by-default", "--lenient"}, bytes.NewReader(text), &o, &e)
	return o.Bytes(), e.String(), code == 0
}
