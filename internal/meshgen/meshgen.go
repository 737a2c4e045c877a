// Package meshgen writes synthetic mesh repositories of any size, the same bytes for the same options: for benchmarks
// and for tests that need many objects.
//
// Services live in namespaces of 25. Each has two workloads (v1 and v2) with a pod each, a VirtualService with a header
// route, a path route with timeout and retries and a 90/10 split, and a DestinationRule with both subsets, a connection
// pool and outlier detection. Every tenth service is bound to the one ingress gateway, and every tenth has a TCP port.
package meshgen

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// PerNamespace is the number of services in a namespace.
const PerNamespace = 25

// Options say how large the mesh is.
type Options struct {
	Services int
	Scoped   bool // a Sidecar in each namespace, which then sees itself and the next one only
	Secured  bool // strict mutual TLS and an AuthorizationPolicy for each service

	Changes []Change // to be compared with the same mesh without them
}

// Change is one that reaches the whole mesh.
type Change string

// The changes that there are.
const (
	RegistryOnly Change = "registry-only" // what is in no registry may no more be called
	NoPolicies   Change = "no-policies"   // no AuthorizationPolicy any more
	Permissive   Change = "permissive"    // plain text beside mutual TLS
	RuleInEach   Change = "rule-in-each"  // one rule more in each VirtualService, before the others
	Timeouts     Change = "timeouts"      // each timeout is another
)

// Changes lists the changes that there are.
func Changes() []Change {
	return []Change{RegistryOnly, NoPolicies, Permissive, RuleInEach, Timeouts}
}

// has tells whether the mesh is written with a change.
func (o Options) has(c Change) bool { return slices.Contains(o.Changes, c) }

// either is one of two texts: the second in a mesh with a change.
func (o Options) either(c Change, without, with string) string {
	if o.has(c) {
		return with
	}
	return without
}

// generator collects files and the nodes of the proxies.
type generator struct {
	o     Options
	files map[string]*strings.Builder
	nodes []map[string]any
	pods  int
}

// Write writes the repository to DIR/repo and the nodes of its proxies, as their bootstraps send them, to
// DIR/nodes.json. It returns the number of proxies.
func Write(dir string, o Options) (int, error) {
	g := &generator{o: o, files: map[string]*strings.Builder{}}
	for i := range o.Services {
		if i%PerNamespace == 0 {
			g.namespace(i / PerNamespace)
		}
		g.service(i)
	}
	g.ingress()
	for name, text := range g.files {
		file := filepath.Join(dir, "repo", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return 0, err
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			return 0, err
		}
	}
	b, err := json.Marshal(g.nodes)
	if err != nil {
		return 0, err
	}
	return len(g.nodes), os.WriteFile(filepath.Join(dir, "nodes.json"), b, 0o644)
}

func (g *generator) doc(file, format string, args ...any) {
	b := g.files[file]
	if b == nil {
		b = &strings.Builder{}
		g.files[file] = b
	}
	b.WriteString("---\n")
	fmt.Fprintf(b, format, args...)
}

func namespaceName(k int) string { return fmt.Sprintf("team-%03d", k) }

func (g *generator) namespace(k int) {
	ns := namespaceName(k)
	file := "intent/" + ns + "/namespace.yaml"
	g.doc(file, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {istio-injection: enabled}}\n", ns)
	if g.o.Secured {
		g.doc(file, "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: %s}\nspec: {mtls: {mode: %s}}\n", ns, g.o.either(Permissive, "STRICT", "PERMISSIVE"))
	}
	if g.o.Scoped {
		next := namespaceName((k + 1) % ((g.o.Services + PerNamespace - 1) / PerNamespace))
		g.doc(file, "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default, namespace: %s}\nspec:\n  egress:\n  - hosts: [\"./*\", \"%s/*\", \"istio-system/*\"]\n", ns, next)
	}
}

func (g *generator) service(i int) {
	ns := namespaceName(i / PerNamespace)
	name := fmt.Sprintf("app-%05d", i)
	file := "intent/" + ns + "/" + name + ".yaml"
	ports := "  - {name: http, port: 80, targetPort: 8080}\n"
	slicePorts := "- {name: http, port: 8080, protocol: TCP}\n"
	if i%10 == 3 {
		ports += "  - {name: tcp-db, port: 3306, targetPort: 3306}\n"
		slicePorts += "- {name: tcp-db, port: 3306, protocol: TCP}\n"
	}
	g.doc(file, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s, namespace: %s}\n", name, ns)
	g.doc(file, "apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s}\nspec:\n  clusterIP: 172.%d.%d.%d\n  selector: {app: %s}\n  ports:\n%s", name, ns, 16+i>>16, i>>8&255, i&255, name, ports)
	endpoints := ""
	for _, v := range []string{"v1", "v2"} {
		g.deployment(file, name, ns, v, fmt.Sprintf("app: %s, version: %s", name, v))
		pod, ip := g.pod("sidecar", name, ns, v, map[string]string{"app": name, "version": v, "security.istio.io/tlsMode": "istio"})
		endpoints += fmt.Sprintf("- addresses: [%s]\n  conditions: {ready: true}\n  targetRef: {kind: Pod, name: %s, namespace: %s}\n", ip, pod, ns)
	}
	g.slice(name, ns, slicePorts, endpoints)
	g.routing(file, name, ns, i)
}

