package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/clustertest"
	"github.com/meshc/meshc/internal/kubetest"
)

// admitting is a webhook that runs.
type admitting struct {
	*life
	t    *testing.T
	dir  string
	log  *record
	mesh string // file of the mesh source
	cert []byte
}

const admittedMesh = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    istio-injection: enabled
`

func startWebhook(t *testing.T, args ...string) *admitting {
	t.Helper()
	w := &admitting{t: t, dir: t.TempDir(), log: &record{}}
	w.mesh = filepath.Join(w.dir, "mesh", "mesh.yaml")
	write1(t, w.mesh, admittedMesh)
	w.rotate(1)
	all := append([]string{"webhook", "--mesh", filepath.Dir(w.mesh), "--tls-cert", w.path("tls.crt"), "--tls-key", w.path("tls.key"), "--address", "127.0.0.1:0"}, args...)
	w.life = startUntil(t, exec.Command("meshc", all...), w.log, func(l *life) bool { return l.webhook != "" })
	t.Cleanup(w.kill)
	return w
}

func (w *admitting) path(name string) string { return filepath.Join(w.dir, name) }

// rotate gives the webhook a certificate with a serial number, which is its own root.
func (w *admitting) rotate(serial int64) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "meshc"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write1(w.t, w.path("tls.crt"), string(w.cert))
	write1(w.t, w.path("tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

func (w *admitting) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.cert)
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: time.Minute}
}

// ask sends a review, and returns the answer or the status of HTTP.
func (w *admitting) ask(body any) (*admissionv1.AdmissionResponse, int, string) {
	w.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.client().Post("https://"+w.webhook+"/inject", "application/json", bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var out admissionv1.AdmissionReview
	_ = json.Unmarshal(answer, &out)
	return out.Response, resp.StatusCode, string(answer)
}

func review(pod *corev1.Pod) *admissionv1.AdmissionReview {
	raw, _ := json.Marshal(pod)
	return &admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{UID: "u", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Operation: admissionv1.Create, Namespace: "shop", Object: runtime.RawExtension{Raw: raw}}}
}

func somePod(annotations map[string]string) *corev1.Pod {
	yes := true
	return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-5d9f7c6b8-", Labels: map[string]string{"app": "web", "pod-template-hash": "5d9f7c6b8"}, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d9f7c6b8", UID: "r", Controller: &yes}}},
		Spec: corev1.PodSpec{ServiceAccountName: "web", Containers: []corev1.Container{{Name: "app", Image: "app", Ports: []corev1.ContainerPort{{ContainerPort: 8080}}}}}}
}

// patched is a pod after the patch of an answer.
func patched(t *testing.T, pod *corev1.Pod, answer *admissionv1.AdmissionResponse) *corev1.Pod {
	t.Helper()
	var ops []struct {
		Op, Path string
		Value    json.RawMessage
	}
	if err := json.Unmarshal(answer.Patch, &ops); err != nil {
		t.Fatal(err)
	}
	out := pod.DeepCopy()
	for _, op := range ops {
		to := map[string]any{"/metadata": &out.ObjectMeta, "/spec": &out.Spec}[op.Path]
		if op.Op != "replace" || to == nil {
			t.Fatalf("the operation %s %s", op.Op, op.Path)
		}
		if op.Path == "/metadata" {
			out.ObjectMeta = metav1.ObjectMeta{}
		} else {
			out.Spec = corev1.PodSpec{}
		}
		if err := json.Unmarshal(op.Value, to); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func containers(p *corev1.Pod) (out []string) {
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		out = append(out, c.Name)
	}
	return out
}

// TestWebhook: a pod that is admitted gets what meshc inject gives it in a manifest, once; what stands against it, and what is no review
// of a pod, is told.
func TestWebhook(t *testing.T) {
	w := startWebhook(t)
	pod := somePod(nil)
	answer, _, text := w.ask(review(pod))
	if answer == nil || !answer.Allowed || answer.UID != "u" || answer.Patch == nil {
		t.Fatalf("the answer is %s", text)
	}
	with := patched(t, pod, answer)
	if got := containers(with); !slices.Contains(got, "istio-proxy") || !slices.Contains(got, "app") || with.Name != "" || with.Namespace != "" || with.GenerateName != pod.GenerateName {
		t.Errorf("the pod has %v, the name %q", got, with.Name)
	}
	manifest := pod.DeepCopy()
	manifest.Name, manifest.Namespace = "web-5d9f7c6b8-0", "shop"
	in, _ := json.Marshal(manifest)
	c := exec.Command("meshc", "inject", "-", "--mesh", filepath.Dir(w.mesh), "--lenient", "--quiet")
	c.Stdin = bytes.NewReader(in)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var same corev1.Pod
	if err := yaml.Unmarshal(out, &same); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(with.Spec)
	b, _ := json.Marshal(same.Spec)
	if !bytes.Equal(a, b) {
		t.Errorf("the webhook gives\n%s\ninject gives\n%s", a, b)
	}
	if answer, _, text := w.ask(review(with)); answer == nil || !answer.Allowed || answer.Patch != nil {
		t.Errorf("a pod that has its proxy: %s", text)
	}
	if answer, _, text := w.ask(review(somePod(map[string]string{"sidecar.istio.io/inject": "false"}))); answer == nil || !answer.Allowed || answer.Patch != nil {
		t.Errorf("a pod that wants none: %s", text)
	}
	if answer, _, text := w.ask(review(somePod(map[string]string{"inject.istio.io/templates": "waypoint"}))); answer == nil || answer.Allowed || !strings.Contains(answer.Result.Message, "MESHC1903") {
		t.Errorf("a pod that asks for what there is not: %s", text)
	}
	update := review(pod)
	update.Request.Operation = admissionv1.Update
	if answer, _, text := w.ask(update); answer == nil || !answer.Allowed || answer.Patch != nil {
		t.Errorf("an update: %s", text)
	}
	other := review(pod)
	other.Request.Kind.Kind = "Service"
	if answer, _, text := w.ask(other); answer == nil || answer.Allowed {
		t.Errorf("a review of a Service: %s", text)
	}
	old := review(pod)
	old.APIVersion = "admission.k8s.io/v1beta1"
	for what, body := range map[string]any{"another version": old, "nothing": map[string]any{}, "text": "x"} {
		if answer, code, text := w.ask(body); answer != nil || code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, code, text)
		}
	}
	if strings.Contains(w.log.String(), "panic") {
		t.Error(w.log.String())
	}
}

// TestWebhookOpen: what stands against injection lets a pod in without a proxy where that was asked for.
func TestWebhookOpen(t *testing.T) {
	w := startWebhook(t, "--fail-open")
	answer, _, text := w.ask(review(somePod(map[string]string{"inject.istio.io/templates": "waypoint"})))
	if answer == nil || !answer.Allowed || answer.Patch != nil || len(answer.Warnings) != 1 || !strings.Contains(answer.Warnings[0], "no proxy: MESHC1903") {
		t.Errorf("%s", text)
	}
}

// TestWebhookFollows: mesh sources, certificates and Namespaces of an API server are those of now.
func TestWebhookFollows(t *testing.T) {
	api := kubetest.New(t)
	api.Forbid(func(kubetest.Request) bool { return true })
	w := startWebhook(t, "--kubernetes", "--kubeconfig", api.Kubeconfig())
	if _, code, text := w.ask(review(somePod(nil))); code != http.StatusServiceUnavailable {
		t.Errorf("before Namespaces are known: %d %s", code, text)
	}
	namespace := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	api.Put("namespaces", namespace)
	api.Forbid(func(kubetest.Request) bool { return false })
	injects := func(want bool, why string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			answer, _, text := w.ask(review(somePod(nil)))
			if answer != nil && (answer.Patch != nil) == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %s\n%s", why, text, w.log)
			}
		}
	}
	injects(false, "the API server's Namespace has no label, that of the source has one")
	namespace.Labels = map[string]string{"istio-injection": "enabled"}
	api.Put("namespaces", namespace)
	injects(true, "the API server's Namespace has a label")
	api.Remove("namespaces", "", "shop")
	injects(true, "the source's Namespace has a label")
	write1(t, w.mesh, strings.ReplaceAll(admittedMesh, "enabled", "disabled"))
	injects(false, "the source's Namespace has another label")
	write1(t, w.mesh, "a: [")
	for end := time.Now().Add(time.Minute); !strings.Contains(w.log.String(), "cannot be read"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(w.log.String())
		}
	}
	injects(false, "a source that cannot be read leaves what was")
}

// TestWebhookOnKubernetes: an API server of Kubernetes has the webhook inject the pods of a Deployment's template, takes what comes back by
// its own validation, and leaves it alone when it comes again.
func TestWebhookOnKubernetes(t *testing.T) {
	api := clustertest.Start(t)
	w := startWebhook(t, "--kubernetes", "--kubeconfig", api.Kubeconfig(clustertest.AdminToken, ""))
	api.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop", "labels": map[string]any{"istio-injection": "enabled"}}})
	api.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "plain"}})
	api.Put(map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": map[string]any{"name": "meshc"},
		"webhooks": []any{map[string]any{"name": "inject.meshc.dev", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
			"clientConfig": map[string]any{"url": "https://" + w.webhook + "/inject", "caBundle": base64.StdEncoding.EncodeToString(w.cert)},
			"rules":        []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "resources": []any{"pods"}, "operations": []any{"CREATE"}, "scope": "Namespaced"}}}}})
	pod := func(namespace, name string) map[string]any {
		p := somePod(nil)
		p.GenerateName, p.Name, p.Namespace = "", name, namespace
		text, _ := json.Marshal(p)
		out := map[string]any{}
		_ = json.Unmarshal(text, &out)
		delete(out, "status")
		return out
	}
	names := func(o map[string]any) string {
		text, _ := json.Marshal(o)
		var p corev1.Pod
		_ = json.Unmarshal(text, &p)
		return fmt.Sprint(containers(&p))
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("web-%d", i)
		api.Put(pod("shop", name))
		got := names(api.Get(pod("shop", name)))
		if strings.Contains(got, "istio-proxy") {
			break
		}
		if i > 100 { // the API server takes a moment to know of the webhook
			t.Fatalf("the pod has %s\n%s", got, w.log)
		}
		time.Sleep(100 * time.Millisecond)
	}
	api.Put(pod("plain", "web"))
	if got := names(api.Get(pod("plain", "web"))); got != "[app]" {
		t.Errorf("a pod of another namespace has %s", got)
	}
	refused := pod("shop", "refused")
	refused["metadata"].(map[string]any)["annotations"] = map[string]any{"inject.istio.io/templates": "waypoint"}
	if err := api.Accepts(refused); err == nil || !strings.Contains(err.Error(), "MESHC1903") {
		t.Errorf("a pod that asks for what there is not: %v", err)
	}
}
