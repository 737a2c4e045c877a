package cluster

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/lowertest"
)

// policyContexts are policies that together hold every field of a TrafficPolicy.
var policyContexts = []string{
	`{"connectionPool":{"tcp":{"maxConnections":7,"connectTimeout":"3s","idleTimeout":"9s","maxConnectionDuration":"5s","tcpKeepalive":{"probes":3,"time":"7s","interval":"8s"}}}}`,
	`{"connectionPool":{"http":{"http1MaxPendingRequests":1,"http2MaxRequests":2,"maxRequestsPerConnection":3,"maxRetries":4,"idleTimeout":"5s","h2UpgradePolicy":"UPGRADE","maxConcurrentStreams":6,"http2KeepAlive":{"interval":"7s","timeout":"8s"}}}}`,
	`{"connectionPool":{"http":{"useClientProtocol":true}}}`,
	`{"loadBalancer":{"simple":"ROUND_ROBIN","warmup":{"duration":"9s","aggression":2,"minimumPercent":20}}}`,
	`{"loadBalancer":{"warmupDurationSecs":"9s"}}`,
	`{"loadBalancer":{"consistentHash":{"useSourceIp":true,"minimumRingSize":99}}}`,
	`{"loadBalancer":{"consistentHash":{"useSourceIp":true,"ringHash":{"minimumRingSize":99}}}}`,
	`{"loadBalancer":{"consistentHash":{"useSourceIp":true,"maglev":{"tableSize":131}}}}`,
	`{"loadBalancer":{"backendUtilization":{"weightStabilizationPeriod":"11s","weightExpirationPeriod":"12s","weightUpdatePeriod":"13s","errorUtilizationPenaltyPercent":14,"metricNamesForComputingUtilization":["a"]}}}`,
	`{"loadBalancer":{"localityLbSetting":{"enabled":false}}, "outlierDetection":{}}`,
	`{"loadBalancer":{"localityLbSetting":{"distribute":[{"from":"r1/*","to":{"r1/*":70,"r2/*":30}}]}}}`,
	`{"loadBalancer":{"localityLbSetting":{"failover":[{"from":"r1","to":"r3"}]}}, "outlierDetection":{}}`,
	`{"loadBalancer":{"localityLbSetting":{"failoverPriority":["version"]}}, "outlierDetection":{}}`,
	`{"loadBalancer":{"zoneAwareLbSetting":{"enabled":false,"minClusterSize":3,"failover":[{"from":"r1","to":"r3"}]}}, "outlierDetection":{}}`,
	`{"loadBalancer":{"zoneAwareLbSetting":{"failoverPriority":["version"]}}, "outlierDetection":{}}`,
	`{"outlierDetection":{"splitExternalLocalOriginErrors":true,"consecutiveLocalOriginFailures":2,"consecutiveGatewayErrors":3,"consecutive5xxErrors":4,"interval":"6s","baseEjectionTime":"7s","maxEjectionPercent":8,"minHealthPercent":9,"failurePercentageThreshold":66,"outlierDetectionHttpErrorCodes":[500,503]}}`,
	`{"tls":{"mode":"MUTUAL","clientCertificate":"/c.pem","privateKey":"/k.pem","caCertificates":"/ca.pem","caCrl":"/crl.pem","subjectAltNames":["a.example.com"],"sni":"b.example.com"}}`,
	`{"tls":{"mode":"SIMPLE","insecureSkipVerify":true}}`,
	`{"tls":{"mode":"SIMPLE","credentialName":"cred"}}`,
	`{"tls":{"mode":"SIMPLE","caCertCredentialName":"configmap://ca"}}`,
	`{"tls":{"mode":"ISTIO_MUTUAL","clientCertificate":"/c.pem","privateKey":"/k.pem","caCertificates":"/ca.pem","caCrl":"/crl","subjectAltNames":["spiffe://x/y"],"sni":"b","insecureSkipVerify":true,"credentialName":"x"}}`,
	`{"tls":{"clientCertificate":"/c.pem","privateKey":"/k.pem","caCertificates":"/ca.pem","caCrl":"/crl","subjectAltNames":["a"],"sni":"b","insecureSkipVerify":true,"credentialName":"x"}}`,
	`{"proxyProtocol":{"version":"V2"},"retryBudget":{"percent":33,"minRetryConcurrency":5,"budgetInterval":"2s"}}`,
}

// elsewhere are fields that other lowerings read: what is hashed is on routes, tunnels are on listeners.
var elsewhere = []string{"tunnel", "loadBalancer.consistentHash.http", "loadBalancer.consistentHash.useSourceIp", "outlierDetection.consecutiveErrors"}

func readElsewhere(path string) bool {
	return slices.ContainsFunc(elsewhere, func(p string) bool { return strings.HasPrefix(path, p) })
}

// TestNoFieldIsSilent deletes each field of each context at each layer of a rule and wants resources or findings to change.
func TestNoFieldIsSilent(t *testing.T) {
	covered := map[string]bool{}
	for _, context := range policyContexts {
		layers := map[string]string{
			"top":    `{"host":"reviews.default.svc.cluster.local","trafficPolicy":` + context + `}`,
			"subset": `{"host":"reviews.default.svc.cluster.local","subsets":[{"name":"v1","labels":{"app":"reviews"},"trafficPolicy":` + context + `}]}`,
		}
		if !strings.Contains(context, "proxyProtocol") {
			entry := strings.Replace(context, "{", `{"port":{"number":80},`, 1)
			layers["port"] = `{"host":"reviews.default.svc.cluster.local","trafficPolicy":{"portLevelSettings":[` + entry + `]}}`
		}
		for _, layer := range slices.Sorted(maps.Keys(layers)) {
			rule := testRule(t, layers[layer])
			whole := lowered(t, rule)
			for _, leaf := range lowertest.Leaves(rule.Spec.ProtoReflect(), nil) {
				path := leaf.String()
				field := policyField(path)
				covered[field] = true
				if readElsewhere(field) || path == "host" {
					continue
				}
				less := &mesh.DestinationRule{Object: rule.Object, Subsets: rule.Subsets, Spec: proto.Clone(rule.Spec).(*networking.DestinationRule)}
				leaf.Clear(less.Spec.ProtoReflect())
				less.Subsets = less.Subsets[:len(less.Spec.Subsets)]
				if lowered(t, less) == whole {
					t.Errorf("%s of %s: %s changes nothing", layer, context, path)
				}
			}
		}
	}
	for _, f := range lowertest.FieldsOf((&networking.TrafficPolicy{}).ProtoReflect().Descriptor(), "") {
		if !covered[f] && !readElsewhere(f) && !strings.HasPrefix(f, "portLevelSettings") {
			t.Errorf("no context holds %s", f)
		}
	}
}

func lowered(t *testing.T, rule *mesh.DestinationRule) string {
	t.Helper()
	rs, ds := Outbound(testInputs(testService(), rule, nil))
	return lowertest.Render(t, rs, ds)
}

// policyField is the path inside a TrafficPolicy, without layers and indices.
func policyField(path string) string {
	for _, cut := range []string{"portLevelSettings.", "trafficPolicy."} {
		if _, after, ok := strings.Cut(path, cut); ok {
			return after
		}
	}
	return path
}
