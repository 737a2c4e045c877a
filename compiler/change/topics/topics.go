// Package topics says for each field of the messages of Envoy that a comparison reads what a difference in it is about: a category of
// differences, or that another rule compares it.
package topics

import "github.com/meshc/meshc/compiler/change/report"

// Topics whose category depends on which side has the setting.
const (
	Grant = "grant" // who has it lets more in
	Guard = "guard" // who has it asks somebody before it lets in
)

// The topics of the fields of messages; "-" leaves a field out because a rule of its own compares it, and a field that is not
// named has the topic of "". So a field that a later Envoy adds counts, too.
var (
	Listener = map[string]string{
		"": report.Tuning, "name": "-", "address": "-", "additional_addresses": "-", "filter_chains": "-", "default_filter_chain": "-", "listener_filters": "-",
		"listener_filters_timeout": "-", "continue_on_listener_filters_timeout": "-", "access_log": "-", "use_original_dst": "-",
		"fcds_config": "-", "filter_chain_matcher": "-",
	}
	Chain   = map[string]string{"": report.Tuning, "filter_chain_match": "-", "filters": "-", "transport_socket": "-", "use_proxy_proto": report.Routing}
	Manager = map[string]string{
		"": report.Tuning, "rds": "-", "route_config": "-", "http_filters": "-", "access_log": "-", "upgrade_configs": "-", "tracing": "-", "server_name": report.Routing,
		"server_header_transformation": report.Routing, "forward_client_cert_details": report.Routing, "set_current_client_cert_details": report.Routing, "xff_num_trusted_hops": report.Routing,
		"use_remote_address": report.Routing, "original_ip_detection_extensions": report.Routing, "strip_any_host_port": "-", "local_reply_config": report.Routing,
		"request_id_extension": report.Observability, "always_set_request_id_in_response": report.Observability, "access_log_options": report.Observability, "scoped_routes": "-",
	}
	Tcp    = map[string]string{"": report.Tuning, "cluster": "-", "weighted_clusters": "-", "access_log": "-", "idle_timeout": "-", "hash_policy": "-", "tunneling_config": "-"}
	Routes = map[string]string{
		"": report.Routing, "name": "-", "virtual_hosts": "-", "response_headers_to_add": "-", "response_headers_to_remove": "-", "request_headers_to_add": "-",
		"request_headers_to_remove": "-", "request_mirror_policies": "-", "typed_per_filter_config": "-",
	}
	Host = map[string]string{
		"": report.Routing, "domains": "-", "routes": "-", "require_tls": "-", "matcher": "-", "rate_limits": "-", "response_headers_to_add": "-", "response_headers_to_remove": "-",
		"request_headers_to_add": "-", "request_headers_to_remove": "-", "request_mirror_policies": "-", "typed_per_filter_config": "-", "retry_policy": "-",
		"per_request_buffer_limit_bytes": report.Tuning, "request_body_buffer_limit": report.Tuning, "hedge_policy": report.Tuning,
	}
	Route = map[string]string{
		"": report.Routing, "match": "-", "route": "-", "redirect": "-", "direct_response": "-", "typed_per_filter_config": "-", "response_headers_to_add": "-", "response_headers_to_remove": "-",
		"request_headers_to_add": "-", "request_headers_to_remove": "-", "tracing": report.Observability, "per_request_buffer_limit_bytes": report.Tuning, "request_body_buffer_limit": report.Tuning,
	}
	Action = map[string]string{
		"": report.Routing, "cluster": "-", "weighted_clusters": "-", "cluster_header": "-", "cluster_specifier_plugin": "-", "inline_cluster_specifier_plugin": "-", "timeout": "-",
		"idle_timeout": "-", "max_stream_duration": "-", "retry_policy": "-", "prefix_rewrite": "-", "regex_rewrite": "-", "path_rewrite_policy": "-", "host_rewrite_literal": "-",
		"auto_host_rewrite": "-", "host_rewrite_header": "-", "host_rewrite_path_regex": "-", "hash_policy": "-", "upgrade_configs": "-", "rate_limits": "-",
		"request_mirror_policies": "-", "priority": report.Tuning, "hedge_policy": report.Tuning, "flush_timeout": report.Tuning, "max_grpc_timeout": report.Tuning, "grpc_timeout_offset": report.Tuning,
		"early_data_policy": report.Tuning, "retry_policy_typed_config": report.Tuning,
	}
	Share = map[string]string{
		"": report.Routing, "name": "-", "weight": "-", "request_headers_to_add": "-", "request_headers_to_remove": "-", "response_headers_to_add": "-",
		"response_headers_to_remove": "-", "host_rewrite_literal": "-",
	}
	Retry = map[string]string{
		"": report.Tuning, "retry_on": "-", "num_retries": "-", "per_try_timeout": "-", "retriable_status_codes": "-", "retry_back_off": "-", "retry_host_predicate": "-", "retry_priority": "-",
	}
	Fault = map[string]string{"": report.Routing, "delay": "-", "abort": "-"}
	// Cluster are those of a cluster.
	Cluster = map[string]string{
		"": report.Tuning, "name": "-", "load_assignment": "-", "eds_cluster_config": "-", "transport_socket": "-", "transport_socket_matches": "-",
		"typed_extension_protocol_options": "-", "type": report.Routing, "cluster_type": report.Routing, "original_dst_lb_config": report.Routing, "filters": report.Routing,
	}
	Endpoints = map[string]string{"": report.Tuning, "endpoints": "-"}
	Locality  = map[string]string{"": report.Tuning, "locality": "-", "lb_endpoints": "-", "load_balancing_weight": "-", "priority": "-", "metadata": "-"}
	// TLS: what the text of a connection says is left out.
	Upstream   = map[string]string{"": report.Encryption, "common_tls_context": "-", "sni": "-", "auto_host_sni": "-", "auto_sni_san_validation": "-", "max_session_keys": report.Tuning}
	Downstream = map[string]string{"": report.Encryption, "common_tls_context": "-", "require_client_certificate": "-"}
	Common     = map[string]string{
		"": report.Encryption, "tls_params": "-", "tls_certificates": "-", "tls_certificate_sds_secret_configs": "-", "validation_context": "-",
		"validation_context_sds_secret_config": "-", "combined_validation_context": "-", "alpn_protocols": report.Tuning,
	}
	Parameter  = map[string]string{"": report.Encryption, "tls_minimum_protocol_version": "-", "tls_maximum_protocol_version": "-", "cipher_suites": "-", "ecdh_curves": "-"}
	Validation = map[string]string{
		"": report.Encryption, "trusted_ca": "-", "system_root_certs": "-", "match_typed_subject_alt_names": "-", "match_subject_alt_names": "-",
		"verify_certificate_hash": "-", "verify_certificate_spki": "-",
	}
	Provider = map[string]string{
		"": Grant, "issuer": "-", "audiences": "-", "from_headers": "-", "from_params": "-", "from_cookies": "-", "forward": "-", "forward_payload_header": "-",
		"claim_to_headers": "-", "payload_in_metadata": "-",
	}
)
