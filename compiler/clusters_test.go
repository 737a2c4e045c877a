package compiler

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
)

// clusterYAML is one of two clusters: the same namespace and service, a pod of its own, and a network with a gateway.
func clusterYAML(network, clusterIP, podIP, gatewayIP string) string {
	r := strings.NewReplacer("NETWORK", network, "CLUSTERIP", clusterIP, "PODIP", podIP, "GATEWAYIP", gatewayIP)
	return r.Replace(`
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: NETWORK}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: CLUSTERIP
  selector: {app: cart}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: cart-1, namespace: shop, labels: {app: cart}}
spec: {serviceAccountName: cart-NETWORK, containers: [{name: app, ports: [{containerPort: 8080}]}, {name: istio-proxy}]}
status: {podIP: PODIP}
---
apiVersion: v1
kind: Service
metadata: {name: eastwest, namespace: istio-system, labels: {topology.istio.io/network: NETWORK}}
spec:
  type: LoadBalancer
  clusterIP: 10.0.9.9
  selector: {istio: eastwest}
  ports: [{name: tls, port: 15443}]
status: {loadBalancer: {ingress: [{ip: GATEWAYIP}]}}
`)
}

func compileClusters(t *testing.T, east, west string) *bundle.Bundle {
	t.Helper()
	dir := t.TempDir()
	opts := Options{}
	for name, text := range map[string]string{"east": east, "west": west} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"east", "west"} {
		opts.Clusters = append(opts.Clusters, Cluster{Name: name, Sources: []string{filepath.Join(dir, name+".yaml")}})
	}
	res, findings, err := Compile(context.Background(), nil, opts)
	if err != nil || findings.HasErrors() || res.Bundle == nil {
		t.Fatal(err, findings)
	}
	return res.Bundle
}

func nodeOf(t *testing.T, cluster, network, ip string) bundle.Node {
	t.Helper()
	n, err := bundle.NodeFromJSON([]byte(`{"id":"sidecar~` + ip + `~cart-1.shop~shop.svc.cluster.local","metadata":{"NAMESPACE":"shop","CLUSTER_ID":"` + cluster + `","NETWORK":"` + network + `","LABELS":{"app":"cart"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestClusters(t *testing.T) {
	b := compileClusters(t, clusterYAML("net-e", "10.0.0.1", "10.1.0.1", "34.0.0.1"), clusterYAML("net-w", "10.0.0.2", "10.2.0.1", "34.0.0.2"))
	for _, c := range []struct{ cluster, network, ip, near, far, gateway, sa string }{
		{"east", "net-e", "10.1.0.1", "10.1.0.1", "10.2.0.1", "34.0.0.2", "cart-net-w"},
		{"west", "net-w", "10.2.0.1", "10.2.0.1", "10.1.0.1", "34.0.0.1", "cart-net-e"},
	} {
		class, err := b.ClassOf(nodeOf(t, c.cluster, c.network, c.ip))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(class.ID, "@"+c.cluster) {
			t.Errorf("%s: class %s", c.cluster, class.ID)
		}
		var endpoints, clusters string
		for _, s := range class.Sets {
			for _, r := range s.Resources {
				if r.Name != "outbound|80||cart.shop.svc.cluster.local" {
					continue
				}
				if r.Type == bundle.EndpointsType {
					endpoints = string(r.Bytes)
				} else {
					clusters = string(r.Bytes)
				}
			}
		}
		if !strings.Contains(endpoints, c.near) || strings.Contains(endpoints, c.far) || !strings.Contains(endpoints, c.gateway) {
			t.Errorf("%s: endpoints %q", c.cluster, endpoints)
		}
		if !strings.Contains(clusters, c.sa) {
			t.Errorf("%s: the identities of the other cluster's endpoints are not accepted: %q", c.cluster, clusters)
		}
	}
	_, err := b.ClassOf(nodeOf(t, "", "net-e", "10.1.0.1"))
	if err == nil || !strings.Contains(err.Error(), "CLUSTER_ID") {
		t.Errorf("a node that does not name its cluster: %v", err)
	}
}

func TestRemoteOnlyService(t *testing.T) {
	lone := "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n---\n" +
		"apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, labels: {app: web}}\nspec: {containers: [{name: app}]}\nstatus: {podIP: 10.3.0.1}\n"
	b := compileClusters(t, lone, clusterYAML("", "10.0.0.2", "10.2.0.1", "34.0.0.2"))
	found := false
	for _, c := range b.Classes {
		if strings.HasSuffix(c.ID, "@east") && strings.Contains(c.ID, "implied:app=cart") {
			t.Errorf("the remote service selects workloads here: %s", c.ID)
		}
		for _, s := range c.Sets {
			for _, r := range s.Resources {
				found = found || strings.HasSuffix(c.ID, "@east") && r.Type == bundle.EndpointsType && strings.Contains(string(r.Bytes), "10.2.0.1")
			}
		}
	}
	if !found {
		t.Error("east does not see the service that only west has")
	}
}
