# METADATA
# title: Reach
# description: Objects that take effect further than they should.
package meshc.policies.reach

opaque := {"TCP", "TLS", "MONGO", "MYSQL", "REDIS"}

# METADATA
# title: A wildcard host that nothing can tell apart
# description: On a TCP port there is no host to see, so a wildcard entry with resolution NONE and no addresses lets everything out on that port.
# custom:
#   code: MESHC-P030
#   severity: warning
#   help: Give addresses, or use a TLS port, whose server name can be matched.
warn_wildcard_tcp contains result if {
	input.kind == "ServiceEntry"
	object.get(input.spec, "resolution", "NONE") == "NONE"
	not input.spec.addresses
	some host in input.spec.hosts
	startswith(host, "*")
	some i, port in input.spec.ports
	port.protocol == "TCP"
	result := {
		"msg": sprintf("%s on TCP port %v lets connections to any address out", [host, port.number]),
		"field": sprintf("spec.ports[%d]", [i]),
	}
}

platform(ns) if ns in {"istio-system", "kube-system"}

platform(ns) if endswith(ns, "-system")

# METADATA
# title: A platform namespace exports to everybody
# description: What a platform namespace exports with * takes effect in every namespace, for hosts other teams own as well.
# custom:
#   code: MESHC-P031
#   severity: warning
#   help: List the namespaces in exportTo, or use "." for its own.
warn_platform_export contains result if {
	input.kind in {"VirtualService", "DestinationRule", "ServiceEntry"}
	platform(input.metadata.namespace)
	some i, to in input.spec.exportTo
	to == "*"
	result := {
		"msg": sprintf("namespace %s exports this %s to every namespace", [input.metadata.namespace, input.kind]),
		"field": sprintf("spec.exportTo[%d]", [i]),
	}
}

# METADATA
# title: Outlier detection may eject every endpoint
# description: With maxEjectionPercent 100 one bad deployment takes the last endpoint out, and every request fails.
# custom:
#   code: MESHC-P032
#   severity: warning
#   help: Stay at 50 or below, or set minHealthPercent.
warn_eject_all contains result if {
	input.kind == "DestinationRule"
	input.spec.trafficPolicy.outlierDetection.maxEjectionPercent == 100
	not input.spec.trafficPolicy.outlierDetection.minHealthPercent
	result := {
		"msg": sprintf("all endpoints of %s may be ejected at once", [input.spec.host]),
		"field": "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
	}
}
