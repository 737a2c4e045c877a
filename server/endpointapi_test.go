package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/internal/kubetest"
)

func sliceObj(service string, addresses ...string) *discoveryv1.EndpointSlice {
	name, port := "http", int32(8080)
	e := &discoveryv1.EndpointSlice{TypeMeta: metav1.TypeMeta{Kind: "EndpointSlice", APIVersion: "discovery.k8s.io/v1"}, AddressType: discoveryv1.AddressTypeIPv4,
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: service + "-1", Labels: map[string]string{"kubernetes.io/service-name": service}},
		Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}}}
	for _, a := range addresses {
		e.Endpoints = append(e.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "p-" + a}})
	}
	return e
}

func podObj(service, address string) *corev1.Pod {
	return &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, Status: corev1.PodStatus{PodIP: address}, Spec: corev1.PodSpec{NodeName: "n"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p-" + address, Labels: map[string]string{"app": service, "security.istio.io/tlsMode": "istio"}}}
}

func nodeObj(region string) *corev1.Node {
	return &corev1.Node{TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"topology.kubernetes.io/region": region}}}
}

func TestEndpointsOfAPI(t *testing.T) {
	api := kubetest.New(t)
	api.Put("nodes", nodeObj("r1"))
	api.Put("pods", podObj("c1", "10.0.0.1"))
	api.Put("endpointslices", sliceObj("c1", "10.0.0.1"))
	api.Forbid(func(r kubetest.Request) bool { return r.Resource == "nodes" })
	srv, c := start(t, joinable(t, base(1)...), Options{KubernetesEndpoints: true, Kubeconfig: api.Kubeconfig(), kubeRetry: time.Millisecond, Grace: 50 * time.Millisecond})
	if err := srv.startEndpoints(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready := func() string {
		w := httptest.NewRecorder()
		srv.Admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		b, _ := io.ReadAll(w.Result().Body)
		return http.StatusText(w.Code) + " " + string(b)
	}

	// Until all was heard nobody is let in: the endpoints of the bundle could take away newer ones.
	eventually(t, "the missing rule at /readyz", func() bool {
		r := ready()
		return strings.HasPrefix(r, "Service Unavailable") && strings.Contains(r, `resources: ["nodes"]`)
	})
	st, err := c.DeltaAggregatedResources(context.Background())
	if err == nil {
		_, err = st.Recv()
	}
	if err == nil || !strings.Contains(err.Error(), "not known yet") {
		t.Errorf("a proxy before the endpoints: %v", err)
	}
	api.Forbid(func(kubetest.Request) bool { return false })
	eventually(t, "ready", func() bool { return strings.HasPrefix(ready(), "OK") })

	p := connect(t, c)
	p.warm()
	api.Put("pods", podObj("c1", "10.0.0.2"))
	api.Put("endpointslices", sliceObj("c1", "10.0.0.1", "10.0.0.2"))
	p.wantEndpoints("eds +c1", "10.0.9.9, 10.0.0.1 mtls, 10.0.0.2 mtls") // by locality
	api.Put("endpointslices", sliceObj("c1", "10.0.0.1", "10.0.0.2"))    // written again, and the same
	api.Put("pods", podObj("other", "10.0.0.3"))
	p.quiet()

	// An API server that is away takes nothing away; what changed meanwhile comes when it is back, deletions too.
	api.Down(true)
	api.HangUp()
	eventually(t, "the trouble in the status", func() bool { return strings.Contains(srv.Status().Endpoints.Error, "API server") })
	p.quiet()
	if !strings.HasPrefix(ready(), "OK") {
		t.Error(ready())
	}
	api.Remove("pods", "default", "p-10.0.0.1")
	api.Put("endpointslices", sliceObj("c1", "10.0.0.2"))
	api.Forget()
	api.Down(false)
	p.wantEndpoints("eds +c1", "10.0.9.9, 10.0.0.2 mtls")
	eventually(t, "no more trouble", func() bool {
		e := srv.Status().Endpoints
		return e.Error == "" && e.Slices == 1 && e.Pods == 2 && e.Nodes == 1
	})

	api.Put("nodes", nodeObj("r2")) // the same endpoints, elsewhere
	p.ack(p.want("eds +c1"))
	api.Put("nodes", nodeObj("r2"))
	p.quiet()
	api.Remove("endpointslices", "default", "c1-1") // the selector finds the pod
	p.quiet()
	api.Remove("pods", "default", "p-10.0.0.2") // not seen: as compiled
	r := p.want("eds +c1")
	p.ack(r)
	if got := addresses(t, r.Resources[0].Resource); got != "" {
		t.Error(got)
	}

	// A new bundle is filled with what is seen.
	api.Put("endpointslices", sliceObj("c2", "10.0.0.3"))
	p.wantEndpoints("eds +c2", "10.0.9.9, 10.0.0.3 mtls")
	srv.Switch(joinable(t, append(without(base(1), "c2"), cds("c2", 5), eds("c2"))...))
	p.ack(p.want("cds +c2"))
	p.wantEndpoints("eds +c2", "10.0.9.9, 10.0.0.3 mtls")
}

// A cluster may begin with no node at all.
func TestEndpointsOfAPIWithoutNodes(t *testing.T) {
	api := kubetest.New(t)
	srv, _ := start(t, joinable(t, base(1)...), Options{KubernetesEndpoints: true, Kubeconfig: api.Kubeconfig(), kubeRetry: time.Millisecond})
	if err := srv.startEndpoints(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes := func(n int) func() bool {
		return func() bool { e := srv.Status().Endpoints; return e.Synced && e.Nodes == n }
	}
	eventually(t, "no node", nodes(0))
	api.Put("nodes", nodeObj("r1"))
	eventually(t, "a node", nodes(1))
	api.Remove("nodes", "", "n")
	eventually(t, "no node again", nodes(0))
}

func TestEndpointsFromOnePlace(t *testing.T) {
	for _, o := range []Options{{Endpoints: "a", KubernetesEndpoints: true}, {Kubeconfig: "a"}, {KubeContext: "a", Endpoints: "b"}} {
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--kubernetes-endpoints") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
