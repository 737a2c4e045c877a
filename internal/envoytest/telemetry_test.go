package envoytest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/meshc/meshc/internal/envoytest"
)

// observed is a mesh whose ProxyConfig names a tracer and a log service by address, with every switch of tracing thrown.
const observed = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    enableEnvoyAccessLogService: true
    accessLogFile: /dev/stdout
    extensionProviders:
    - {name: zip, zipkin: {service: web.app.svc.cluster.local, port: 80}}
    defaultConfig:
      envoyAccessLogService: {address: "als.example.com:80", tlsSettings: {mode: SIMPLE}, tcpKeepalive: {time: 7s}}
      tracing: {zipkin: {address: "zipkin.example.com:9411"}, tlsSettings: {mode: ISTIO_MUTUAL}, customTags: {a: {literal: {value: b}}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: app, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: app}
spec: {clusterIP: 10.0.0.2, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: app}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: app}
spec: {selector: {matchLabels: {app: client}}, template: {metadata: {labels: {app: client}, annotations: {proxy.istio.io/config: "tracing: {datadog: {address: '10.0.0.7:8126'}}"}}, spec: {containers: [{name: c}]}}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: web, namespace: app}
spec:
  selector: {matchLabels: {app: web}}
  tracing: [{providers: [{name: zip}], useRequestIdForTraceSampling: false, disableContextPropagation: true, enableIstioTags: true}]
`

// A stock Envoy takes tracers and log services, those of Telemetry and those that ProxyConfig names by address.
func TestTelemetry(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mesh.yaml"), []byte(observed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := envoytest.Start(t).Bundle(compile(t, dir)); err != nil {
		t.Error(err)
	}
}