func (g *generator) slice(name, ns, ports, endpoints string) {
	g.doc("observed/"+ns+".yaml", "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: %s-1, namespace: %s, labels: {kubernetes.io/service-name: %s}}\naddressType: IPv4\nports:\n%sendpoints:\n%s", name, ns, name, ports, endpoints)
}

func (g *generator) deployment(file, name, ns, v, labels string) {
	g.doc(file, `apiVersion: apps/v1
kind: Deployment
metadata: {name: %s-%s, namespace: %s}
spec:
  replicas: 1
  selector:
    matchLabels: {%s}
  template:
    metadata:
      labels: {%s}
    spec:
      serviceAccountName: %s
      containers:
      - {name: app, image: "registry.example.com/app:1", ports: [{containerPort: 8080}]}
`, name, v, ns, labels, labels, name)
}

// pod adds an observed pod and the node of its proxy.
func (g *generator) pod(kind, name, ns, v string, labels map[string]string) (pod, ip string) {
	n := g.pods + 256
	g.pods++
	pod, ip = fmt.Sprintf("%s-%s-0", name, v), fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	text, _ := json.Marshal(labels) // a map of strings always marshals
	app := ""
	if kind == "sidecar" {
		app = "  - {name: app, image: \"registry.example.com/app:1\"}\n"
	}
	g.doc("observed/"+ns+".yaml", `apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: %s
  labels: %s
spec:
  serviceAccountName: %s
  nodeName: node-1
  containers:
%s  - {name: istio-proxy, image: "envoyproxy/envoy:v1.40.0"}
status:
  phase: Running
  podIP: %s
  podIPs: [{ip: %s}]
  conditions: [{type: Ready, status: "True"}]
`, pod, ns, text, name, app, ip, ip)
	g.nodes = append(g.nodes, map[string]any{
		"id": kind + "~" + ip + "~" + pod + "." + ns + "~" + ns + ".svc.cluster.local", "cluster": name + "." + ns,
		"metadata": map[string]any{"NAME": pod, "NAMESPACE": ns, "LABELS": labels, "SERVICE_ACCOUNT": name, "WORKLOAD_NAME": name + "-" + v, "CLUSTER_ID": "Kubernetes", "INSTANCE_IPS": ip, "MESH_ID": "cluster.local"},
	})
	return pod, ip
}

func (g *generator) routing(file, name, ns string, i int) {
	bound := fmt.Sprintf("  hosts: [%s]\n", name)
	if i%10 == 0 {
		bound = fmt.Sprintf("  hosts: [%s, %s.example.com]\n  gateways: [mesh, istio-system/ingress]\n", name, name)
	}
	rule := g.o.either(RuleInEach, "", fmt.Sprintf("  - match: [{uri: {prefix: /api/beta/}}]\n    route: [{destination: {host: %s, subset: v2}}]\n", name))
	g.doc(file, `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s, namespace: %s}
spec:
%s  http:
%s  - match: [{headers: {end-user: {exact: tester}}}]
    route: [{destination: {host: %s, subset: v2}}]
  - match: [{uri: {prefix: /api/v%d/}}]
    timeout: %s
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "5xx,reset"}
    rewrite: {uri: /}
    route: [{destination: {host: %s, subset: v1}}]
  - route:
    - {destination: {host: %s, subset: v1}, weight: 90}
    - {destination: {host: %s, subset: v2}, weight: 10}
`, name, ns, bound, rule, name, i%7, g.o.either(Timeouts, "3s", "5s"), name, name, name)
	g.doc(file, `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %s, namespace: %s}
spec:
  host: %s
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 100}, http: {http1MaxPendingRequests: 50, maxRequestsPerConnection: 10}}
    outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s, maxEjectionPercent: 50}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
`, name, ns, name)
	if g.o.Secured && !g.o.has(NoPolicies) {
		g.doc(file, "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: %s, namespace: %s}\nspec:\n  selector: {matchLabels: {app: %s}}\n  rules:\n  - from: [{source: {namespaces: [%s, istio-system]}}]\n    to: [{operation: {methods: [GET, POST], paths: [\"/api/*\", /healthz]}}]\n", name, ns, name, ns)
	}
}

func (g *generator) ingress() {
	const file, ns = "intent/mesh/gateway.yaml", "istio-system"
	g.doc(file, "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n")
	if g.o.has(RegistryOnly) {
		g.doc("intent/mesh/mesh.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")
	}
	g.doc(file, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ingress, namespace: istio-system}\n")
	g.doc(file, "apiVersion: v1\nkind: Service\nmetadata: {name: ingress, namespace: istio-system}\nspec:\n  clusterIP: 172.31.0.1\n  selector: {istio: ingress}\n  ports:\n  - {name: http, port: 80, targetPort: 8080}\n")
	g.doc(file, "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: ingress, namespace: istio-system}\nspec:\n  selector: {istio: ingress}\n  servers:\n  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*.example.com\"]}\n")
	pod, ip := g.pod("router", "ingress", ns, "v1", map[string]string{"istio": "ingress", "app": "ingress"})
	g.slice("ingress", ns, "- {name: http, port: 8080, protocol: TCP}\n", fmt.Sprintf("- addresses: [%s]\n  conditions: {ready: true}\n  targetRef: {kind: Pod, name: %s, namespace: %s}\n", ip, pod, ns))
}
