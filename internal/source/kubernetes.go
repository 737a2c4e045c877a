package source

import "slices"

// readKind is a kind of Kubernetes, or of an extension that runs pods in it, that meshc reads.
type readKind struct {
	kind, group, version string
	old                  []OldVersion
}

// OldVersion is an API version in which a kind was served once. It means the same, and is read.
type OldVersion struct {
	APIVersion string
	Until      string // the release of Kubernetes that removed it
}

// readKinds lists the kinds of Kubernetes that meshc reads, with all versions.
var readKinds = []readKind{
	{kind: "Namespace", version: "v1"},
	{kind: "Node", version: "v1"},
	{kind: "Pod", version: "v1"},
	{kind: "ReplicationController", version: "v1"},
	{kind: "Service", version: "v1"},
	{kind: "Endpoints", version: "v1"},
	{kind: "ServiceAccount", version: "v1"},
	{kind: "ConfigMap", version: "v1"},
	{kind: "Deployment", group: "apps", version: "v1", old: []OldVersion{{"apps/v1beta1", "1.16"}, {"apps/v1beta2", "1.16"}, {"extensions/v1beta1", "1.16"}}},
	{kind: "StatefulSet", group: "apps", version: "v1", old: []OldVersion{{"apps/v1beta1", "1.16"}, {"apps/v1beta2", "1.16"}}},
	{kind: "DaemonSet", group: "apps", version: "v1", old: []OldVersion{{"apps/v1beta2", "1.16"}, {"extensions/v1beta1", "1.16"}}},
	{kind: "ReplicaSet", group: "apps", version: "v1", old: []OldVersion{{"apps/v1beta2", "1.16"}, {"extensions/v1beta1", "1.16"}}},
	{kind: "Job", group: "batch", version: "v1"},
	{kind: "CronJob", group: "batch", version: "v1", old: []OldVersion{{"batch/v1beta1", "1.25"}}},
	{kind: "Rollout", group: "argoproj.io", version: "v1alpha1"},
	{kind: "MeshRollout", group: OwnGroup, version: "v1alpha1"},
	{kind: "EndpointSlice", group: "discovery.k8s.io", version: "v1", old: []OldVersion{{"discovery.k8s.io/v1beta1", "1.25"}}},
	{kind: "Ingress", group: "networking.k8s.io", version: "v1", old: []OldVersion{{"networking.k8s.io/v1beta1", "1.22"}, {"extensions/v1beta1", "1.22"}}},
	{kind: "IngressClass", group: "networking.k8s.io", version: "v1", old: []OldVersion{{"networking.k8s.io/v1beta1", "1.22"}}},
}

// apiVersion is the version that API servers serve.
func (r readKind) apiVersion() string {
	if r.group == "" {
		return r.version
	}
	return r.group + "/" + r.version
}

func (r readKind) has(group, version string) bool {
	if r.group == group && r.version == version {
		return true
	}
	return slices.ContainsFunc(r.old, func(o OldVersion) bool { return o.APIVersion == group+"/"+version })
}

// Served returns the version in which API servers serve a kind of Kubernetes that is read, and, where the one given is no
// longer served, what is known of it.
func Served(apiVersion, kind string) (string, *OldVersion) {
	for _, r := range readKinds {
		if r.kind != kind {
			continue
		}
		for i := range r.old {
			if r.old[i].APIVersion == apiVersion {
				return r.apiVersion(), &r.old[i]
			}
		}
	}
	return apiVersion, nil
}

// builtInKinds lists the kinds of Kubernetes' own groups, to which nobody else can add, also those that no API server has any
// more. Lists of objects (PodList) are left out.
var builtInKinds = map[string]string{
	"": "Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod PodTemplate RangeAllocation " +
		"ReplicationController ResourceQuota Secret SerializedReference Service ServiceAccount",
	"admissionregistration.k8s.io": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy " +
		"ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
	"apps":                         "ControllerRevision DaemonSet Deployment DeploymentRollback ReplicaSet Scale StatefulSet",
	"authentication.k8s.io":        "SelfSubjectReview TokenRequest TokenReview",
	"authorization.k8s.io":         "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
	"autoscaling":                  "HorizontalPodAutoscaler Scale",
	"batch":                        "CronJob Job JobTemplate",
	"certificates.k8s.io":          "CertificateSigningRequest ClusterTrustBundle PodCertificateRequest",
	"coordination.k8s.io":          "Lease LeaseCandidate",
	"discovery.k8s.io":             "EndpointSlice",
	"events.k8s.io":                "Event",
	"extensions":                   "DaemonSet Deployment DeploymentRollback Ingress NetworkPolicy PodSecurityPolicy ReplicaSet Scale",
	"flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
	"internal.apiserver.k8s.io":    "StorageVersion",
	"lifecycle.k8s.io":             "Eviction EvictionRequest",
	"networking.k8s.io":            "ClusterCIDR IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR",
	"node.k8s.io":                  "RuntimeClass",
	"policy":                       "Eviction PodDisruptionBudget PodSecurityPolicy",
	"rbac.authorization.k8s.io":    "ClusterRole ClusterRoleBinding Role RoleBinding",
	"resource.k8s.io":              "DeviceClass DeviceTaintRule PodSchedulingContext ResourceClaim ResourceClaimTemplate ResourceClass ResourcePoolStatusRequest ResourceSlice",
	"scheduling.k8s.io":            "CompositePodGroup PodGroup PriorityClass Workload",
	"storage.k8s.io":               "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass",
	"storagemigration.k8s.io":      "StorageVersionMigration",
}
