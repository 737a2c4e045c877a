package kube_test

import (
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/internal/clustertest"
	"github.com/meshc/meshc/server/kube"
	"github.com/meshc/meshc/server/token"
)

// A real API server says whose tokens are that it has made, as long as their pods are there; who may not ask it is told which
// rule is missing. Its own public keys say the same without it, of the pods too that are gone.
func TestTokensOnKubernetes(t *testing.T) {
	api := clustertest.Start(t)
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web-0", "namespace": "shop"},
		"spec": map[string]any{"serviceAccountName": "web", "containers": []any{map[string]any{"name": "app", "image": "app"}}}}
	for _, o := range []map[string]any{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop"}},
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "web", "namespace": "shop"}},
		pod,
	} {
		api.Put(o)
	}
	connect := func(by string) *kube.Client {
		c, err := kube.Connect(kube.Options{Kubeconfig: api.Kubeconfig(by, "")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	w := token.Wants{Audiences: []string{"istio-ca"}}
	may, mayNot := token.NewReview(connect(clustertest.AdminToken), w), token.NewReview(connect(clustertest.ReaderToken), w)
	raw, other := api.Token("shop", "web", "web-0", "istio-ca"), api.Token("shop", "web", "web-0", "vault")
	late := api.Token("shop", "web", "web-0", "istio-ca") // the API server remembers for ten seconds what it has said of one
	a, err := may.Verify(t.Context(), raw)
	if err != nil || a.Namespace != "shop" || a.Name != "web" || a.Pod != "web-0" {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := mayNot.Verify(t.Context(), raw); err == nil || !strings.Contains(err.Error(), "system:auth-delegator") {
		t.Errorf("without the right to ask: %v", err)
	}
	if _, err := may.Verify(t.Context(), other); err == nil || !strings.Contains(err.Error(), `audience "vault"`) {
		t.Errorf("another audience: %v", err)
	}
	api.Delete(pod)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // until what answers has heard of it
		b, err := may.Verify(t.Context(), late)
		if err != nil && strings.Contains(err.Error(), "does not take the token") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("of a pod that is gone: %+v, %v", b, err)
		}
	}
	keys := token.NewKeys(api.File("jwks", api.Keys()), w)
	if err := keys.Follow(t.Context(), 1<<40); err != nil {
		t.Fatal(err)
	}
	if b, err := keys.Verify(t.Context(), late); err != nil || b.Namespace != a.Namespace || b.Name != a.Name || b.Pod != a.Pod {
		t.Errorf("by the keys: %+v, %v", b, err)
	}
	api.Down()
	if _, err := may.Verify(t.Context(), late); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("with the API server away: %v", err)
	}
}
