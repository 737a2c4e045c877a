package meshc.policies.routing_test

import data.meshc.policies.routing

vs(http) := {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}, "spec": {"hosts": ["a"], "http": [http]}}

to_external := {"route": [{"destination": {"host": "api.example.com"}}]}

test_external_timeout if {
	found := routing.warn_external_timeout with input as vs(to_external) with data.meshc.external as {"api.example.com": true}
	some f in found
	f.field == "spec.http[0]"
}

test_external_timeout_set if {
	count(routing.warn_external_timeout) == 0 with input as vs(object.union(to_external, {"timeout": "3s"})) with data.meshc.external as {"api.example.com": true}
}

test_internal_needs_none if {
	count(routing.warn_external_timeout) == 0 with input as vs(to_external) with data.meshc.external as {}
}

retries(method, on) := {"match": [{"method": {"exact": method}}], "retries": {"attempts": 2, "retryOn": on}}

test_unsafe_retry if {
	count(routing.warn_unsafe_retry) == 1 with input as vs(retries("POST", "connect-failure, 5xx"))
}

test_safe_retries if {
	count(routing.warn_unsafe_retry) == 0 with input as vs(retries("GET", "5xx"))
	count(routing.warn_unsafe_retry) == 0 with input as vs(retries("POST", "connect-failure"))
}

test_many_attempts if {
	count(routing.warn_many_attempts) == 1 with input as vs({"retries": {"attempts": 6}})
	count(routing.warn_many_attempts) == 0 with input as vs({"retries": {"attempts": 5}})
}

weights(a, b) := {"route": [{"weight": a}, {"weight": b}]}

test_weights if {
	count(routing.warn_weights) == 1 with input as vs(weights(90, 20))
	count(routing.warn_weights) == 0 with input as vs(weights(90, 10))
	count(routing.warn_weights) == 0 with input as vs(weights(0, 0))
}

test_mirror_all if {
	count(routing.warn_mirror_all) == 1 with input as vs({"mirror": {"host": "b"}})
	count(routing.warn_mirror_all) == 1 with input as vs({"mirror": {"host": "b"}, "mirrorPercentage": {"value": 100}})
	count(routing.warn_mirror_all) == 0 with input as vs({"mirror": {"host": "b"}, "mirrorPercentage": {"value": 5}})
}

cors(origin, credentials) := {"corsPolicy": {"allowOrigins": [origin], "allowCredentials": credentials}}

test_cors if {
	count(routing.warn_cors) == 1 with input as vs(cors({"regex": ".*"}, true))
	count(routing.warn_cors) == 0 with input as vs(cors({"regex": ".*"}, false))
	count(routing.warn_cors) == 0 with input as vs(cors({"exact": "https://shop.example.com"}, true))
}

test_fault_for_all if {
	count(routing.warn_fault_for_all) == 1 with input as vs({"fault": {"abort": {"httpStatus": 500, "percentage": {"value": 100}}}})
	count(routing.warn_fault_for_all) == 0 with input as vs({"match": [{"headers": {"x": {"exact": "y"}}}], "fault": {"abort": {"percentage": {"value": 100}}}})
	count(routing.warn_fault_for_all) == 0 with input as vs({"fault": {"abort": {"percentage": {"value": 1}}}})
}
