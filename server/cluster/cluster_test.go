package cluster

import (
	"bytes"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/internal/kubetest"
	"github.com/meshc/meshc/server/kube"
)

func typed(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }

// TestFollow: nothing is known before every kind was heard, what makes no difference is no change, and what is gone is gone.
func TestFollow(t *testing.T) {
	api := kubetest.New(t)
	api.Put("namespaces", &corev1.Namespace{TypeMeta: typed("Namespace"), ObjectMeta: metav1.ObjectMeta{Name: "b"}})
	api.Put("namespaces", &corev1.Namespace{TypeMeta: typed("Namespace"), ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	api.Forbid(func(r kubetest.Request) bool { return r.Resource == "services" })
	client, err := kube.Connect(kube.Options{Kubeconfig: api.Kubeconfig(), MinRetry: 1e6, MaxRetry: 1e7})
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 100)
	c := New(func() { changed <- struct{}{} })
	w := NewWatches()
	c.Follow(w)
	go w.Run(t.Context(), client)
	for c.Counts()["Namespace"] < 2 {
		api.Open()
	}
	if c.List() != nil || len(changed) > 0 {
		t.Error("it tells what it knows before it has heard all kinds")
	}
	api.Forbid(func(kubetest.Request) bool { return false })
	<-changed
	first := c.List()
	if a, b := bytes.Index(first, []byte(`"name":"a"`)), bytes.Index(first, []byte(`"name":"b"`)); a < 0 || b < a {
		t.Errorf("the list is %s", first)
	}
	node := &corev1.Node{TypeMeta: typed("Node"), ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: "7", Labels: map[string]string{"zone": "z"}}}
	api.Put("nodes", node)
	<-changed
	second := c.List()
	node.ResourceVersion, node.Status.NodeInfo.KernelVersion = "8", "6"
	api.Put("nodes", node) // a kubelet's report
	api.Remove("namespaces", "", "b")
	<-changed
	third := c.List()
	if bytes.Equal(first, second) || bytes.Contains(third, []byte(`"name":"b"`)) || bytes.Contains(third, []byte("kernelVersion")) {
		t.Errorf("the lists are\n%s\n%s\n%s", first, second, third)
	}
	if len(changed) > 0 {
		t.Error("what makes no difference is told")
	}
	api.Down(true)
	api.HangUp()
	if !bytes.Equal(c.List(), third) {
		t.Error("what was heard is forgotten when the API server is away")
	}
}

// TestSlim: nothing is kept that may be secret or that changes all the time.
func TestSlim(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", ResourceVersion: "5", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "secret-1", "sidecar.istio.io/inject": "true"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Command: []string{"secret-2"}, Args: []string{"secret-3"},
			Env:           []corev1.EnvVar{{Name: "TOKEN", Value: "secret-4"}, {Name: "ISTIO_META_X", Value: "kept"}, {Name: "ISTIO_META_Y", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "secret-5"}}}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{HTTPHeaders: []corev1.HTTPHeader{{Name: "a", Value: "secret-6"}}}}}}}},
		Status: corev1.PodStatus{PodIP: "10.0.0.1", Message: "secret-7", ContainerStatuses: []corev1.ContainerStatus{{Name: "c", ContainerID: "secret-8"}}}}
	b := text(slimPod(pod), "v1", "Pod")
	if bytes.Contains(b, []byte("secret-")) || bytes.Contains(b, []byte(`"resourceVersion"`)) || bytes.Contains(b, []byte("managedFields")) {
		t.Errorf("kept is %s", b)
	}
	for _, want := range []string{`"ISTIO_META_X"`, `"kept"`, `"10.0.0.1"`, `"sidecar.istio.io/inject"`, `"kind":"Pod"`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s is not kept: %s", want, b)
		}
	}
}

// BenchmarkList is what a change of one pod among ten thousand costs.
func BenchmarkList(b *testing.B) {
	c := New(func() {})
	all := map[key][]byte{}
	for i := range 10_000 {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)), Namespace: "n"}}
		all[key{"Pod", "n", pod.Name}] = text(slimPod(pod), "v1", "Pod")
	}
	for _, kind := range kinds() {
		c.take(nil, nil, kind)
	}
	c.take(all, nil, "Pod")
	for i := 0; b.Loop(); i++ {
		c.take(map[key][]byte{{"Pod", "n", "x"}: {byte(i), byte(i >> 8)}}, nil, "")
		_ = c.List()
	}
}
