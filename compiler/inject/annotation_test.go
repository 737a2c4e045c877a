package inject_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// said is a value of each annotation that changes what injection gives the pod of said's base, and for those that are refused or
// have no effect one that would.
var said = map[string]string{
	"sidecar.istio.io/inject":                               "false",
	"inject.istio.io/templates":                             "gateway",
	"sidecar.istio.io/interceptionMode":                     "NONE",
	"proxy.istio.io/config":                                 "{concurrency: 7}",
	"sidecar.istio.io/proxyImage":                           "registry.example/other:v1",
	"sidecar.istio.io/proxyImageType":                       "debug",
	"sidecar.istio.io/proxyCPU":                             "11m",
	"sidecar.istio.io/proxyCPULimit":                        "3",
	"sidecar.istio.io/proxyMemory":                          "17Mi",
	"sidecar.istio.io/proxyMemoryLimit":                     "170Mi",
	"sidecar.istio.io/userVolume":                           `{"x": {"emptyDir": {}}}`,
	"sidecar.istio.io/userVolumeMount":                      `{"x": {"mountPath": "/x"}}`,
	"sidecar.istio.io/logLevel":                             "debug",
	"sidecar.istio.io/componentLogLevel":                    "filter:debug",
	"sidecar.istio.io/nativeSidecar":                        "false",
	"sidecar.istio.io/discoveryAddress":                     "ads.example.com:1234",
	"sidecar.istio.io/rewriteAppHTTPProbers":                "false",
	"status.sidecar.istio.io/port":                          "0",
	"readiness.status.sidecar.istio.io/initialDelaySeconds": "2",
	"readiness.status.sidecar.istio.io/periodSeconds":       "3",
	"readiness.status.sidecar.istio.io/failureThreshold":    "5",
	"traffic.sidecar.istio.io/includeOutboundIPRanges":      "10.0.0.0/8",
	"traffic.sidecar.istio.io/excludeOutboundIPRanges":      "10.1.0.0/16",
	"traffic.sidecar.istio.io/includeOutboundPorts":         "443",
	"traffic.sidecar.istio.io/excludeOutboundPorts":         "3306",
	"traffic.sidecar.istio.io/includeInboundPorts":          "8080",
	"traffic.sidecar.istio.io/excludeInboundPorts":          "22",
	"traffic.sidecar.istio.io/excludeInterfaces":            "eth1",
	"traffic.sidecar.istio.io/kubevirtInterfaces":           "tap0",
	"istio.io/reroute-virtual-interfaces":                   "tap1",
	"sidecar.istio.io/statsInclusionPrefixes":               "http.{pod_ip}_,cluster.outbound",
	"sidecar.istio.io/statsInclusionSuffixes":               "upstream_rq_total",
	"sidecar.istio.io/statsInclusionRegexps":                "http.*_rq_.*",
	"sidecar.istio.io/statsHistogramBuckets":                `{"cluster": [1, 5, 10]}`,
	"sidecar.istio.io/statsFlushInterval":                   "10s",
	"sidecar.istio.io/statsEvictionInterval":                "60s",
	"sidecar.istio.io/statsCompression":                     "gzip",
	"resource.opentelemetry.io/service.name":                "shop",
	"prometheus.istio.io/merge-metrics":                     "true",
	"sidecar.istio.io/bootstrapOverride":                    "custom",
	"sidecar.istio.io/agentLogLevel":                        "default:debug",
	"readiness.status.sidecar.istio.io/applicationPorts":    "8080",
	"sidecar.istio.io/extraStatTags":                        "request_host",
	"sidecar.istio.io/statsHistogramBins":                   "50",
	"ambient.istio.io/bypass-inbound-capture":               "true",
	"ambient.istio.io/dns-capture":                          "true",
}

// annotationsOfPods are those that the schema knows on pods and on nothing besides.
func annotationsOfPods(t testing.TB) []string {
	t.Helper()
	all, err := schema.References()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range all {
		for _, f := range r.Fields {
			if r.Kind.Name == "Annotation" && slices.Contains(f.On, "Pod") {
				out = append(out, f.Path)
			}
		}
	}
	return out
}

// The guide says of every annotation of pods what becomes of it, and that is what becomes of it.
func TestAnnotationsAreWhatTheGuideSays(t *testing.T) {
	page, err := os.ReadFile("../../docs/guides/inject.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Annotations\n")
	table, _, _ = strings.Cut(table, "\n## ")
	became := map[string]string{}
	for _, line := range strings.Split(table, "\n") {
		if cells := strings.Split(strings.Trim(line, "| "), " | "); strings.HasPrefix(line, "| `") {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[0], -1) {
				became[m[1]] = cells[1]
			}
		}
	}
	if want, got := slices.Sorted(slices.Values(annotationsOfPods(t))), slices.Sorted(maps.Keys(became)); !slices.Equal(got, want) {
		t.Fatalf("the guide has\n%v\nand the schema\n%v", got, want)
	}
	for key, how := range became {
		if how == "written" {
			continue
		}
		with, without, findings := withAndWithout(t, key)
		switch how {
		case "honoured":
			if with == without && !findings.HasErrors() {
				t.Errorf("%s: %s changes nothing", key, said[key])
			}
		case "refused":
			if !findings.HasErrors() {
				t.Errorf("%s: %s is not refused", key, said[key])
			}
		case "no effect":
			if with != without || len(findings) != 1 || findings[0].Code != "MESHC1905" || findings[0].Severity != diag.Info {
				t.Errorf("%s: %s has an effect, or nobody says that it has none: %v", key, said[key], findings)
			}
		default:
			t.Errorf("%s is %q", key, how)
		}
	}
}

