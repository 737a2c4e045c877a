package envoy

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/lowertest"
)

// TestRouteFindings: what Envoy lacks, rounds or never reads in a route is said, also if no check of the shape came first.
func TestRouteFindings(t *testing.T) {
	const to = `"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]`
	c := lowertest.Linked(t, "default/client", routeMesh)
	for text, want := range map[string]string{
		`{` + to + `}`: "",
		`{"rewrite":{"uri":"/r","uriRegexRewrite":{"match":"a","rewrite":"b"}},` + to + `}`:                                                                   "MESHC1420",
		`{"fault":{"abort":{"httpStatus":500}},"redirect":{"uri":"/x"}}`:                                                                                      "MESHC1420",
		`{"redirect":{"uri":"/u","redirectCode":305}}`:                                                                                                        "MESHC1421",
		`{"fault":{"abort":{"http2Error":"X","percentage":{"value":5}}},` + to + `}`:                                                                          "MESHC1421",
		`{"route":[{"weight":0,"destination":{"host":"api.default.svc.cluster.local"}},{"weight":0,"destination":{"host":"web.default.svc.cluster.local"}}]}`: "MESHC1422",
		`{"match":[{"headers":{"@request.auth.claims.group":{"exact":"a"}}}],` + to + `}`:                                                                     "MESHC1423",
		`{"corsPolicy":{"allowOrigins":[{"exact":"a"}],"maxAge":"1.5s"},` + to + `}`:                                                                          "MESHC1424",
	} {
		spec := &networking.VirtualService{}
		if err := protojson.Unmarshal([]byte(`{"hosts":["api.default.svc.cluster.local"],"http":[`+text+`]}`), spec); err != nil {
			t.Fatal(err)
		}
		s := *c.Scope
		l := *catchAllListener(&s)
		l.VirtualServices = []*mesh.VirtualService{{Object: lowertest.Object("VirtualService", "api"), Spec: spec}}
		_, found := outboundRoutes(&s, []route.Key{{Name: "80", Listener: &l, Port: 80}})
		if got := lowertest.CodesOf(found); want == "" && len(got) > 0 || want != "" && !slices.Contains(got, want) {
			t.Errorf("%s: %v", text, found)
		}
	}
}

// TestShadowedHost: of two hosts that differ by case alone the second has no domain left.
func TestShadowedHost(t *testing.T) {
	s := *lowertest.Linked(t, "default/client", routeMesh).Scope
	l := *catchAllListener(&s)
	first := *l.Services[slices.IndexFunc(l.Services, func(s *mesh.Service) bool { return s.Name == "api" })]
	first.Kubernetes, first.Addresses, first.Hostname = false, nil, "api.example.com"
	second := first
	second.Hostname = "API.example.com"
	l.Services, l.VirtualServices = []*mesh.Service{&first, &second}, nil
	_, found := outboundRoutes(&s, []route.Key{{Name: "80", Listener: &l, Port: 80}})
	if got := lowertest.CodesOf(found); !slices.Equal(got, []string{"MESHC1425"}) {
		t.Errorf("%v", found)
	}
}
