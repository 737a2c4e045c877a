package inject_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/inject"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/intercept"
)

var settings = inject.Settings{ProxyImage: "registry.example/envoy:v1", MeshcImage: "registry.example/meshc:v1", Everywhere: true}

// run injects a text.
func run(t *testing.T, text string, s inject.Settings) (*compiler.Injected, diag.List) {
	t.Helper()
	done, l, err := compiler.Inject(context.Background(), []string{"-"}, nil, compiler.Options{Stdin: strings.NewReader(text)}, s)
	if err != nil {
		t.Fatal(err)
	}
	return done, l
}

// template is the pod of the first Deployment in a text.
func template(t *testing.T, text []byte) *corev1.PodTemplateSpec {
	t.Helper()
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var d struct {
			Kind string
			Spec struct{ Template corev1.PodTemplateSpec }
		}
		if err := yaml.Unmarshal(doc, &d); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if d.Kind == "Deployment" {
			return &d.Spec.Template
		}
	}
	t.Fatalf("no Deployment in\n%s", text)
	return nil
}

// deployment is a Deployment with annotations and the spec of its pods.
func deployment(annotations map[string]string, spec string) string {
	if annotations == nil {
		annotations = map[string]string{}
	}
	meta := "{}"
	for k, v := range annotations {
		meta = strings.TrimPrefix(meta, "{}") + k + ": " + strconv.QuoteToASCII(v) + "\n"
	}
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata:\n      labels: {app: web}\n      annotations:\n" +
		indent(meta, 8) + "    spec:\n" + indent(spec, 6)
}

func indent(s string, n int) string {
	var b strings.Builder
	for _, l := range strings.Split(strings.TrimRight(s, "\n"), "\n") {
		b.WriteString(strings.Repeat(" ", n) + l + "\n")
	}
	return b.String()
}

const plainPod = "containers:\n- name: app\n  image: web:1\n"

// injected is the pod with its proxy; that the second time changes nothing is part of every test.
func injected(t *testing.T, text string, s inject.Settings) *corev1.PodTemplateSpec {
	t.Helper()
	done, l := run(t, text, s)
	if len(l) > 0 {
		t.Fatalf("%v in\n%s", l, text)
	}
	if again, l := run(t, string(done.Text), s); len(l) > 0 || !bytes.Equal(again.Text, done.Text) {
		t.Errorf("the second time gives %v and\n%s", l, again.Text)
	}
	return template(t, done.Text)
}

func container(list []corev1.Container, name string) *corev1.Container {
	if i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

func names(list []corev1.Container) string {
	var out []string
	for _, c := range list {
		out = append(out, c.Name)
	}
	return strings.Join(out, " ")
}

func TestOrder(t *testing.T) {
	spec := "initContainers:\n- name: migrate\n  image: m\n" + plainPod
	for _, c := range []struct {
		name, init, rest string
		annotations      map[string]string
		classic          bool
	}{
		{"native", "meshc-bootstrap istio-init istio-proxy migrate", "app", nil, false},
		{"by annotation", "meshc-bootstrap migrate istio-init", "app istio-proxy", map[string]string{"sidecar.istio.io/nativeSidecar": "false"}, false},
		{"by setting", "meshc-bootstrap migrate istio-init", "app istio-proxy", nil, true},
		{"annotation over setting", "meshc-bootstrap istio-init istio-proxy migrate", "app", map[string]string{"sidecar.istio.io/nativeSidecar": "true"}, true},
		{"without rules", "meshc-bootstrap istio-proxy migrate", "app", map[string]string{"sidecar.istio.io/interceptionMode": "NONE"}, false},
	} {
		s := settings
		s.Classic = c.classic
		pod := injected(t, deployment(c.annotations, spec), s)
		if i, r := names(pod.Spec.InitContainers), names(pod.Spec.Containers); i != c.init || r != c.rest {
			t.Errorf("%s: %s | %s", c.name, i, r)
		}
		proxy := container(slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers), "istio-proxy")
		if native := proxy.RestartPolicy != nil; native != strings.Contains(c.init, "istio-proxy") {
			t.Errorf("%s: the proxy has the restart policy %v", c.name, proxy.RestartPolicy)
		}
	}
}

