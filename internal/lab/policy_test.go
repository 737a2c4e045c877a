//go:build linux

package lab

import "testing"

// What happens to requests for hosts that nobody declared is the mesh's choice; declared ones always work.
func TestOutboundPolicy(t *testing.T) {
	require(t)
	for mode, want := range map[string]int{"ALLOW_ANY": 200, "REGISTRY_ONLY": 502} {
		t.Run(mode, func(t *testing.T) {
			m := meshOf("outboundTrafficPolicy: {mode: " + mode + "}")
			m.pod("sidecar", "client", "app: client", "10.9.0.9", "http:8080")
			m.pod("plain", "known", "app: known", "203.0.113.10", "http:8000", "tcp-echo:9000")
			m.pod("plain", "unknown", "app: unknown", "203.0.113.11", "http:8000", "tcp-echo:9000")
			m.add("known.yaml", `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: known, namespace: lab}
spec:
  hosts: [known.example.com]
  addresses: [203.0.113.10]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
  - {number: 8000, name: http, protocol: HTTP}
  - {number: 9000, name: tcp, protocol: TCP}
  endpoints: [{address: 203.0.113.10}]
`)
			l := run(t, Spec{Source: m.write(t)})
			if r := ask(t, l, Request{URL: "http://known.example.com:8000/"}); r.Status != 200 || r.Echo.Name != "known" {
				t.Errorf("declared host: %d %s", r.Status, r.Body)
			}
			if got := line(t, l, "203.0.113.10:9000"); got != "known v1 hello" {
				t.Errorf("declared host over TCP: %q", got)
			}
			if r := ask(t, l, Request{URL: "http://203.0.113.11:8000/", Host: "unknown.example.com"}); r.Status != want {
				t.Errorf("undeclared host: %d, want %d: %s", r.Status, want, r.Body)
			}
			if got, err := tryLine(l, "203.0.113.11:9000"); (err == nil) != (want == 200) {
				t.Errorf("undeclared host over TCP: %q, %v", got, err)
			}
		})
	}
}
