package mesh

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestKubernetesProtocol(t *testing.T) {
	for _, c := range []struct {
		name, app string
		port      int32
		transport corev1.Protocol
		want      Protocol
	}{
		{"http", "", 80, "TCP", HTTP},
		{"http-metrics", "", 80, "TCP", HTTP},
		{"HTTP2-x", "", 80, "TCP", HTTP2},
		{"grpc", "", 80, "", GRPC},
		{"grpc-web", "", 80, "", GRPCWeb},
		{"grpc-web-api", "", 80, "", GRPCWeb},
		{"grpc-api", "", 80, "", GRPC},
		{"https", "", 443, "", HTTPS},
		{"tls-x", "", 443, "", TLS},
		{"tcp", "", 80, "", TCP},
		{"mongo", "", 80, "", Mongo},
		{"redis", "", 6379, "", Redis},
		{"mysql", "", 3306, "", MySQL},
		{"web", "", 80, "", Unsupported},
		{"", "", 80, "", Auto},
		{"", "", 3306, "", TCP}, // server-first
		{"web", "", 27017, "", TCP},
		{"", "", 25, "", TCP},
		{"", "", 53, "", TCP},
		{"dns", "", 53, "UDP", UDP},
		{"tcp", "http", 80, "", HTTP}, // appProtocol before the name
		{"http", "kubernetes.io/h2c", 80, "", HTTP2},
		{"tcp", "kubernetes.io/ws", 80, "", HTTP},
		{"tcp", "kubernetes.io/wss", 80, "", HTTPS},
		{"http", "example.com/own", 80, "", Unsupported},
	} {
		p := &corev1.ServicePort{Name: c.name, Port: c.port, Protocol: c.transport}
		if c.app != "" {
			p.AppProtocol = &c.app
		}
		if got := kubernetesProtocol(p); got != c.want {
			t.Errorf("name %q, appProtocol %q, port %d: got %q, want %q", c.name, c.app, c.port, got, c.want)
		}
	}
}

func TestProtocolProperties(t *testing.T) {
	for _, p := range []Protocol{Auto, HTTP, HTTP2, HTTPProxy, GRPC, GRPCWeb, HTTPS, TLS, TCP, UDP, Mongo, Redis, MySQL, Unsupported} {
		n := 0
		for _, is := range []bool{p.IsHTTP(), p.IsTCP(), p.IsAuto(), p == UDP} {
			if is {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q has %d of the four natures: HTTP, TCP, sniffed, UDP", p, n)
		}
		if p.IsHTTP2() && !p.IsHTTP() || p.IsTLS() && !p.IsTCP() {
			t.Errorf("%q contradicts itself", p)
		}
		if p != Unsupported && ParseProtocol(string(p)) != p {
			t.Errorf("%q does not read back", p)
		}
	}
}