// TestCNI: where the node redirects connections the pod asks for no right, waits until they are, and says what the plugin reads.
func TestCNI(t *testing.T) {
	s := settings
	s.CNI = true
	pod := injected(t, deployment(map[string]string{"traffic.sidecar.istio.io/excludeOutboundPorts": "9", "proxy.istio.io/config": `{"proxyMetadata":{"ISTIO_META_DNS_CAPTURE":"true"}}`}, plainPod), s)
	if got := names(pod.Spec.InitContainers); got != "meshc-bootstrap istio-validation istio-proxy" {
		t.Fatal(got)
	}
	check := container(pod.Spec.InitContainers, "istio-validation")
	if want := []string{"intercept", "--check=30s", "--exclude-outbound-ports=9", "--dns"}; !slices.Equal(check.Args, want) {
		t.Errorf("%q, not %q", check.Args, want)
	}
	for _, c := range pod.Spec.InitContainers {
		if s := c.SecurityContext; s.Capabilities == nil || len(s.Capabilities.Add) > 0 || !*s.RunAsNonRoot {
			t.Errorf("%s: %v", c.Name, s)
		}
	}
	if *check.SecurityContext.RunAsUser == intercept.ProxyUID {
		t.Error("the proxy's user checks, whose connections nothing redirects")
	}
	if env := container(pod.Spec.InitContainers, "istio-proxy").Env; !slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == "ISTIO_META_DNS_CAPTURE" && e.Value == "true" }) {
		t.Errorf("the plugin is not told that DNS is captured: %v", env)
	}
	pod = injected(t, deployment(map[string]string{"sidecar.istio.io/interceptionMode": "NONE"}, plainPod), s)
	if got := names(pod.Spec.InitContainers); got != "meshc-bootstrap istio-proxy" {
		t.Error(got)
	}
}

func TestAnnotations(t *testing.T) {
	pod := injected(t, deployment(map[string]string{
		"sidecar.istio.io/proxyCPU": "50m", "sidecar.istio.io/proxyMemoryLimit": "99Mi", "sidecar.istio.io/logLevel": "debug", "sidecar.istio.io/componentLogLevel": "filter:trace",
		"sidecar.istio.io/proxyImage": "other.example/envoy:v2", "sidecar.istio.io/proxyImageType": "distroless", "sidecar.istio.io/discoveryAddress": "ads.example:443",
		"readiness.status.sidecar.istio.io/initialDelaySeconds": "3", "readiness.status.sidecar.istio.io/periodSeconds": "4", "readiness.status.sidecar.istio.io/failureThreshold": "5",
		"traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.1/8", "traffic.sidecar.istio.io/includeInboundPorts": "",
		"sidecar.istio.io/userVolume": `{"certs":{"secret":{"secretName":"s"}}}`, "sidecar.istio.io/userVolumeMount": `{"certs":{"mountPath":"/certs","readOnly":true}}`,
		"resource.opentelemetry.io/service.name": "a,b", "proxy.istio.io/config": `{"concurrency":3,"drainDuration":"7s","proxyMetadata":{"ISTIO_META_NOTE":"a,\"b\"","FOO":"$(BAR)"}}`,
	}, plainPod), settings)
	proxy, boot, rules := container(pod.Spec.InitContainers, "istio-proxy"), container(pod.Spec.InitContainers, "meshc-bootstrap"), container(pod.Spec.InitContainers, "istio-init")
	for what, pair := range map[string][2]string{
		"image":    {proxy.Image, "other.example/envoy:distroless-v2"},
		"request":  {proxy.Resources.Requests.Cpu().String(), "50m"},
		"limit":    {proxy.Resources.Limits.Memory().String(), "99Mi"},
		"no limit": {proxy.Resources.Limits.Cpu().String(), "0"},
		"rules":    {strings.Join(rules.Args, " "), "intercept --include-inbound-ports= --exclude-outbound-ranges=10.0.0.0/8"},
		"volume":   {pod.Spec.Volumes[len(pod.Spec.Volumes)-1].Secret.SecretName, "s"},
		"mount":    {proxy.VolumeMounts[len(proxy.VolumeMounts)-1].MountPath, "/certs"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, not %q", what, pair[0], pair[1])
		}
	}
	args := strings.Join(proxy.Args, " ") + " "
	for _, a := range []string{"--log-level debug ", "--component-log-level filter:trace ", "--concurrency 3 ", "--drain-time-s 7 "} {
		if !strings.Contains(args, a) {
			t.Errorf("no %s in %s", a, args)
		}
	}
	for _, a := range []string{"--xds=ads.example:443", `--metadata="NOTE=a,""b"""`} {
		if !slices.Contains(boot.Args, a) {
			t.Errorf("no %s in %q", a, boot.Args)
		}
	}
	if r := proxy.ReadinessProbe; r.InitialDelaySeconds != 3 || r.PeriodSeconds != 4 || r.FailureThreshold != 5 {
		t.Errorf("%+v", r)
	}
	env := map[string]string{}
	for _, e := range proxy.Env {
		env[e.Name] = e.Value
	}
	if env["FOO"] != "$$(BAR)" || env["OTEL_RESOURCE_ATTRIBUTES"] != "service.name=a%2Cb" || env["NOTE"] != "" {
		t.Errorf("%v", env)
	}
}

