package mesh

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/kinds"
)

// withPort is a Deployment whose container names a port.
func withPort(name, labels, port string) string {
	return object("apps/v1", "Deployment", "shop", name, "spec: {selector: {matchLabels: {"+labels+"}}, template: {metadata: {labels: {"+labels+
		"}}, spec: {containers: [{name: istio-proxy}, {name: app, ports: [{name: web, containerPort: "+port+"}]}]}}}")
}

// runningWith is a pod of a Deployment, if it is not "", whose container names a port.
func runningWith(name, owner, ip, labels, port string) string {
	owners := ""
	if owner != "" {
		owners = ", ownerReferences: [{kind: ReplicaSet, name: " + owner + "-7d4}]"
	}
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: shop, labels: {" + labels + "}" + owners + "}\n" +
		"spec: {containers: [{name: istio-proxy}, {name: app, ports: [{name: web, containerPort: " + port + "}]}]}\nstatus: {podIP: '" + ip + "'}\n"
}

// TestMembersOfAClassAgree: proxies that need different configuration are in different classes also where no selector of the
// mesh parts them, and those that cannot be told apart are reported.
func TestMembersOfAClassAgree(t *testing.T) {
	named := object("v1", "Service", "shop", "x", "spec: {clusterIP: 10.0.0.10, selector: {app: x}, ports: [{name: tcp, port: 3306, targetPort: web}]}")
	static := func(more string) string {
		return istio("DestinationRule", "shop", "r", "{host: x.shop.svc.cluster.local, trafficPolicy: {outlierDetection: {}, loadBalancer: {"+more+"}}}")
	}
	place := func(name, ip, labels, locality string) string {
		return istio("WorkloadEntry", "shop", name, "{address: "+ip+", labels: {"+labels+"}, locality: "+locality+"}")
	}
	for _, c := range []struct {
		name  string
		texts []string
		want  string // classes
		codes []string
	}{
		{"named ports of two versions", []string{named, withPort("v1", "app: x, version: v1", "8080"), withPort("v2", "app: x, version: v2", "9090"), withPort("v3", "app: x, version: v3", "8080")},
			"v1 v3 | v2", nil},
		{"with their pods", []string{named, withPort("v1", "app: x, version: v1", "8080"), withPort("v2", "app: x, version: v2", "9090"),
			runningWith("p1", "", "10.1.0.1", "app: x, version: v1", "8080"), runningWith("p2", "", "10.1.0.2", "app: x, version: v2", "9090")}, "p1 v1 | p2 v2", nil},
		{"the labels of one are among those of the other", []string{named, withPort("v1", "app: x", "8080"), withPort("v2", "app: x, canary: c", "9090")}, "v1 | v2", nil},
		{"no label in common tells them apart", []string{named, withPort("v1", "app: x, v: a", "8080"), withPort("v2", "app: x, v: b", "9090"), withPort("v3", "app: x, v: c", "8080"), withPort("v4", "app: x, v: d", "9090")},
			"v1 | v2 | v3 | v4", nil},
		{"pods with the same labels", []string{named, runningWith("p1", "", "10.1.0.1", "app: x", "8080"), runningWith("p2", "", "10.1.0.2", "app: x", "9090")}, "p1 | p2", nil},
		{"templates with the same labels", []string{named, withPort("v1", "app: x", "8080"), withPort("v2", "app: x", "9090")}, "v1 v2", []string{"MESHC1251 Deployment/v2 metadata.name"}},
		{"what runs decides, not the template it comes from", []string{named, withPort("v1", "app: x", "8080"), runningWith("v1-7d4-a", "v1", "10.1.0.1", "app: x", "9090")}, "v1 v1", nil},
		{"pods that disagree among themselves", []string{named, withPort("v1", "app: x", "8080"), runningWith("v1-7d4-a", "v1", "10.1.0.1", "app: x", "9090"), runningWith("v1-7d4-b", "v1", "10.1.0.2", "app: x", "8080")},
			"v1 | v1 | v1", nil},
		{"numbers as names of ports agree", []string{object("v1", "Service", "shop", "x", "spec: {clusterIP: 10.0.0.10, selector: {app: x}, ports: [{name: tcp, port: 3306, targetPort: 80}]}"),
			withPort("v1", "app: x, version: v1", "8080"), withPort("v2", "app: x, version: v2", "9090")}, "v1 v2", nil},
		{"IP families", []string{runningWith("p1", "", "10.1.0.1", "app: x", "80"), runningWith("p2", "", "2001:db8::1", "app: x", "80"), withPort("v1", "app: other", "80")}, "p1 | p2 | v1", nil},
		{"IP families are those of the pods where there is no other word", []string{runningWith("p2", "", "2001:db8::1", "app: x", "80"), withPort("v1", "app: other", "80")}, "p2 v1", nil},
		{"failover by a label", []string{named, withPort("v1", "app: x, version: v1", "80"), withPort("v2", "app: x, version: v2", "80"), static("localityLbSetting: {failoverPriority: [version]}")}, "v1 | v2", nil},
		{"failover of a zone aware policy by a label", []string{named, withPort("v1", "app: x, version: v1", "80"), withPort("v2", "app: x, version: v2", "80"), static("zoneAwareLbSetting: {failoverPriority: [version]}")},
			"v1 | v2", nil},
		{"failover to a fixed value, whatever the client has", []string{named, withPort("v1", "app: x, version: v1", "80"), withPort("v2", "app: x, version: v2", "80"), static("localityLbSetting: {failoverPriority: [version=v1]}")}, "v1 v2", nil},
		{"a cluster by label", []string{withPort("v1", "app: x, topology.istio.io/cluster: a", "80"), withPort("v2", "app: x, topology.istio.io/cluster: b", "80")}, "v1 | v2", nil},
		{"requests that are distributed by where clients are", []string{place("a", "10.1.0.1", "app: x", "r1/z"), place("b", "10.1.0.2", "app: other", "r2/z"), named,
			static("localityLbSetting: {distribute: [{from: r1/*, to: {r1/*: 100}}]}")}, "a | b", nil},
		{"places make no difference otherwise", []string{place("a", "10.1.0.1", "app: other", "r1/z"), place("b", "10.1.0.2", "app: third", "r2/z"), named}, "a b", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			slices.Reverse(c.texts)
			m, _ := link(t, c.texts...)
			list, _, findings := Classes(m)
			var got []string
			for _, k := range list {
				var in []string
				for _, w := range k.Workloads {
					if w.Namespace == "shop" && !w.Implied {
						in = append(in, w.Name)
					}
				}
				if slices.Sort(in); len(in) > 0 {
					got = append(got, strings.Join(in, " "))
				}
			}
			if slices.Sort(got); strings.Join(got, " | ") != c.want {
				t.Errorf("classes %s, want %s", strings.Join(got, " | "), c.want)
			}
			wantCodes(t, findings, c.codes...)
		})
	}
}

