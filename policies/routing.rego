# METADATA
# title: Routing
# description: How VirtualServices send, repeat and copy requests.
package meshc.policies.routing

# METADATA
# title: No timeout towards an external host
# description: A route to a host outside the mesh without a timeout waits as long as the other side likes, and callers pile up.
# related_resources:
# - https://istio.io/latest/docs/concepts/traffic-management/#timeouts
# custom:
#   code: MESHC-P001
#   severity: warning
#   help: Set timeout on the route.
warn_external_timeout contains result if {
	input.kind == "VirtualService"
	some i, http in input.spec.http
	not http.timeout
	some route in http.route
	data.meshc.external[route.destination.host]
	result := {
		"msg": sprintf("the route to %s, which is outside the mesh, has no timeout", [route.destination.host]),
		"field": sprintf("spec.http[%d]", [i]),
	}
}

unsafe_methods := {"POST", "PATCH"}

# What these conditions repeat may already have been carried out by the first server.
repeats_work := {"5xx", "gateway-error", "reset", "retriable-4xx"}

# METADATA
# title: Retries of requests that are not idempotent
# description: A retry after the server has begun to work repeats a POST or PATCH, and with it an order or a payment.
# related_resources:
# - https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRetry
# custom:
#   code: MESHC-P002
#   severity: warning
#   help: Retry on connect-failure and refused-stream only, or set attempts to 0 for these methods.
warn_unsafe_retry contains result if {
	input.kind == "VirtualService"
	some i, http in input.spec.http
	http.retries.attempts > 0
	some match in http.match
	match.method.exact in unsafe_methods
	some condition in split(http.retries.retryOn, ",")
	trim_space(condition) in repeats_work
	result := {
		"msg": sprintf("%s requests are retried on %q, when the server may already have acted on them", [match.method.exact, trim_space(condition)]),
		"field": sprintf("spec.http[%d].retries", [i]),
	}
}

# METADATA
# title: Too many attempts
# description: Each attempt is one more request to a server in trouble; more than five turn a small fault into a large one.
# custom:
#   code: MESHC-P003
#   severity: warning
#   help: Use at most 5 attempts, and a retry budget or outlier detection.
warn_many_attempts contains result if {
	input.kind == "VirtualService"
	some i, http in input.spec.http
	http.retries.attempts > 5
	result := {
		"msg": sprintf("%d retries of every failed request", [http.retries.attempts]),
		"field": sprintf("spec.http[%d].retries.attempts", [i]),
	}
}

# METADATA
# title: Weights that do not add up to 100
# description: Envoy takes weights as ratios, so 90 and 20 are 82 and 18 percent, which is hardly what was meant.
# custom:
#   code: MESHC-P004
#   severity: warning
#   help: Let the weights of a route add up to 100.
warn_weights contains result if {
	input.kind == "VirtualService"
	some protocol in ["http", "tcp", "tls"]
	some i, block in input.spec[protocol]
	count(block.route) > 1
	total := sum([object.get(r, "weight", 0) | some r in block.route])
	total > 0
	total != 100
	result := {
		"msg": sprintf("the weights add up to %v, not to 100", [total]),
		"field": sprintf("spec.%s[%d].route", [protocol, i]),
	}
}

mirrors_all(http) if {
	http.mirror
	not http.mirrorPercentage
	not http.mirrorPercent
}

mirrors_all(http) if {
	http.mirror
	http.mirrorPercentage.value >= 100
}

mirrors_all(http) if {
	http.mirror
	http.mirrorPercent >= 100
}

# METADATA
# title: Every request is mirrored
# description: A mirror of all requests doubles the load on everything behind it, and repeats every write.
# custom:
#   code: MESHC-P005
#   severity: warning
#   help: Set mirrorPercentage to what the test needs.
warn_mirror_all contains result if {
	input.kind == "VirtualService"
	some i, http in input.spec.http
	mirrors_all(http)
	result := {
		"msg": sprintf("every request is copied to %s", [http.mirror.host]),
		"field": sprintf("spec.http[%d].mirror", [i]),
	}
}

any_origin(match) if match.exact == "*"

any_origin(match) if match.prefix in {"", "http", "https", "http://", "https://"}

any_origin(match) if match.regex in {".*", ".+", "^.*$", "https?://.*"}

# METADATA
# title: Any origin with credentials
# description: CORS that takes every origin and allows credentials lets any page act with a visitor's session.
# custom:
#   code: MESHC-P006
#   severity: warning
#   help: List the origins, or set allowCredentials to false.
warn_cors contains result if {
	input.kind == "VirtualService"
	some i, http in input.spec.http
	http.corsPolicy.allowCredentials == true
	some j, origin in http.corsPolicy.allowOrigins
	any_origin(origin)
	result := {
		"msg": "every origin may send requests with credentials",
		"field": sprintf("spec.http[%d].corsPolicy.allowOrigins[%d]", [i, j]),
	}
}

# METADATA
# title: A fault for every request
# description: An abort for all requests of a route without a match takes the service down; it is mostly left over from a test.
# custom:
#   code: MESHC-P007
#   severity: warning
#   help: Take the fault out, or match the requests of the test.
warn_fault_for_all contains result if {
	input.kind == "VirtualService"
	some i, http in input.spec.http
	not http.match
	http.fault.abort.percentage.value >= 100
	result := {
		"msg": "every request of this route is aborted",
		"field": sprintf("spec.http[%d].fault.abort", [i]),
	}
}