// What an annotation says is a value, and never a part of the pod: whatever it holds, the pod has the fields that it would have.
func TestCraftedAnnotations(t *testing.T) {
	crafted := []string{"x\nprivileged: true", "x\"\n    hostNetwork: true", "- x", "{{ .Values }}", "x # y", "\u2028securityContext: {}", "'", "*a", "&a x", "!!binary x", "$(POD_NAME)", "on", "1e3", "\u0085- a", "\ufeff---\n"}
	var pods []string
	for _, evil := range []bool{false, true} {
		config := "proxyMetadata:\n"
		for i, text := range crafted {
			config += fmt.Sprintf("  V%02d: %s\n", i, strconv.QuoteToASCII(map[bool]string{true: text, false: "x"}[evil]))
		}
		pod := injected(t, deployment(map[string]string{"proxy.istio.io/config": config}, plainPod), settings)
		pod.Annotations = nil
		env := container(pod.Spec.InitContainers, "istio-proxy").Env
		env = env[len(env)-len(crafted):]
		for i := range env {
			if want := strings.ReplaceAll(crafted[i], "$", "$$"); evil && env[i].Value != want {
				t.Errorf("%q became %q", want, env[i].Value)
			}
			env[i].Value = ""
		}
		b, _ := yaml.Marshal(pod)
		pods = append(pods, string(b))
	}
	if pods[0] != pods[1] {
		t.Errorf("the pod has other fields:\n%s\n%s", pods[0], pods[1])
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, code, says string
		annotations      map[string]string
		spec             string
	}{
		{"Istio's own", "MESHC1901", "Istio's injector", map[string]string{"sidecar.istio.io/status": `{"initContainers":["istio-init"],"containers":["istio-proxy"]}`}, plainPod},
		{"an image with the agent", "MESHC1901", "proxyv2", nil, plainPod + "- name: istio-proxy\n  image: docker.io/istio/proxyv2:1.27.0\n"},
		{"quantity", "MESHC1902", "quantity", map[string]string{"sidecar.istio.io/proxyCPU": "1\nhostNetwork: true"}, plainPod},
		{"boolean", "MESHC1902", "neither true nor false", map[string]string{"sidecar.istio.io/nativeSidecar": "maybe"}, plainPod},
		{"port", "MESHC1902", "no port", map[string]string{"traffic.sidecar.istio.io/excludeInboundPorts": "http"}, plainPod},
		{"status port", "MESHC1902", "at no other port", map[string]string{"status.sidecar.istio.io/port": "15999"}, plainPod},
		{"log", "MESHC1902", "logLevel", map[string]string{"sidecar.istio.io/logLevel": "debug --service-node x"}, plainPod},
		{"image", "MESHC1902", "proxyImage", map[string]string{"sidecar.istio.io/proxyImage": "-x y"}, plainPod},
		{"volume", "MESHC1902", "userVolume", map[string]string{"sidecar.istio.io/userVolume": `{"a":{"emptyDir":{}},"b":{"nothing":1}}`}, plainPod},
		{"template", "MESHC1903", "grpc-agent", map[string]string{"inject.istio.io/templates": "grpc-agent"}, plainPod},
		{"unknown template", "MESHC1903", "--template", map[string]string{"inject.istio.io/templates": "sidecar,mine"}, plainPod},
		{"two templates", "MESHC1903", "2 of the templates", map[string]string{"inject.istio.io/templates": "sidecar,gateway"}, plainPod},
		{"override", "MESHC1902", "no name of a ConfigMap", map[string]string{"sidecar.istio.io/bootstrapOverride": "a/b"}, plainPod},
		{"TPROXY", "MESHC1903", "TPROXY", map[string]string{"sidecar.istio.io/interceptionMode": "TPROXY"}, plainPod},
		{"merged metrics", "MESHC1903", "merge-metrics", map[string]string{"prometheus.istio.io/merge-metrics": "true", "prometheus.io/port": "9090"}, plainPod},
		{"hold", "MESHC1903", "native", map[string]string{"sidecar.istio.io/nativeSidecar": "false", "proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}, plainPod},
		{"Windows", "MESHC1903", "Windows", nil, plainPod + "os: {name: windows}\n"},
		{"volume of the name", "MESHC1904", "istio-envoy", nil, plainPod + "volumes:\n- name: istio-envoy\n  hostPath: {path: /}\n"},
		{"probe at no port", "MESHC1904", "port", nil, plainPod + "  readinessProbe: {httpGet: {port: web}}\n"},
		{"Windows by its nodes", "MESHC1903", "Windows", nil, plainPod + "nodeSelector: {kubernetes.io/os: windows}\n"},
		{"a status that is not so", "MESHC1904", "no container meshc-bootstrap", map[string]string{"sidecar.istio.io/status": `{"initContainers":["meshc-bootstrap"]}`}, plainPod},
		{"an order of a patch", "MESHC1904", "$patch", nil, plainPod + "- {name: istio-proxy, $patch: delete}\n"},
		{"an order of a patch, below", "MESHC1904", "$patch", nil, plainPod + "- {name: istio-proxy, env: [{name: CANONICAL_SERVICE, $patch: delete}]}\n"},
		{"two proxies", "MESHC1904", "two containers istio-proxy", nil, plainPod + "- {name: istio-proxy, image: auto}\ninitContainers: [{name: istio-proxy, image: auto}]\n"},
		{"a mount of nothing", "MESHC1904", "mounts the volume a", map[string]string{"sidecar.istio.io/userVolumeMount": `{"a":{"mountPath":"/a"}}`}, plainPod},
		{"two mounts at a place", "MESHC1904", "two volumes at /etc/istio/proxy", map[string]string{"sidecar.istio.io/userVolumeMount": `{"istio-podinfo":{"mountPath":"/etc/istio/proxy"}}`}, plainPod},
		{"more than allowed", "MESHC1904", "asks for 2 of cpu", map[string]string{"sidecar.istio.io/proxyCPU": "2", "sidecar.istio.io/proxyCPULimit": "1"}, plainPod},
		{"variable", "MESHC1902", "no variable", map[string]string{"proxy.istio.io/config": "proxyMetadata: {A=B: x}"}, plainPod},
		{"metadata", "MESHC1902", "no variable", map[string]string{"proxy.istio.io/config": "proxyMetadata: {ISTIO_META_A=B: x}"}, plainPod},
		{"variable, unprintable", "MESHC1904", "variable", map[string]string{"proxy.istio.io/config": "proxyMetadata: {Ä: x}"}, plainPod},
		{"workers", "MESHC1902", "concurrency -3", map[string]string{"proxy.istio.io/config": "concurrency: -3"}, plainPod},
		{"drain", "MESHC1902", "drainDuration -3s", map[string]string{"proxy.istio.io/config": "drainDuration: -3s"}, plainPod},
		{"server", "MESHC1902", "no HOST:PORT", map[string]string{"sidecar.istio.io/discoveryAddress": "meshc:1 --insecure"}, plainPod},
		{"server by ProxyConfig", "MESHC1902", "no HOST:PORT", map[string]string{"proxy.istio.io/config": "discoveryAddress: meshc"}, plainPod},
		{"ProxyConfig", "MESHC1250", "ProxyConfig", map[string]string{"proxy.istio.io/config": "concurrency: many"}, plainPod},
	} {
		done, l := run(t, deployment(c.annotations, c.spec), settings)
		if len(l) == 0 || l[0].Code != c.code || !strings.Contains(l[0].Message, c.says) || l[0].Pos.Line < 2 || done.Text != nil {
			t.Errorf("%s: %v, %d bytes", c.name, l, len(done.Text))
		}
	}
}

func TestKeptOff(t *testing.T) {
	const ns = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: disabled}}\n---\n"
	asked := settings
	asked.Everywhere = false
	for _, c := range []struct{ name, text, reason string }{
		{"nothing asks", deployment(nil, plainPod), "Namespace shop is not in the input"},
		{"namespace", ns + deployment(nil, plainPod), "keep a proxy off"},
		{"host network", strings.Replace(ns, "disabled", "enabled", 1) + deployment(nil, "hostNetwork: true\n"+plainPod), "network of the node"},
		{"annotation", strings.Replace(ns, "disabled", "enabled", 1) + deployment(map[string]string{"sidecar.istio.io/inject": "false"}, plainPod), "keep a proxy off"},
		{"another word", strings.Replace(ns, "disabled", "enabled", 1) + deployment(map[string]string{"sidecar.istio.io/inject": "True"}, plainPod), `"True", and only "true"`},
		{"another kind", strings.NewReplacer("apps/v1", "apps.kruise.io/v1alpha1", "Deployment", "CloneSet").Replace(deployment(nil, plainPod)), "CloneSet of apps.kruise.io/v1alpha1 has pods"},
		{"running", strings.Replace(ns, "disabled", "enabled", 1) + "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec:\n" + indent(plainPod, 2) + "status: {phase: Running}\n", "running pod"},
	} {
		done, l := run(t, c.text, asked)
		if len(l) > 0 || string(done.Text) != c.text || len(done.Outcomes) != 1 || !strings.Contains(done.Outcomes[0].Reason, c.reason) {
			t.Errorf("%s: %v %+v\n%s", c.name, l, done.Outcomes, done.Text)
		}
	}
}