// TestDifferencesAreNamed: every field of the facts can be named to people, but for the two that groups are made by.
func TestDifferencesAreNamed(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[facts](), reflect.TypeFor[scopeInputs]()} {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Tag.Get("is") == "" && !slices.Contains([]string{"scope", "gateway", "namespace"}, f.Name) {
				t.Errorf("%s.%s has no name for people", typ, f.Name)
			}
		}
	}
	a := facts{mtls: Strict, address: "a", scope: scopeInputs{network: "n"}}
	if got := strings.Join(differences(a, facts{}), ", "); got != "the network, mutual TLS, the address" {
		t.Error(got)
	}
	if got := differences(a, a); got != nil {
		t.Error(got)
	}
}

// TestKindsThatSelect: each kind with a field that selects workloads by labels is in the table of those that classes are made by.
func TestKindsThatSelect(t *testing.T) {
	not := map[string]string{ // and why
		"ServiceEntry":     "it becomes services",
		"WasmPlugin":       "it is not compiled (MESHC1222)",
		"TrafficExtension": "it is not compiled (MESHC1222)",
	}
	var table []string
	for _, k := range (&Mesh{}).selectorKinds() {
		table = append(table, k.kind)
	}
	selecting := 0
	for _, k := range kinds.All() {
		selects := k.Name == "Pod" // by annotations that are about one pod
		switch {
		case k.Istio:
			selects = messageSelects(istioDescriptor(t, k.Name), map[protoreflect.FullName]bool{})
		case k.Name == "Service":
			_, selects = reflect.TypeFor[corev1.ServiceSpec]().FieldByName("Selector")
		}
		if selects {
			selecting++
		}
		if in := slices.Contains(table, k.Name); in != selects && not[k.Name] == "" || in && not[k.Name] != "" {
			t.Errorf("%s selects: %t; is in the table: %t", k.Name, selects, in)
		}
	}
	if selecting < len(table) {
		t.Errorf("%d kinds select, and the table has %d: the test looks for something else", selecting, len(table))
	}
}

func istioDescriptor(t *testing.T, kind string) protoreflect.MessageDescriptor {
	t.Helper()
	for _, pkg := range []string{"networking.v1alpha3", "networking.v1beta1", "security.v1beta1", "telemetry.v1alpha1", "extensions.v1alpha1"} {
		if m, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("istio." + pkg + "." + kind)); err == nil {
			return m.Descriptor()
		}
	}
	t.Fatalf("no message %s", kind)
	return nil
}

// messageSelects tells whether a message has a field for labels that workloads must have.
func messageSelects(m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[m.FullName()] {
		return false
	}
	seen[m.FullName()] = true
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		name := string(f.Name())
		switch {
		case f.IsMap():
			if name == "selector" || name == "source_labels" {
				return true
			}
		case f.Message() == nil:
		case strings.HasSuffix(string(f.Message().Name()), "WorkloadSelector"), messageSelects(f.Message(), seen):
			return true
		}
	}
	return false
}
