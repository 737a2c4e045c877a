package schema

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	mesh "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/internal/watchdog"
)

func documents(t testing.TB, text string) []*source.Document {
	t.Helper()
	res, diags, err := load.Load(context.Background(), []string{"-"}, load.Options{Stdin: strings.NewReader(text)})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return res.Documents
}

// TestNoFieldIsSilent walks the messages of Istio's API and fails for each field that the schemas do not have.
func TestNoFieldIsSilent(t *testing.T) {
	all, err := readShapes()
	if err != nil {
		t.Fatal(err)
	}
	roots := map[string]proto.Message{"MeshConfig": &mesh.MeshConfig{}, "MeshNetworks": &mesh.MeshNetworks{}}
	for _, k := range kinds.All() {
		if k.Istio {
			roots[k.Name] = k.New().(proto.Message)
		}
	}
	seen := map[protoreflect.FullName]bool{}
	var walk func(path string, m protoreflect.MessageDescriptor, s *shape)
	walk = func(path string, m protoreflect.MessageDescriptor, s *shape) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			at := path + "." + f.JSONName()
			own := s.byName[f.JSONName()]
			if own == nil {
				t.Errorf("%s is not in the schema", at)
				continue
			}
			sub := f.Message()
			if f.IsMap() {
				sub = f.MapValue().Message()
			}
			if e := f.Enum(); e != nil && len(own.enum) != e.Values().Len() {
				t.Errorf("%s takes %d values, the schema has %d", at, e.Values().Len(), len(own.enum))
			}
			if sub == nil || strings.HasPrefix(string(sub.FullName()), "google.protobuf.") {
				continue
			}
			next := all.of(own)
			if f.IsMap() {
				next = all.of(next.rest)
			}
			if next == nil {
				t.Errorf("%s is a message, and open in the schema", at)
				continue
			}
			walk(at, sub, next)
		}
		for i := range m.Oneofs().Len() {
			if o := m.Oneofs().Get(i); o.Fields().Len() > 1 && len(s.oneofs) == 0 {
				t.Errorf("%s: the one-of %s is missing", path, o.Name())
			}
		}
	}
	for name, m := range roots {
		walk(name, m.ProtoReflect().Descriptor(), all["#"+name])
	}
}

// TestKindsHaveDefinitions: there is a definition for each kind that is read, in all versions.
func TestKindsHaveDefinitions(t *testing.T) {
	all, _ := readShapes()
	for _, k := range kinds.All() {
		want := source.Kubernetes
		if k.Istio {
			want = source.Istio
		}
		if got := source.Classify(k.Served(), k.Name); got != want {
			t.Errorf("%s %s: class %d", k.Served(), k.Name, got)
		}
		if all[k.Definition()] == nil {
			t.Errorf("%s has no definition", k.Name)
		}
	}
}

const good = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  labels: {app: reviews}
  creationTimestamp: "2026-01-02T03:04:05Z"
spec:
  hosts: [reviews]
  http:
  - match:
    - uri: {prefix: /v1}
      headers: {x-user: {exact: jason}}
    route:
    - destination: {host: reviews, subset: v1, port: {number: 9080}}
      weight: 90.0
    - destination: {host: reviews, subset: v2}
      weight: 10
    timeout: 1h
    retries: {attempts: 3, perTryTimeout: 20ms}
    fault: {abort: {httpStatus: 503, percentage: {value: 0.5}}}