func TestProbes(t *testing.T) {
	const spec = `containers:
- name: app
  image: web:1
  ports: [{name: http, containerPort: 8080}]
  livenessProbe: {httpGet: {port: http, path: /live, scheme: HTTPS, httpHeaders: [{name: X, value: "1"}]}, timeoutSeconds: 7}
  readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 3}
  startupProbe: {exec: {command: [x]}}
  lifecycle: {preStop: {httpGet: {port: 8080, path: /stop}}}
- name: cart
  image: cart:1
  livenessProbe: {grpc: {port: 9090, service: s}}
  readinessProbe: {httpGet: {port: 80, host: example.com}}
`
	pod := injected(t, deployment(nil, spec), settings)
	app, cart := container(pod.Spec.Containers, "app"), container(pod.Spec.Containers, "cart")
	for what, pair := range map[string][2]string{
		"liveness":  {app.LivenessProbe.HTTPGet.Path, "/app-health/app/livez"},
		"readiness": {app.ReadinessProbe.HTTPGet.Path, "/app-health/app/readyz"},
		"preStop":   {app.Lifecycle.PreStop.HTTPGet.Path, "/app-lifecycle/app/prestopz"},
		"gRPC":      {cart.LivenessProbe.HTTPGet.Path, "/app-health/cart/livez"},
		"elsewhere": {cart.ReadinessProbe.HTTPGet.Host, "example.com"},
		"scheme":    {string(app.LivenessProbe.HTTPGet.Scheme), "HTTP"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, not %q", what, pair[0], pair[1])
		}
	}
	if app.LivenessProbe.TimeoutSeconds != 7 || app.StartupProbe.Exec == nil || app.ReadinessProbe.TCPSocket != nil || len(app.LivenessProbe.HTTPGet.HTTPHeaders) > 0 {
		t.Errorf("%+v", app)
	}
	args := container(pod.Spec.InitContainers, "meshc-bootstrap").Args
	want := `--probes={"/app-health/app/livez":{"httpGet":{"httpHeaders":[{"name":"X","value":"1"}],"path":"/live","port":8080,"scheme":"HTTPS"},"timeoutSeconds":7},` +
		`"/app-health/app/readyz":{"periodSeconds":3,"tcpSocket":{"port":9000}},"/app-health/cart/livez":{"grpc":{"port":9090,"service":"s"}},"/app-lifecycle/app/prestopz":{"httpGet":{"path":"/stop","port":8080}}}`
	if args[len(args)-1] != want {
		t.Errorf("%s", args[len(args)-1])
	}
	left := injected(t, deployment(map[string]string{"sidecar.istio.io/rewriteAppHTTPProbers": "false"}, spec), settings)
	if container(left.Spec.Containers, "app").LivenessProbe.HTTPGet.Path != "/live" {
		t.Error("a probe is rewritten that was to stay")
	}
}

