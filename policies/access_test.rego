package meshc.policies.access_test

import data.meshc.policies.access

ap(spec) := {"kind": "AuthorizationPolicy", "metadata": {"name": "a"}, "spec": spec}

test_allow_all if {
	count(access.warn_allow_all) == 1 with input as ap({"rules": [{}]})
	count(access.warn_allow_all) == 0 with input as ap({"action": "DENY", "rules": [{}]})
	count(access.warn_allow_all) == 0 with input as ap({"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]})
}

deny := ap({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin"]}}]}]})

allow_not := ap({"rules": [{"to": [{"operation": {"notPaths": ["/admin"]}}]}]})

test_deny_by_path if {
	count(access.warn_deny_by_path) == 1 with input as deny with data.meshc.pathNormalization as "BASE"
	count(access.warn_deny_by_path) == 1 with input as allow_not with data.meshc.pathNormalization as "BASE"
	count(access.warn_deny_by_path) == 0 with input as deny with data.meshc.pathNormalization as "MERGE_SLASHES"
	count(access.warn_deny_by_path) == 0 with input as ap({"rules": [{"to": [{"operation": {"paths": ["/"]}}]}]}) with data.meshc.pathNormalization as "BASE"
}
