package meshc.policies.transport_test

import data.meshc.policies.transport

gateway(server) := {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "g"}, "spec": {"servers": [server]}}

test_gateway_plaintext if {
	count(transport.warn_gateway_plaintext) == 1 with input as gateway({"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["*"]})
	count(transport.warn_gateway_plaintext) == 1 with input as gateway({"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["shop/*"]})
	count(transport.warn_gateway_plaintext) == 0 with input as gateway({"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["*"], "tls": {"httpsRedirect": true}})
	count(transport.warn_gateway_plaintext) == 0 with input as gateway({"port": {"number": 443, "protocol": "HTTPS"}, "hosts": ["*"], "tls": {"mode": "SIMPLE"}})
	count(transport.warn_gateway_plaintext) == 0 with input as gateway({"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["shop.example.com"]})
}

dr(spec) := {"kind": "DestinationRule", "metadata": {"name": "d"}, "spec": object.union({"host": "a"}, spec)}

test_tls_disabled if {
	found := transport.warn_tls_disabled with input as dr({"trafficPolicy": {"tls": {"mode": "DISABLE"}}, "subsets": [{"name": "v1", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}]})
	{f.field | some f in found} == {"spec.trafficPolicy.tls.mode", "spec.subsets[0].trafficPolicy.tls.mode"}
}

test_tls_kept if {
	count(transport.warn_tls_disabled) == 0 with input as dr({"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}})
}

test_skip_verify if {
	count(transport.warn_skip_verify) == 1 with input as dr({"trafficPolicy": {"portLevelSettings": [{"tls": {"mode": "SIMPLE", "insecureSkipVerify": true}}]}})
	count(transport.warn_skip_verify) == 0 with input as dr({"trafficPolicy": {"tls": {"mode": "SIMPLE"}}})
}

pa(ns, spec) := {"kind": "PeerAuthentication", "metadata": {"name": "p", "namespace": ns}, "spec": spec}

test_mtls_off if {
	some f in transport.warn_mtls_off with input as pa("istio-system", {"mtls": {"mode": "PERMISSIVE"}})
	contains(f.msg, "of the mesh")
	count(transport.warn_mtls_off) == 1 with input as pa("shop", {"mtls": {"mode": "DISABLE"}})
	count(transport.warn_mtls_off) == 0 with input as pa("shop", {"mtls": {"mode": "STRICT"}})
	count(transport.warn_mtls_off) == 0 with input as pa("shop", {"selector": {"matchLabels": {"app": "a"}}, "mtls": {"mode": "PERMISSIVE"}})
}