// What the user says of the proxy's container goes before what injection says; the container is at its own place all the same.
func TestMerged(t *testing.T) {
	pod := injected(t, deployment(nil, plainPod+"- name: istio-proxy\n  image: auto\n  env: [{name: MINE, value: x}]\n  resources: {limits: {memory: 77Mi}}\n  volumeMounts: [{name: v, mountPath: /v}]\nvolumes: [{name: v, emptyDir: {}}]\n"), settings)
	proxy := container(pod.Spec.InitContainers, "istio-proxy")
	if proxy == nil || names(pod.Spec.Containers) != "app" {
		t.Fatalf("%s | %s", names(pod.Spec.InitContainers), names(pod.Spec.Containers))
	}
	if proxy.Image != settings.ProxyImage || proxy.Resources.Limits.Memory().String() != "77Mi" || proxy.Resources.Limits.Cpu().String() != "2" || len(proxy.VolumeMounts) != 3 || len(proxy.Command) == 0 ||
		!slices.ContainsFunc(proxy.Env, func(e corev1.EnvVar) bool { return e.Name == "MINE" }) {
		t.Errorf("%+v", proxy)
	}
}

// A pod that is bounded as a whole gets a proxy that asks for nothing of its own, and has no more workers than that leaves.
func TestBoundedAsAWhole(t *testing.T) {
	pod := injected(t, deployment(map[string]string{"sidecar.istio.io/proxyMemory": "40Mi"}, plainPod+"resources: {limits: {cpu: 1500m}}\n"), settings)
	for _, c := range pod.Spec.InitContainers {
		want := ""
		if c.Name == "istio-proxy" {
			want = "40Mi"
		}
		if got := c.Resources.Requests.Memory().String(); len(c.Resources.Limits) > 0 || len(c.Resources.Requests) > 1 || want != "" && got != want {
			t.Errorf("%s: %+v", c.Name, c.Resources)
		}
	}
	if args := container(pod.Spec.InitContainers, "istio-proxy").Args; args[len(args)-1] != "2" {
		t.Errorf("%v", args)
	}
}

