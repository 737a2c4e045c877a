package telemetry

import (
	"slices"
	"testing"

	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/encoding/protojson"
	meshconfig "istio.io/api/mesh/v1alpha1"
	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/lowertest"
)

// TestAccessLogLayers: which providers log, where layers name some, switch them off, filter, or speak about one side only.
func TestAccessLogLayers(t *testing.T) {
	const a, b = `"providers":[{"name":"a"}]`, `"providers":[{"name":"b"}]`
	for _, c := range []struct {
		name, defaults string
		layers         []string // accessLogging of each
		client, server []string // files, with "?" where a filter is
		codes          []string // of the client side
	}{
		{name: "the mesh", client: []string{"mesh"}, server: []string{"mesh"}},
		{name: "default providers", defaults: `"b","a"`, client: []string{"a", "b"}, server: []string{"a", "b"}},
		{name: "one side only leaves the mesh to the other", layers: []string{`[{` + a + `,"match":{"mode":"CLIENT"}}]`}, client: []string{"a"}, server: []string{"mesh"}},
		{name: "off for one side", layers: []string{`[{` + a + `},{` + a + `,"disabled":true,"match":{"mode":"SERVER"}}]`}, client: []string{"a"}},
		{name: "off without a provider changes nothing", layers: []string{`[{"disabled":true}]`}, client: []string{"mesh"}, server: []string{"mesh"}, codes: []string{"IST0157"}},
		{name: "off for the default", defaults: `"a"`, layers: []string{`[{"disabled":true}]`}},
		{name: "off switches off what the entry before named", layers: []string{`[{` + a + `},{` + b + `}]`, `[{"disabled":true}]`}, client: []string{"a"}, server: []string{"a"}},
		{name: "off and on again", layers: []string{`[{` + a + `,"disabled":true}]`, `[{` + a + `}]`}, client: []string{"a"}, server: []string{"a"}},
		{name: "the last layer that names some", layers: []string{`[{` + a + `}]`, `[{` + b + `}]`}, client: []string{"b"}, server: []string{"b"}},
		{name: "the last filter of a provider", layers: []string{`[{` + a + `,"filter":{"expression":"x"}}]`, `[{` + a + `}]`}, client: []string{"a"}, server: []string{"a"}},
		{name: "a filter", layers: []string{`[{` + a + `,"filter":{"expression":"x"}}]`}, client: []string{"a?"}, server: []string{"a?"}},
		{name: "a filter without a provider", layers: []string{`[{` + a + `}]`, `[{"filter":{"expression":"x"}}]`}, client: []string{"a"}, server: []string{"a"}, codes: []string{"MESHC1564"}},
		{name: "a provider whose service is not there", layers: []string{`[{"providers":[{"name":"lost"}]}]`}, client: []string{"mesh"}, server: []string{"mesh"}, codes: []string{"MESHC1561"}},
		{name: "a filter that is no expression", layers: []string{`[{` + a + `,"filter":{"expression":"response.code >="}}]`}, client: []string{"a"}, server: []string{"a"}, codes: []string{"MESHC1562"}},
		{name: "an unknown provider leaves it to the mesh", layers: []string{`[{"providers":[{"name":"c"}]}]`}, client: []string{"mesh"}, server: []string{"mesh"}, codes: []string{"MESHC1560"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := &meshconfig.MeshConfig{}
			text := `{"accessLogFile":"mesh","defaultProviders":{"accessLogging":[` + c.defaults + `]},"extensionProviders":[
				{"name":"a","envoyFileAccessLog":{"path":"a"}},{"name":"b","envoyFileAccessLog":{"path":"b"}},
				{"name":"lost","envoyOtelAls":{"service":"lost.test","port":4317}}]}`
			if err := protojson.Unmarshal([]byte(text), config); err != nil {
				t.Fatal(err)
			}
			var layers []*mesh.Telemetry
			for _, l := range c.layers {
				x := &mesh.Telemetry{Object: lowertest.Object("Telemetry", "t"), Spec: &telemetry.Telemetry{}}
				if err := protojson.Unmarshal([]byte(`{"accessLogging":`+l+`}`), x.Spec); err != nil {
					t.Fatal(err)
				}
				layers = append(layers, x)
			}
			for of, want := range map[Side][]string{ClientSide: c.client, ServerSide: c.server} {
				logs, found := AccessLogs(&mesh.Mesh{Config: config}, layers, of)
				var got []string
				for _, l := range logs.HTTP {
					file := &filelogv3.FileAccessLog{}
					if err := l.GetTypedConfig().UnmarshalTo(file); err != nil {
						t.Fatal(err)
					}
					if l.Filter != nil {
						file.Path += "?"
					}
					got = append(got, file.Path)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%v: %v, want %v", of, got, want)
				}
				if of == ClientSide && !slices.Equal(lowertest.CodesOf(found), c.codes) {
					t.Errorf("findings %v, want %v", found, c.codes)
				}
			}
		})
	}
}

// TestTracingProviders: a tracing provider that is not defined, or whose service is not there, is said.
func TestTracingProviders(t *testing.T) {
	config := &meshconfig.MeshConfig{}
	if err := protojson.Unmarshal([]byte(`{"extensionProviders":[{"name":"lost","zipkin":{"service":"lost.test","port":9411}}]}`), config); err != nil {
		t.Fatal(err)
	}
	for _, provider := range []string{"lost", "unknown"} {
		x := &mesh.Telemetry{Object: lowertest.Object("Telemetry", "t"), Spec: &telemetry.Telemetry{}}
		if err := protojson.Unmarshal([]byte(`{"tracing":[{"providers":[{"name":"`+provider+`"}]}]}`), x.Spec); err != nil {
			t.Fatal(err)
		}
		_, found := TracingOf(MergeTracing(&mesh.Mesh{Config: config}, nil, []*mesh.Telemetry{x}, ClientSide), Spans{})
		if got := lowertest.CodesOf(found); !slices.Equal(got, []string{"MESHC1565"}) {
			t.Errorf("%s: %v", provider, found)
		}
	}
}
