# METADATA
# title: Access
# description: Authorization that allows more, or denies less, than it seems to.
package meshc.policies.access

# METADATA
# title: An empty rule allows everybody
# description: A rule without from, to and when matches every request, so an ALLOW policy with one allows all of them.
# related_resources:
# - https://istio.io/latest/docs/reference/config/security/authorization-policy/
# custom:
#   code: MESHC-P020
#   severity: warning
#   help: Say from, to or when; to allow everything on purpose, switch this code off.
warn_allow_all contains result if {
	input.kind == "AuthorizationPolicy"
	object.get(input.spec, "action", "ALLOW") == "ALLOW"
	some i, rule in input.spec.rules
	count(object.filter(rule, ["from", "to", "when"])) == 0
	result := {
		"msg": "the rule is empty and allows every request",
		"field": sprintf("spec.rules[%d]", [i]),
	}
}

safe_normalization := {"MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}

deciding_paths contains sprintf("spec.rules[%d].to[%d].operation.paths", [i, j]) if {
	input.spec.action == "DENY"
	some i, rule in input.spec.rules
	some j, to in rule.to
	count(to.operation.paths) > 0
}

deciding_paths contains sprintf("spec.rules[%d].to[%d].operation.notPaths", [i, j]) if {
	object.get(input.spec, "action", "ALLOW") == "ALLOW"
	some i, rule in input.spec.rules
	some j, to in rule.to
	count(to.operation.notPaths) > 0
}

# METADATA
# title: Access decided by a path that can be written otherwise
# description: Unless the mesh merges slashes, //admin is not /admin for the proxy, though it is for most servers.
# related_resources:
# - https://istio.io/latest/docs/ops/best-practices/security/#understand-traffic-matching
# custom:
#   code: MESHC-P021
#   severity: warning
#   help: Set pathNormalization.normalization to MERGE_SLASHES or DECODE_AND_MERGE_SLASHES in MeshConfig, or list what is allowed by paths.
warn_deny_by_path contains result if {
	input.kind == "AuthorizationPolicy"
	not data.meshc.pathNormalization in safe_normalization
	some field in deciding_paths
	result := {
		"msg": sprintf("the policy decides by path, and the mesh normalises paths by %s only, which leaves // as it is", [data.meshc.pathNormalization]),
		"field": field,
	}
}