func TestGateway(t *testing.T) {
	pod := injected(t, deployment(map[string]string{"inject.istio.io/templates": "gateway"}, "containers:\n- name: istio-proxy\n  image: auto\n  ports: [{containerPort: 8080}]\n  securityContext: {runAsUser: 2000}\n"), settings)
	proxy, boot := container(pod.Spec.Containers, "istio-proxy"), container(pod.Spec.InitContainers, "meshc-bootstrap")
	if names(pod.Spec.InitContainers) != "meshc-bootstrap" || !slices.Contains(boot.Args, "--gateway") || proxy.Image != settings.ProxyImage || *proxy.SecurityContext.RunAsUser != 2000 {
		t.Errorf("%s %+v", names(pod.Spec.InitContainers), proxy)
	}
	if pod.Labels["security.istio.io/tlsMode"] != "" || pod.Labels["service.istio.io/canonical-name"] != "web" {
		t.Errorf("%v", pod.Labels)
	}
}

func TestOwnTemplate(t *testing.T) {
	s := settings
	s.Templates = map[string]map[string]any{"mine": {"metadata": map[string]any{"labels": map[string]any{"team": "a"}},
		"spec": map[string]any{"priorityClassName": "high", "containers": []any{map[string]any{"name": "app", "env": []any{map[string]any{"name": "E", "value": "1"}}}}}}}
	pod := injected(t, deployment(map[string]string{"inject.istio.io/templates": "sidecar,mine"}, plainPod), s)
	app := container(pod.Spec.Containers, "app")
	if pod.Labels["team"] != "a" || pod.Spec.PriorityClassName != "high" || app.Image != "web:1" || len(app.Env) != 1 || container(pod.Spec.InitContainers, "istio-proxy") == nil {
		t.Errorf("%+v", pod)
	}
	s.Templates["mine"] = map[string]any{"spec": map[string]any{"hostNetwork": true}}
	if _, l := run(t, deployment(map[string]string{"inject.istio.io/templates": "sidecar,mine"}, plainPod), s); len(l) != 1 || !strings.Contains(l[0].Message, "network of its node") {
		t.Errorf("a pod gets its rules on the network of its node: %v", l)
	}
	for _, text := range []map[string]any{nil, {"kind": "Pod", "data": 1}, {"spec": map[string]any{"contaners": 1}}} {
		if err := inject.ReadTemplate(text); err == nil {
			t.Errorf("%v is a template", text)
		}
	}
	s.Templates = map[string]map[string]any{"gateway": {}}
	if _, _, err := compiler.Inject(context.Background(), []string{"-"}, nil, compiler.Options{Stdin: strings.NewReader(deployment(nil, plainPod))}, s); err == nil {
		t.Error("a template takes the name of one of meshc's")
	}
}

