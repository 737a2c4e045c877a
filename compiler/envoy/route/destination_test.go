package route

import (
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/lowertest"
)

// TestStrayDestination: that a destination without a port leads nowhere is said whoever asks first. It is so for callers that
// do not see the service of the host, and not for those who do, since they have no call for it on the port.
func TestStrayDestination(t *testing.T) {
	text := lowertest.Client + `
apiVersion: v1
kind: Service
metadata: {name: api, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
` + strings.ReplaceAll(lowertest.Client, "namespace: default", "namespace: far") + `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: default}
spec: {hosts: [private], gateways: [mesh], http: [{route: [{destination: {host: api}}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: private, namespace: default, annotations: {networking.istio.io/exportTo: .}}
spec: {clusterIP: 10.96.0.3, ports: [{name: http, port: 80}]}
---
`
	classes := lowertest.LinkedClasses(t, text)
	for _, order := range [][]string{{"default/client", "far/client"}, {"far/client", "default/client"}} {
		r := New()
		for _, name := range order {
			s := lowertest.ClassOf(t, classes, name).Scope
			rs := &routeScope{mesh: s.Mesh, view: s.View(), proxy: s.Proxy, port: 9999, holds: func(SourceMatch) bool { return true }}
			r.virtualServiceRoutes(rs, s.Listeners[len(s.Listeners)-1].VirtualServices[0])
		}
		if found := lowertest.CodesOf(r.Findings()); !slices.Equal(found, []string{"MESHC1426"}) {
			t.Errorf("%v: %v", order, found)
		}
	}
}