// withAndWithout injects a pod that has an annotation, and one that has none; what was injected is the text without the annotations
// of the user's.
func withAndWithout(t *testing.T, key string) (with, without string, findings diag.List) {
	t.Helper()
	if said[key] == "" {
		t.Fatalf("no value of %s", key)
	}
	spec := plainPod + "  livenessProbe: {httpGet: {port: 8080}}\nvolumes: [{name: x, emptyDir: {}}]\n"
	if key == "sidecar.istio.io/userVolume" {
		spec = strings.Replace(spec, "volumes: [{name: x, emptyDir: {}}]\n", "", 1)
	}
	base := map[string]string{"prometheus.io/port": "1"}
	done, _ := run(t, deployment(base, spec), settings)
	without = string(done.Text)
	base[key] = said[key]
	done, findings = run(t, deployment(base, spec), settings)
	var lines []string
	for _, l := range strings.Split(string(done.Text), "\n") {
		if !strings.HasPrefix(strings.TrimSpace(l), key+":") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n"), without, findings
}

// FuzzAnnotation: whatever an annotation holds, it is refused, or it changes values of what injection adds and nothing else: what the
// user wrote stays, and no field is there that the annotation's own meaning does not give. Injecting again changes nothing.
func FuzzAnnotation(f *testing.F) {
	keys := annotationsOfPods(f)
	crafted := []string{"x\nprivileged: true", "x\"\n    hostNetwork: true", "- x", "{{ .Values }}", "x # y", "\u2028securityContext: {}", "'", "*a", "&a x", "!!binary x", "$(POD_NAME)", "on", "1e3", "\u0085- a", "\ufeff---\n",
		`{"x":{"emptyDir":{}},"securityContext":{"privileged":true}}`, `{"x":{"hostPath":{"path":"/"},"privileged":true}}`, `[{"op":"add"}]`, "8080\n- --privileged", "a,b\nc", "{proxyMetadata: {A: \"x\\ny: z\"}}", "image: x\nsecurityContext: {privileged: true}", "\x00", "\xff"}
	for i, key := range keys {
		f.Add(i, said[key])
		for _, text := range crafted {
			f.Add(i, text)
		}
	}
	shapes := map[string]map[string]bool{}
	f.Fuzz(func(t *testing.T, i int, text string) {
		key := keys[uint(i)%uint(len(keys))]
		done, findings := run(t, deployment(map[string]string{key: text}, plainPod), settings)
		if findings.HasErrors() {
			if done.Text != nil {
				t.Error("what is refused is printed")
			}
			return
		}
		if len(done.Text) == 0 {
			t.Fatal("nothing is printed")
		}
		if again, l := run(t, string(done.Text), settings); l.HasErrors() || string(again.Text) != string(done.Text) {
			t.Errorf("the second time gives %v and\n%s", l, again.Text)
		}
		if shapes[key] == nil {
			shapes[key] = shapeOf(t, key)
		}
		held(t, key, shapes[key], template(t, done.Text))
	})
}

// shapeOf lists the fields that a pod may have that was injected with an annotation.
func shapeOf(t *testing.T, key string) map[string]bool {
	t.Helper()
	shape := map[string]bool{}
	for _, annotations := range []map[string]string{nil, {key: said[key]}, {"inject.istio.io/templates": "gateway"}, {"sidecar.istio.io/nativeSidecar": "false"}} {
		done, findings := run(t, deployment(annotations, plainPod), settings)
		if !findings.HasErrors() {
			fields(template(t, done.Text).Spec, "", shape)
		}
	}
	return shape
}

// held holds a pod that was injected with an annotation to what injection may give it.
func held(t *testing.T, key string, shape map[string]bool, pod *corev1.PodTemplateSpec) {
	t.Helper()
	got := map[string]bool{}
	fields(pod.Spec, "", got)
	for path := range got {
		own := key == "sidecar.istio.io/userVolume" && strings.HasPrefix(path, ".volumes[].") || key == "sidecar.istio.io/userVolumeMount" && strings.HasPrefix(path, ".initContainers[].volumeMounts[].")
		if !shape[path] && !own && !additional(path) {
			t.Errorf("%s adds the field %s", key, path)
		}
	}
	app := container(pod.Spec.Containers, "app")
	if app == nil || app.Image != "web:1" || app.SecurityContext != nil || len(app.VolumeMounts)+len(app.Env) > 0 {
		t.Errorf("%s changes the user's container: %+v", key, app)
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if s := c.SecurityContext; s != nil && s.Privileged != nil && *s.Privileged {
			t.Errorf("%s makes %s privileged", key, c.Name)
		}
	}
	for name := range pod.Labels {
		if name != "app" && !strings.Contains(name, "istio.io/") {
			t.Errorf("%s adds the label %s", key, name)
		}
	}
}

// additional tells whether a field is one that ProxyConfig and quantities may give or not.
func additional(path string) bool {
	for _, begin := range []string{".initContainers[].resources.", ".containers[].resources.", ".initContainers[].env[].", ".containers[].lifecycle.", ".initContainers[].startupProbe", ".initContainers[].readinessProbe"} {
		if strings.HasPrefix(path, begin) {
			return true
		}
	}
	return false
}

// fields lists the paths of the fields of a value; entries of a list are alike.
func fields(v any, at string, into map[string]bool) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		panic(err)
	}
	walk(plain, at, into)
}

func walk(v any, at string, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			into[at+"."+k] = true
			walk(e, at+"."+k, into)
		}
	case []any:
		for _, e := range v {
			walk(e, at+"[]", into)
		}
	}
}
