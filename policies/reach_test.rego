package meshc.policies.reach_test

import data.meshc.policies.reach

se(spec) := {"kind": "ServiceEntry", "metadata": {"name": "s", "namespace": "shop"}, "spec": object.union({"hosts": ["*.example.com"], "ports": [{"number": 5432, "protocol": "TCP"}]}, spec)}

test_wildcard_tcp if {
	count(reach.warn_wildcard_tcp) == 1 with input as se({})
	count(reach.warn_wildcard_tcp) == 0 with input as se({"addresses": ["10.0.0.0/8"]})
	count(reach.warn_wildcard_tcp) == 0 with input as se({"ports": [{"number": 443, "protocol": "TLS"}]})
	count(reach.warn_wildcard_tcp) == 0 with input as se({"hosts": ["db.example.com"]})
}

export(ns, to) := {"kind": "DestinationRule", "metadata": {"name": "d", "namespace": ns}, "spec": {"host": "a", "exportTo": [to]}}

test_platform_export if {
	count(reach.warn_platform_export) == 1 with input as export("istio-system", "*")
	count(reach.warn_platform_export) == 0 with input as export("istio-system", ".")
	count(reach.warn_platform_export) == 0 with input as export("shop", "*")
}

outlier(o) := {"kind": "DestinationRule", "metadata": {"name": "d"}, "spec": {"host": "a", "trafficPolicy": {"outlierDetection": o}}}

test_eject_all if {
	count(reach.warn_eject_all) == 1 with input as outlier({"maxEjectionPercent": 100})
	count(reach.warn_eject_all) == 0 with input as outlier({"maxEjectionPercent": 50})
	count(reach.warn_eject_all) == 0 with input as outlier({"maxEjectionPercent": 100, "minHealthPercent": 50})
}