`

func TestGoodObject(t *testing.T) {
	objects, diags := Check(documents(t, good), Options{})
	if len(diags) != 0 || len(objects) != 1 {
		t.Fatal(diags)
	}
	o := objects[0]
	vs := o.Spec.(*networking.VirtualService)
	if vs.Http[0].Route[0].Weight != 90 || vs.Http[0].Timeout.AsDuration().Hours() != 1 || o.Labels["app"] != "reviews" || o.Created.Year() != 2026 {
		t.Error(o, vs)
	}
}

func TestFindings(t *testing.T) {
	vs := "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n"
	for _, c := range []struct{ name, text, code, field, message, help string }{
		{"misspelt", vs + "  http:\n  - timout: 5s\n    route: [{destination: {host: a}}]\n", "IST0106", "spec.http[0].timout", `HTTPRoute has no field "timout"`, "Did you mean timeout?"},
		{"misspelt struct", vs + "  http:\n  - rout: [{destination: {host: a}}]\n    redirect: {uri: /x}\n", "IST0106", "spec.http[0].rout", `no field "rout"`, "Did you mean route?"},
		{"deep", vs + "  http:\n  - route: [{destination: {hosts: a}}]\n", "IST0106", "spec.http[0].route[0].destination", "", "host"},
		{"wrong type", vs + "  http:\n  - timeout: 5\n    route: [{destination: {host: a}}]\n", "IST0106", "spec.http[0].timeout", "is the number 5, but must be a duration", "10s"},
		{"text for number", vs + "  http:\n  - route: [{destination: {host: a}, weight: \"5\"}]\n", "IST0106", "spec.http[0].route[0].weight", `is the string "5", but must be a whole number`, ""},
		{"list for mapping", vs + "  http:\n  - route: {destination: {host: a}}\n", "IST0106", "spec.http[0].route", "is a mapping, but must be a list", ""},
		{"two of one", vs + "  http:\n  - match: [{uri: {exact: /a, prefix: /b}}]\n    route: [{destination: {host: a}}]\n", "IST0106", "spec.http[0].match[0].uri.prefix", "takes only one of exact, prefix, regex", ""},
		{"beside spec", vs + "http: []\n", "IST0106", "http", `no field "http" beside spec`, ""},
		{"line break in a host", vs + "  http:\n  - redirect: {authority: \"a\\nb\"}\n", "IST0106", "spec.http[0].redirect.authority", "line break", ""},
		{"line break in a header", vs + "  http:\n  - headers: {request: {set: {x: \"a\\nb\"}}}\n    route: [{destination: {host: a}}]\n", "IST0106", "spec.http[0].headers.request.set.x", "line break", ""},
		{"parameter without a name", vs + "  http:\n  - match: [{queryParams: {'': {exact: x}}}]\n    route: [{destination: {host: a}}]\n", "IST0106", "spec.http[0].match[0].queryParams.", "no name", ""},
		{"command operator", vs + "  http:\n  - headers: {response: {add: {x: 'at %START_TIM(%s)% %%'}}}\n    route: [{destination: {host: a}}]\n", "IST0106", "spec.http[0].headers.response.add.x", "START_TIM", "START_TIME"},
		{"status of no RFC", vs + "  http:\n  - retries: {attempts: 2, retryOn: '5xx,520'}\n    route: [{destination: {host: a}}]\n", "IST0106", "spec.http[0].retries.retryOn", "520", ""},
		{"rejected field", vs + "  http:\n  - fault: {abort: {http2Error: x}}\n    route: [{destination: {host: a}}]\n", "IST0106", "spec.http[0].fault.abort.http2Error", "not supported", ""},
		{"enum", "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [a.b], resolution: dns, ports: [{number: 80, name: http, protocol: HTTP}]}\n", "IST0106", "spec.resolution", "must be one of NONE, STATIC, DNS", ""},
		{"unsupported", "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: a}\nspec: {metrics: [{reportingInterval: 5s}]}\n", "MESHC1110", "spec.metrics", "stock Envoy", ""},
		{"unknown kind", "apiVersion: networking.istio.io/v1\nkind: VirtualServices\nmetadata: {name: a}\n", "MESHC1105", "kind", "no kind VirtualServices", "Did you mean VirtualService?"},
		{"gateway api", "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\n", "MESHC1150", "kind", "not compiled", ""},
		{"label", "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {x: yes}}\nspec: {ports: [{port: 80}]}\n", "IST0106", "metadata.labels.x", "the boolean true", "Quote"},
		{"service port", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 0}]}\n", "IST0106", "spec.ports[0].port", "port number from 1 to 65535", ""},
		{"log format", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n    accessLogFormat: '%START_TIME(%s)% %REQ(:PATH)% %REQ_WITHOUT_QUERY(:PATH)% %RESPONSE_COD%'\n", "IST0106", "mesh: accessLogFormat", "RESPONSE_COD%", "Did you mean RESPONSE_CODE?"},
		{"log field", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n    extensionProviders:\n    - name: a\n      envoyFileAccessLog: {logFormat: {labels: {share: '100%'}}}\n", "IST0106", "mesh: extensionProviders[0].envoyFileAccessLog.logFormat.labels.share", "ends nowhere", "%%"},
		{"mesh config", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n    defaultConfig:\n      concurency: 2\n", "IST0106", "mesh: defaultConfig.concurency", "no field", "Did you mean concurrency?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, diags := Check(documents(t, c.text), Options{})
			if len(diags) != 1 {
				t.Fatalf("want one finding, got %v", diags)
			}
			d := diags[0]
			if d.Code != c.code || !strings.HasPrefix(d.Field, c.field) || !strings.Contains(d.Message, c.message) || !strings.Contains(d.Help, c.help) {
				t.Errorf("got %s %s: %s (%s)", d.Code, d.Field, d.Message, d.Help)
			}
			if d.Pos.Line < 1 || d.Pos.Line > strings.Count(c.text, "\n") || d.Object.Name == "" {
				t.Errorf("place %v of %v", d.Pos, d.Object)
			}
		})
	}
}

func TestPlaceInsideTheMeshConfig(t *testing.T) {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n    # a comment\n    connectTimeout: 10\n    default_config: {interception_mode: REDIRECT}\n    extensionProviders:\n    - name: x\n      envoyExtAuthzGrpc: {service: a.b, port: \"9000\"}\n"
	objects, diags := Check(documents(t, text), Options{})
	if len(diags) != 1 || diags[0].Pos.Line != 7 || len(objects) != 0 {
		t.Fatal(diags)
	}
	objects, diags = Check(documents(t, strings.Replace(text, "connectTimeout: 10", "connectTimeout: 10s", 1)), Options{})
	if diags.HasErrors() || len(objects) != 1 || !IsMeshConfigMap(objects[0]) {
		t.Fatal(diags)
	}
	m := &mesh.MeshConfig{}
	if err := DecodeMesh(objects[0].Spec.(*corev1.ConfigMap).Data[MeshKey], m); err != nil || m.ConnectTimeout.AsDuration().Seconds() != 10 {
		t.Error(err, m)
	}
}

func TestLenient(t *testing.T) {
	objects, diags := Check(documents(t, "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: a}\nspec: {metrics: [{reportingInterval: 5s}]}\n"), Options{Lenient: true})
	if diags.HasErrors() || diags.Count(diag.Warning) != 1 || len(objects) != 1 {
		t.Fatal(diags)
	}
}

func TestOrderDoesNotDependOnWorkers(t *testing.T) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "%s---\n", strings.Replace(good, "name: reviews", fmt.Sprintf("name: r%d", i), 1))
		fmt.Fprintf(&text, "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s%d}\nspec: {egres: []}\n---\n", i)
	}
	docs := documents(t, text.String())
	one, d1 := Check(docs, Options{Workers: 1})
	many, d2 := Check(docs, Options{Workers: 5})
	if len(one) != 200 || len(many) != 200 || fmt.Sprint(d1) != fmt.Sprint(d2) {
		t.Fatal(len(one), len(many), len(d1), len(d2))
	}
	for i := range one {
		if one[i].Name != many[i].Name {
			t.Fatal("order differs at", i)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(good)
	f.Add("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n    defaultConfig: {concurrency: 2}\n")
	f.Add("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n")
	f.Add("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: g}\nspec: {rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}], when: [{key: source.ip, values: [x]}]}]}\n")
	f.Add("apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: g}\nspec: {configPatches: [{applyTo: HTTP_FILTER, patch: {operation: MERGE, value: {a: [1]}}}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		res, _, err := load.Load(context.Background(), []string{"-"}, load.Options{Stdin: strings.NewReader(text)})
		if err != nil {
			t.Fatal(err)
		}
		objects, diags := Check(res.Documents, Options{Workers: 1})
		for _, d := range diags {
			if d.Pos.Line < 1 || d.Pos.File == "" || d.Message == "" || d.Help == "" {
				t.Errorf("incomplete: %+v", d)
			}
		}
		for _, o := range objects {
			if o.Spec == nil {
				t.Error("an object without a spec")
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	var text strings.Builder
	const n = 500
	for i := range n {
		fmt.Fprintf(&text, "%s---\n", strings.Replace(good, "name: reviews", fmt.Sprintf("name: r%d", i), 1))
	}
	docs := documents(b, text.String())
	for b.Loop() {
		if _, diags := Check(docs, Options{Workers: 1}); len(diags) > 0 {
			b.Fatal(diags)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/object")
}

func BenchmarkCheckOne(b *testing.B) {
	docs := documents(b, good)
	for b.Loop() {
		Check(docs, Options{})
	}
}
