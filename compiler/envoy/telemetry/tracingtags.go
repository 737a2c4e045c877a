package telemetry

import (
	"cmp"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	uuidv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// Environment variables of a proxy that say which service its workload belongs to. A bundle serves many workloads with
// one configuration, so what differs among them is read where the proxy runs.
const (
	canonicalServiceVariable  = "CANONICAL_SERVICE"
	canonicalRevisionVariable = "CANONICAL_REVISION"
)

// Spans tells who traces: the parts of the mesh that the istio.* tags name.
type Spans struct{ Namespace, Cluster string }

// istioTags are the tags of Telemetry.tracing[].enableIstioTags: where the span was made, and what policies in dry run
// would have decided.
func (t Spans) istioTags(meshID string) []*tracingv3.CustomTag {
	return []*tracingv3.CustomTag{
		environmentTag("istio.canonical_revision", canonicalRevisionVariable, "latest"),
		environmentTag("istio.canonical_service", canonicalServiceVariable, "unknown"),
		literalTag("istio.mesh_id", meshID),
		literalTag("istio.namespace", t.Namespace),
		literalTag("istio.cluster_id", cmp.Or(t.Cluster, mesh.DefaultCluster)),
		dryRunTag("istio.authorization.dry_run.allow_policy.name", "istio_dry_run_allow_shadow_effective_policy_id"),
		dryRunTag("istio.authorization.dry_run.allow_policy.result", "istio_dry_run_allow_shadow_engine_result"),
		dryRunTag("istio.authorization.dry_run.deny_policy.name", "istio_dry_run_deny_shadow_effective_policy_id"),
		dryRunTag("istio.authorization.dry_run.deny_policy.result", "istio_dry_run_deny_shadow_engine_result"),
	}
}

// dryRunTag reads what the shadow rules of the RBAC filter left at the request.
func dryRunTag(name, key string) *tracingv3.CustomTag {
	return &tracingv3.CustomTag{Tag: name, Type: &tracingv3.CustomTag_Metadata_{Metadata: &tracingv3.CustomTag_Metadata{
		Kind: &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Request_{Request: &metadatav3.MetadataKind_Request{}}},
		MetadataKey: &metadatav3.MetadataKey{Key: "envoy.filters.http.rbac", Path: []*metadatav3.MetadataKey_PathSegment{
			{Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: key}}}},
	}}}
}

// ownSampling is the request ID extension of Telemetry.tracing[].useRequestIdForTraceSampling: false, by which a decision
// to sample is not taken from the request ID.
func ownSampling() *hcmv3.RequestIDExtension {
	return &hcmv3.RequestIDExtension{TypedConfig: xds.Any(&uuidv3.UuidRequestIdConfig{UseRequestIdForTraceSampling: xds.Bool(false)})}
}
