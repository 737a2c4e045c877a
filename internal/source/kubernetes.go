package source

import "github.com/meshc/meshc/internal/kinds"

// Served returns the version in which API servers serve a kind of Kubernetes that is read, and, where the one given is no
// longer served, what is known of it.
func Served(apiVersion, kind string) (string, *kinds.OldVersion) {
	if k := kinds.Find(kind); k != nil {
		for i := range k.Old {
			if k.Old[i].APIVersion == apiVersion {
				return k.Served(), &k.Old[i]
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
