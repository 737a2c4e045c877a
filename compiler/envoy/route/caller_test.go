package route

import (
	"testing"

	networking "istio.io/api/networking/v1alpha3"
)

// TestCallers: a match on the caller holds for those alone that have the labels, in requests and connections alike. A label
// that a proxy lacks is not an empty one.
func TestCallers(t *testing.T) {
	labels := func(l map[string]string) []SourceMatch {
		return []SourceMatch{&networking.HTTPMatchRequest{SourceLabels: l}, &networking.L4MatchAttributes{SourceLabels: l}, &networking.TLSMatchAttributes{SourceLabels: l}}
	}
	c := Caller{Namespace: "shop", Labels: map[string]string{"app": "web", "empty": ""}, Gateway: MeshGateway}
	for _, x := range []struct {
		labels map[string]string
		want   bool
	}{
		{map[string]string{"app": "web"}, true}, {map[string]string{"app": "db"}, false}, {map[string]string{"empty": ""}, true}, {map[string]string{"none": ""}, false},
	} {
		for _, m := range labels(x.labels) {
			if got := c.Fits(m); got != x.want {
				t.Errorf("%T %v: %t", m, x.labels, got)
			}
		}
	}
	elsewhere := []string{"shop/edge"}
	if c.Fits(&networking.TLSMatchAttributes{Gateways: elsewhere}) || c.Fits(&networking.HTTPMatchRequest{Gateways: elsewhere}) {
		t.Error("a match for a gateway holds on a sidecar")
	}
	both := []string{"shop/edge", MeshGateway}
	if !c.Fits(&networking.HTTPMatchRequest{Gateways: both, SourceNamespace: "other"}) || c.Fits(&networking.L4MatchAttributes{Gateways: both, SourceNamespace: "other"}) {
		t.Error("in HTTP alone gateways replace the tests on the source")
	}
}