// What is not a workload keeps its bytes, and so do comments and order of what is.
func TestTexts(t *testing.T) {
	const other = "# first\nkind: ConfigMap\napiVersion: v1\nmetadata:   {name:   odd}\ndata:\n    a:   |\n        ---x\n\n\n# last\n"
	text := other + "---\n" + strings.Replace(deployment(nil, plainPod), "replicas", "replicas", 1) + "---\n" + other
	done, l := run(t, strings.Replace(text, "  selector:", "  # why\n  selector:", 1), settings)
	if len(l) > 0 || !bytes.HasPrefix(done.Text, []byte(other+"---\n")) || !bytes.HasSuffix(done.Text, []byte("---\n"+other)) || !bytes.Contains(done.Text, []byte("  # why\n  selector: {matchLabels: {app: web}}\n")) {
		t.Errorf("%v\n%s", l, done.Text)
	}
	for name, text := range map[string]string{
		"anchors": strings.Replace(deployment(nil, plainPod), "labels: {app: web}", "labels: &l {app: web}", 1) + "---\n" + other,
		"list":    "apiVersion: v1\nkind: List\nitems:\n- " + strings.TrimPrefix(indent(deployment(nil, plainPod), 2), "  "),
		"json":    `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"selector":{"matchLabels":{"a":"1"}},"template":{"metadata":{"labels":{"a":"1"}},"spec":{"containers":[{"name":"app","image":"true"}]}}}}`,
		"quoted":  `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"selector":{"matchLabels":{"on":"y"}},"template":{"metadata":{"labels":{"on":"y","<<":"no"}},"spec":{"containers":[{"name":"app","image":"x"}]}}}}`,
		"version": "%YAML 1.1\n# first\n---\n" + deployment(nil, plainPod) + "---\n" + other,
		"hook":    "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: migrate-}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: x}]}}}\n",
		"merge":   "x: &c\n  image: web:1\n---\n" + deployment(nil, "containers:\n- &a\n  name: app\n  image: web:1\n- <<: *a\n  name: two\n"),
	} {
		done, l := run(t, text, settings)
		if len(l) > 0 || !bytes.Contains(done.Text, []byte("meshc-bootstrap")) || bytes.Contains(done.Text, []byte("*a")) {
			t.Errorf("%s: %v\n%s", name, l, done.Text)
		}
		if again, l := run(t, string(done.Text), settings); len(l) > 0 || !bytes.Equal(again.Text, done.Text) {
			t.Errorf("%s: the second time gives %v and\n%s", name, l, again.Text)
		}
	}
}

