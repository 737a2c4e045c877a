//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manifests is a repository under construction: file name to text.
type manifests map[string]string

func (m manifests) add(file, format string, args ...any) {
	m[file] += "---\n" + strings.TrimPrefix(fmt.Sprintf(format, args...), "\n")
}

// write puts the repository into a folder.
func (m manifests) write(t *testing.T) string {
	t.Helper()
	return m.writeTo(t, t.TempDir())
}

// writeTo puts the repository into a folder in place of the one there.
func (m manifests) writeTo(t *testing.T, dir string) string {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range m {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// meshOf starts a repository with a namespace lab and the mesh settings. Sidecars talk plaintext: identity has tests
// of its own.
func meshOf(settings string) manifests { return meshWith("DISABLE", settings) }

// meshWith is meshOf with a mode of mutual TLS; settings are lines of the mesh configuration.
func meshWith(mtls string, settings ...string) manifests {
	m := manifests{}
	m.add("mesh.yaml", `
apiVersion: v1
kind: Namespace
metadata: {name: lab, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: %s}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    %s
`, mtls, strings.Join(settings, "\n    "))
	return m
}

// pod adds a running pod; kind is sidecar, gateway or plain (no proxy), ports are name:number.
func (m manifests) pod(kind, name, labels, ip string, ports ...string) {
	containers := ""
	if kind != "gateway" {
		containers += "  - name: app\n    image: registry.example.com/echo:1\n    ports:\n"
		for _, p := range ports {
			n, number, _ := strings.Cut(p, ":")
			containers += fmt.Sprintf("    - {name: %s, containerPort: %s}\n", n, number)
		}
	}
	tls := ""
	if kind != "plain" {
		containers += "  - {name: istio-proxy, image: \"envoyproxy/envoy:v1.40.0\"}\n"
		tls = ", security.istio.io/tlsMode: istio"
	}
	m.add("observed.yaml", `
apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: lab
  labels: {%s%s}
  annotations: {sidecar.istio.io/inject: "%t"}
spec:
  containers:
%sstatus:
  phase: Running
  podIP: %s
  podIPs: [{ip: %s}]
  conditions: [{type: Ready, status: "True"}]
`, name, labels, tls, kind != "plain", containers, ip, ip)
}

// amend replaces a text in the pod added last.
func (m manifests) amend(before, after string) {
	text := m["observed.yaml"]
	at := strings.LastIndex(text, before)
	m["observed.yaml"] = text[:at] + after + text[at+len(before):]
}

// service adds a Service over the pods app: web (or another app) and subsets v1 and v2.
func (m manifests) service(name, app, vip string, ports ...string) {
	m.serves(name, app, vip, ports...)
	m.slices(name, app, ports)
}

// serves adds a Service over the pods of the lab that carry the label app.
func (m manifests) serves(name, app, vip string, ports ...string) {
	list := ""
	for _, p := range ports {
		f := strings.Split(p, ":")
		list += fmt.Sprintf("  - {name: %s, port: %s, targetPort: %s}\n", f[0], f[1], f[2])
	}
	m.add("services.yaml", `
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: lab}
spec:
  clusterIP: %s
  selector: {app: %s}
  ports:
%s`, name, vip, app, list)
}

// ingress adds the Gateway front, which takes plain requests to a host.
func (m manifests) ingress(host string) {
	m.add("gateway.yaml", `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: lab}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [%s]
`, host)
}

// trafficPolicy is the line of a DestinationRule with that policy; a policy that sets nothing is none, since Istio takes no empty one.
func trafficPolicy(policy string) string {
	if policy == "" {
		return ""
	}
	return "  trafficPolicy: {" + policy + "}\n"
}

// rule adds a DestinationRule of a service with a traffic policy.
func (m manifests) rule(name, policy string) {
	m.add(name+".yaml", `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %s, namespace: lab}
spec:
  host: %s
%s`, name, name, trafficPolicy(policy))
}

// slices adds the EndpointSlice of a service, from the pods of the lab.
func (m manifests) slices(name, app string, ports []string) {
	ips := map[string][]string{"web": {"10.9.1.1", "10.9.1.2"}, "shadow": {"10.9.1.3"}, "ingress": {"10.9.0.1"}}[app]
	pods := map[string][]string{"web": {"web-v1", "web-v2"}, "shadow": {"shadow"}, "ingress": {"ingress"}}[app]
	out := ""
	for _, p := range ports {
		f := strings.Split(p, ":")
		out += fmt.Sprintf("- {name: %s, port: %s, protocol: TCP}\n", f[0], f[2])
	}
	out += "endpoints:\n"
	for i, ip := range ips {
		out += fmt.Sprintf("- addresses: [%s]\n  conditions: {ready: true}\n  targetRef: {kind: Pod, name: %s, namespace: lab}\n", ip, pods[i])
	}
	m.add("observed.yaml", `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %s-1, namespace: lab, labels: {kubernetes.io/service-name: %s}}
addressType: IPv4
ports:
%s`, name, name, out)
}

// subsets adds a DestinationRule with the subsets v1 and v2 and a traffic policy.
func (m manifests) subsets(name, policy string) {
	m.add(name+".yaml", `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %s, namespace: lab}
spec:
  host: %s
%s  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
`, name, name, trafficPolicy(policy))
}

// routes adds a VirtualService of a service; blocks are the lines below spec.
func (m manifests) routes(name, blocks string) {
	m.add(name+".yaml", `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s, namespace: lab}
spec:
  hosts: [%s]
%s`, name, name, strings.TrimPrefix(blocks, "\n"))
}

// backends adds the pods web-v1 and web-v2 and a client.
func (m manifests) backends() {
	m.pod("sidecar", "client", "app: client", "10.9.0.9", "http:8080")
	m.pod("sidecar", "web-v1", "app: web, version: v1", "10.9.1.1", "http:8080", "tcp-echo:9000", "tls-web:9443")
	m.pod("sidecar", "web-v2", "app: web, version: v2", "10.9.1.2", "http:8080", "tcp-echo:9000", "tls-web:9443")
}

// run starts a lab that ends with the test.
func run(t *testing.T, spec Spec) *Lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	l, err := Start(ctx, built(t, spec))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, r := range l.Rejections() {
			t.Errorf("proxy %s rejected %s: %s", r.Node, r.Type, r.Message)
		}
		if t.Failed() {
			t.Logf("server: %s", l.Log("server"))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
