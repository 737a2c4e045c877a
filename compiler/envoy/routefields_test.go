package envoy

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/lowertest"
)

// httpContexts are http blocks that together hold every field of HTTPRoute.
var httpContexts = []string{
	`{"name":"n","match":[{"name":"m","statPrefix":"s","port":80,"uri":{"prefix":"/A"},"ignoreUriCase":true,"method":{"exact":"GET"},"authority":{"prefix":"w"},"scheme":{"regex":"h.*"},"headers":{"a":{"exact":"b"}},"withoutHeaders":{"c":{"prefix":"d"}},"queryParams":{"e":{"regex":"f"}}}],"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"match":[{"uri":{"exact":"/a"},"method":{"prefix":"G"},"authority":{"exact":"w"},"scheme":{"exact":"http"}},{"method":{"regex":"G"},"authority":{"regex":"w"},"scheme":{"prefix":"http"}}],"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"match":[{"port":81,"uri":{"exact":"/a"}}],"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"match":[{"sourceLabels":{"app":"other"}},{"sourceNamespace":"other"},{"gateways":["default/gw"]}],"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"match":[{"gateways":["mesh"],"sourceLabels":{"app":"other"},"sourceNamespace":"other"}],"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"match":[{"uri":{"regex":"/a.*"},"ignoreUriCase":true}],"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"match":[{"headers":{"@request.auth.claims.iss":{"exact":"b"}},"withoutHeaders":{"@request.auth.claims[a][b]":{"exact":"b"}}}],"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"route":[{"weight":30,"destination":{"host":"api.default.svc.cluster.local","port":{"number":81},"subset":"v1"},"headers":{"request":{"set":{"host":"h","x":"y",":path":"/"},"add":{"q":"r"},"remove":["s",":t"]},"response":{"set":{"host":"x"},"add":{"u":"v"},"remove":["w"]}}},{"weight":70,"destination":{"host":"web.default.svc.cluster.local"}}],"headers":{"request":{"set":{"b":"1"},"add":{":authority":"c"},"remove":["d"]},"response":{"set":{"e":"1"},"add":{"f":"2"},"remove":["g"]}}}`,
	`{"route":[{"weight":40,"destination":{"host":"api.default.svc.cluster.local","port":{"number":9},"subset":"v1"},"headers":{"request":{"set":{"host":"h"}},"response":{"add":{"u":"v"}}}}]}`,
	`{"redirect":{"uri":"/u","authority":"a","scheme":"https","redirectCode":308,"port":8443}}`,
	`{"redirect":{"prefixRewrite":"/p","uri":"/u","derivePort":"FROM_REQUEST_PORT","scheme":"https"}}`,
	`{"redirect":{"uri":"/x"},"directResponse":{"status":201},"route":[{"destination":{"host":"api.default.svc.cluster.local"}}],"rewrite":{"uri":"/"},"timeout":"1s","retries":{"attempts":1},"mirror":{"host":"web.default.svc.cluster.local"},"mirrorPercent":3,"mirrorPercentage":{"value":5},"mirrors":[{"destination":{"host":"web.default.svc.cluster.local"}}]}`,
	`{"directResponse":{"status":418,"body":{"string":"tea"}}}`,
	`{"directResponse":{"status":418,"body":{"bytes":"dGVh"}}}`,
	`{"rewrite":{"uri":"/r","authority":"h"},"timeout":"7s","retries":{"attempts":4,"perTryTimeout":"2s","retryOn":"503,reset","retryRemoteLocalities":true,"retryIgnorePreviousHosts":false,"backoff":"1s"},"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"rewrite":{"uri":"/r","uriRegexRewrite":{"match":"a","rewrite":"b"}},"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"fault":{"delay":{"fixedDelay":"3s","percentage":{"value":10},"percent":5},"abort":{"httpStatus":500,"percentage":{"value":0.1}}},"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"fault":{"delay":{"exponentialDelay":"3s","percent":5},"abort":{"grpcStatus":"UNAVAILABLE","percentage":{"value":20}}},"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"fault":{"delay":{"fixedDelay":"3s","percent":5},"abort":{"http2Error":"X"}},"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"mirror":{"host":"web.default.svc.cluster.local","port":{"number":81},"subset":"v1"},"mirrorPercentage":{"value":5},"mirrorPercent":7,"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"mirror":{"host":"web.default.svc.cluster.local"},"mirrorPercent":7,"mirrors":[{"destination":{"host":"web.default.svc.cluster.local","port":{"number":81},"subset":"v1"},"percentage":{"value":2}}],"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"corsPolicy":{"allowOrigin":["a"],"allowMethods":["GET"],"allowHeaders":["x"],"exposeHeaders":["y"],"maxAge":"9s","allowCredentials":true,"unmatchedPreflights":"IGNORE"},"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
	`{"corsPolicy":{"allowOrigin":["a"],"allowOrigins":[{"exact":"a"},{"prefix":"b"},{"regex":"c"},{}],"maxAge":"9.5s"},"route":[{"destination":{"host":"api.default.svc.cluster.local"}}]}`,
}

// TestNoHTTPFieldIsSilent deletes each field of each context and wants routes or findings to change, in one context at
// least: in others the block does not apply to the caller, or the field above it is reported as having no effect.
func TestNoHTTPFieldIsSilent(t *testing.T) {
	c := lowertest.Linked(t, "default/client", routeMesh)
	object := lowertest.Object("VirtualService", "api")
	covered := map[string]bool{} // and whether it changes something
	lower := func(spec *networking.VirtualService) ([]*xds.Resource, diag.List) {
		s := *c.Scope
		l := *s.Listeners[len(s.Listeners)-1]
		l.VirtualServices = []*mesh.VirtualService{{Object: object, Spec: spec}}
		return outboundRoutes(&s, []route.Key{{Name: "80", Listener: &l, Port: 80}})
	}
	for _, context := range httpContexts {
		spec := &networking.VirtualService{}
		text := `{"hosts":["api.default.svc.cluster.local"],"http":[` + context + `,{"route":[{"destination":{"host":"web.default.svc.cluster.local"}}]}]}`
		if err := protojson.Unmarshal([]byte(text), spec); err != nil {
			t.Fatal(err)
		}
		rs, ds := lower(spec)
		lowertest.Render(t, rs, ds) // valid for Envoy
		whole := fmt.Sprint(messages(rs), ds)
		for _, leaf := range lowertest.Leaves(spec.ProtoReflect(), nil) {
			path, ok := strings.CutPrefix(leaf.String(), "http.")
			if !ok || leaf[1] != 0 {
				continue
			}
			less := proto.Clone(spec).(*networking.VirtualService)
			leaf.Clear(less.ProtoReflect())
			rs, ds := lower(less)
			covered[path] = covered[path] || fmt.Sprint(messages(rs), ds) != whole
		}
	}
	for _, f := range lowertest.FieldsOf((&networking.HTTPRoute{}).ProtoReflect().Descriptor(), "") {
		if !covered[f] && !strings.HasPrefix(f, "delegate.") { // merged by link
			t.Errorf("%s changes nothing in any context", f)
		}
	}
}

func messages(rs []*xds.Resource) (out []string) {
	for _, r := range rs {
		out = append(out, string(xds.Any(r.Message).Value))
	}
	return out
}