// A text of JSON is written as YAML, and whoever reads that, by whichever version of YAML, reads what the JSON said: also keys.
func TestJSONKeepsItsTexts(t *testing.T) {
	texts := []string{"y", "n", "yes", "no", "on", "off", "Y", "NO", "null", "~", "1", "1.5", "true", "<<", "0x1", "1e3", "2001-01-01", "1_000", "0777", "-", "? x", "*a", "#c", "a: b", "a #b", "\u2028", " x", "a\nb\n"}
	var pod struct {
		Metadata struct{ Annotations map[string]string }
		Spec     struct{ Containers []struct{ Command []string } }
	}
	said := map[string]string{}
	for _, text := range texts {
		said[text] = text
	}
	keys, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	words, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	done, l := run(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","annotations":%s},"spec":{"containers":[{"name":"app","image":"x","command":%s}]}}`, keys, words), settings)
	if len(l) > 0 {
		t.Fatal(l)
	}
	if err := yaml.Unmarshal(done.Text, &pod); err != nil {
		t.Fatalf("%v\n%s", err, done.Text)
	}
	if !slices.Equal(pod.Spec.Containers[0].Command, texts) {
		t.Errorf("%q", pod.Spec.Containers[0].Command)
	}
	for _, text := range texts {
		if pod.Metadata.Annotations[text] != text {
			t.Errorf("the key %q is lost: %q", text, pod.Metadata.Annotations[text])
		}
	}
}

// Aliases of an object that nobody reads are not written out without bound, nor one that stands in itself.
func TestAliasesWithoutEnd(t *testing.T) {
	bomb := "apiVersion: example.com/v1\nkind: Other\nmetadata: {name: x}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, text := range map[string]string{"bomb": bomb, "itself": "apiVersion: example.com/v1\nkind: Other\nmetadata: {name: x}\na: &a {b: *a}\n"} {
		done, l := run(t, text+"---\n"+deployment(nil, plainPod), settings)
		if len(l) != 1 || l[0].Code != "MESHC1904" || !strings.Contains(l[0].Message, "aliases") || done.Text != nil {
			t.Errorf("%s: %v", name, l)
		}
	}
}

// An object of another group is not taken for one of Kubernetes that has its kind and its name.
func TestKindsOfOtherGroups(t *testing.T) {
	const job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: x}]}}}\n"
	const other = "---\napiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: a}\nspec: {tasks: [{name: t, template: {spec: {containers: [{name: v, image: y}]}}}]}\n"
	done, l := run(t, job+other, settings)
	if len(l) > 0 || !bytes.HasSuffix(done.Text, []byte(other)) || len(done.Outcomes) != 2 || done.Outcomes[1].Added {
		t.Errorf("%v %+v\n%s", l, done.Outcomes, done.Text)
	}
}
