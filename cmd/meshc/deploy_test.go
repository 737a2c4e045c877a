package main

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/clustertest"
)

// deployed are the objects that a folder of deploy builds.
func deployed(t *testing.T, folder string) (out []map[string]any) {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("../../deploy", folder))
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, doc)
	}
}

func deployFolders() []string { return []string{"server", "webhook"} }

// TestDeployArguments: the containers' arguments are those of verbs and flags that there are.
func TestDeployArguments(t *testing.T) {
	seen := 0
	for _, folder := range deployFolders() {
		for _, doc := range deployed(t, folder) {
			if doc["kind"] != "StatefulSet" && doc["kind"] != "Deployment" {
				continue
			}
			var o struct {
				Spec struct {
					Template struct{ Spec corev1.PodSpec }
				}
			}
			text, err := sigsyaml.Marshal(doc)
			if err == nil {
				err = sigsyaml.Unmarshal(text, &o)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range o.Spec.Template.Spec.Containers {
				var out, errs bytes.Buffer
				a := newApp(strings.NewReader(""), &out, &errs)
				root := a.root()
				verb, rest, err := root.Find(c.Args)
				if err == nil {
					err = verb.ParseFlags(rest)
				}
				if err == nil {
					err = verb.ValidateArgs(verb.Flags().Args())
				}
				if err != nil || verb == root {
					t.Errorf("%s: %v: %v", folder, c.Args, err)
				}
				seen++
			}
		}
	}
	if seen != len(deployFolders()) {
		t.Errorf("%d containers were seen", seen)
	}
}

// TestDeployOnKubernetes: an API server of Kubernetes takes all objects, strictly.
func TestDeployOnKubernetes(t *testing.T) {
	folders := deployFolders()
	api := clustertest.Start(t)
	api.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "istio-system"}})
	for _, folder := range folders {
		for _, doc := range deployed(t, folder) {
			if err := api.Accepts(doc); err != nil {
				t.Errorf("%s: %v %v: %v", folder, doc["kind"], doc["metadata"], err)
			}
		}
	}
}
