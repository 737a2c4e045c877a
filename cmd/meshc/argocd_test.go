package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/manifest"
)

// argoPlugin runs the plugin's generate as the repo server of Argo CD does: in the folder of the application, with its
// variables and no others, neither HOME nor a network configured.
func argoPlugin(t *testing.T, folder string, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/argocd/plugin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var plugin struct {
		Spec struct {
			Discover struct{ FileName string }
			Generate struct{ Command, Args []string }
		}
	}
	if err := yaml.Unmarshal(text, &plugin); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, plugin.Spec.Discover.FileName)); err != nil {
		t.Fatalf("Argo CD would not take the plugin: %v", err)
	}
	argv := slices.Concat(plugin.Spec.Generate.Command, plugin.Spec.Generate.Args)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = folder
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "ARGOCD_APP_NAME=mesh", "ARGOCD_APP_NAMESPACE=mesh-system", "KUBE_VERSION=1.34"}, env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	return out.String(), complaints.String(), err
}

// TestArgoPlugin: generate prints objects and nothing else; a commit that does not touch the mesh prints the same bytes; a mesh
// with an error prints no object, and the finding where Argo CD shows it.
func TestArgoPlugin(t *testing.T) {
	folder := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, text)
		}
	}
	git("init", "-q")
	mesh := "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [a.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n"
	put(t, filepath.Join(folder, "mesh.yaml"), mesh)
	put(t, filepath.Join(folder, "meshc.yaml"), "{}\n")
	git("add", ".")
	git("commit", "-qm", "First")
	first, complaints, err := argoPlugin(t, folder)
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints)
	}
	docs := strings.Split(strings.TrimPrefix(first, "---\n"), "---\n")
	var cm corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(docs[0]), &cm); err != nil || len(docs) != 1 || cm.Kind != "ConfigMap" || cm.Name != "mesh-bundle" || cm.Namespace != "mesh-system" {
		t.Fatalf("%v in %d documents, %+v", err, len(docs), cm.ObjectMeta)
	}
	archive := filepath.Join(t.TempDir(), "bundle.tar.gz")
	put(t, archive, string(cm.BinaryData[manifest.BundleKey]))
	b, err := bundle.Read(archive)
	if err != nil || b.Digest.String() != cm.Annotations[manifest.DigestAnnotation] {
		t.Fatalf("the bundle of the ConfigMap: %v", err)
	}

	put(t, filepath.Join(folder, "NOTES.md"), "Nothing about the mesh.\n")
	git("add", ".")
	git("commit", "-qm", "Second")
	if second, _, err := argoPlugin(t, folder); err != nil || second != first {
		t.Errorf("a commit that does not touch the mesh changes what is applied: %v", err)
	}

	both, _, err := argoPlugin(t, folder, "PARAM_NAME=other", "PARAM_WAIT=meshc:18001", "PARAM_IMAGE=registry.example.com/meshc:v1")
	var job batchv1.Job
	if _, text, ok := strings.Cut(strings.TrimPrefix(both, "---\n"), "---\n"); err != nil || !ok || yaml.UnmarshalStrict([]byte(text), &job) != nil {
		t.Fatalf("%v\n%s", err, both)
	}
	args := job.Spec.Template.Spec.Containers[0].Args
	if job.Name != "other-wait" || job.Annotations["argocd.argoproj.io/hook"] != "PostSync" || !slices.Contains(args, b.Digest.String()) || !slices.Contains(args, "meshc:18001") {
		t.Errorf("the Job: %+v %q", job.ObjectMeta, args)
	}
	if _, complaints, err := argoPlugin(t, folder, "PARAM_WAIT=meshc:18001"); err == nil || !strings.Contains(complaints, "--image") {
		t.Errorf("a Job without an image: %v %s", err, complaints)
	}

	if _, complaints, err := argoPlugin(t, folder, "PARAM_NAME=a b"); err == nil || !strings.Contains(complaints, "no name of a ConfigMap") {
		t.Errorf("a name that is none: %v %s", err, complaints)
	}
	one, _, err := argoPlugin(t, folder, "PARAM_WAIT=meshc:18001 --for acked=0%", "PARAM_IMAGE=m")
	if err != nil || !strings.Contains(one, "- meshc:18001 --for acked=0%\n") {
		t.Errorf("an address that wants to be more arguments: %v\n%s", err, one)
	}

	put(t, filepath.Join(folder, "mesh.yaml"), strings.Replace(mesh, "number: 80", "number: 0", 1))
	out, complaints, err := argoPlugin(t, folder)
	if err == nil || out != "" || !strings.Contains(complaints, "mesh.yaml:4") {
		t.Errorf("a mesh with an error: %v, %q\n%s", err, out, complaints)
	}
}
