# METADATA
# title: Transport security
# description: Where traffic leaves its encryption behind.
package meshc.policies.transport

plaintext := {"HTTP", "HTTP2", "GRPC", "TCP", "MONGO", "MYSQL", "REDIS"}

catch_all(host) if host == "*"

catch_all(host) if endswith(host, "/*")

# METADATA
# title: Every host in plaintext
# description: A gateway server for all hosts without TLS answers for names nobody thought of, and in the clear.
# custom:
#   code: MESHC-P010
#   severity: warning
#   help: Name the hosts, and add TLS or tls.httpsRedirect.
warn_gateway_plaintext contains result if {
	input.kind == "Gateway"
	startswith(input.apiVersion, "networking.istio.io/")
	some i, server in input.spec.servers
	server.port.protocol in plaintext
	not server.tls.httpsRedirect
	not server.tls.mode
	some host in server.hosts
	catch_all(host)
	result := {
		"msg": sprintf("port %v takes every host without TLS", [server.port.number]),
		"field": sprintf("spec.servers[%d].hosts", [i]),
	}
}

policies contains ["spec.trafficPolicy", input.spec.trafficPolicy] if input.spec.trafficPolicy

policies contains [sprintf("spec.trafficPolicy.portLevelSettings[%d]", [i]), p] if some i, p in input.spec.trafficPolicy.portLevelSettings

policies contains [sprintf("spec.subsets[%d].trafficPolicy", [i]), s.trafficPolicy] if some i, s in input.spec.subsets

# METADATA
# title: TLS switched off by a DestinationRule
# description: Mode DISABLE overrides automatic mutual TLS, so the traffic is readable and its sender unknown.
# related_resources:
# - https://istio.io/latest/docs/reference/config/networking/destination-rule/#ClientTLSSettings-TLSmode
# custom:
#   code: MESHC-P011
#   severity: warning
#   help: Take tls out of the rule; a server without a sidecar is recognised by itself.
warn_tls_disabled contains result if {
	input.kind == "DestinationRule"
	some [path, policy] in policies
	policy.tls.mode == "DISABLE"
	result := {
		"msg": sprintf("traffic to %s is sent in plaintext", [input.spec.host]),
		"field": sprintf("%s.tls.mode", [path]),
	}
}

# METADATA
# title: Server certificate not verified
# description: With insecureSkipVerify anybody in the path can pose as the server.
# custom:
#   code: MESHC-P012
#   severity: warning
#   help: Name the CA in caCertificates or credentialName.
warn_skip_verify contains result if {
	input.kind == "DestinationRule"
	some [path, policy] in policies
	policy.tls.insecureSkipVerify == true
	result := {
		"msg": sprintf("the certificate of %s is not verified", [input.spec.host]),
		"field": sprintf("%s.tls.insecureSkipVerify", [path]),
	}
}

# METADATA
# title: Mutual TLS not enforced for a whole namespace or mesh
# description: A PeerAuthentication without selector that is PERMISSIVE or DISABLE lets every workload take plaintext.
# related_resources:
# - https://istio.io/latest/docs/tasks/security/authentication/mtls-migration/
# custom:
#   code: MESHC-P013
#   severity: warning
#   help: Use STRICT, and PERMISSIVE only for the workloads that still have plaintext clients.
warn_mtls_off contains result if {
	input.kind == "PeerAuthentication"
	not input.spec.selector
	input.spec.mtls.mode in {"DISABLE", "PERMISSIVE"}
	result := {
		"msg": sprintf("every workload %s takes plaintext (%s)", [reach, input.spec.mtls.mode]),
		"field": "spec.mtls.mode",
	}
}

reach := "of the mesh" if input.metadata.namespace == "istio-system"

reach := "of the namespace" if object.get(input.metadata, "namespace", "") != "istio-system"
