package change

// The topics of the fields of messages; "-" leaves a field out because a rule of its own compares it, and a field that is not
// named has the topic of "". So a field that a later Envoy adds counts, too.
var (
	listenerTopics = map[string]string{
		"": Tuning, "name": "-", "address": "-", "additional_addresses": "-", "filter_chains": "-", "default_filter_chain": "-", "listener_filters": "-",
		"listener_filters_timeout": "-", "continue_on_listener_filters_timeout": "-", "access_log": "-", "use_original_dst": "-",
		"fcds_config": "-", "filter_chain_matcher": "-",
	}
	chainTopics   = map[string]string{"": Tuning, "filter_chain_match": "-", "filters": "-", "transport_socket": "-", "use_proxy_proto": Routing}
	managerTopics = map[string]string{
		"": Tuning, "rds": "-", "route_config": "-", "http_filters": "-", "access_log": "-", "upgrade_configs": "-", "tracing": "-", "server_name": Routing,
		"server_header_transformation": Routing, "forward_client_cert_details": Routing, "set_current_client_cert_details": Routing, "xff_num_trusted_hops": Routing,
		"use_remote_address": Routing, "original_ip_detection_extensions": Routing, "strip_any_host_port": "-", "local_reply_config": Routing,
		"request_id_extension": Observability, "always_set_request_id_in_response": Observability, "access_log_options": Observability, "scoped_routes": "-",
	}
	tcpTopics    = map[string]string{"": Tuning, "cluster": "-", "weighted_clusters": "-", "access_log": "-", "idle_timeout": "-", "hash_policy": "-", "tunneling_config": "-"}
	routesTopics = map[string]string{
		"": Routing, "name": "-", "virtual_hosts": "-", "response_headers_to_add": "-", "response_headers_to_remove": "-", "request_headers_to_add": "-",
		"request_headers_to_remove": "-", "request_mirror_policies": "-", "typed_per_filter_config": "-",
	}
	hostTopics = map[string]string{
		"": Routing, "domains": "-", "routes": "-", "require_tls": "-", "matcher": "-", "rate_limits": "-", "response_headers_to_add": "-", "response_headers_to_remove": "-",
		"request_headers_to_add": "-", "request_headers_to_remove": "-", "request_mirror_policies": "-", "typed_per_filter_config": "-", "retry_policy": "-",
		"per_request_buffer_limit_bytes": Tuning, "request_body_buffer_limit": Tuning, "hedge_policy": Tuning,
	}
	routeTopics = map[string]string{
		"": Routing, "match": "-", "route": "-", "redirect": "-", "direct_response": "-", "typed_per_filter_config": "-", "response_headers_to_add": "-", "response_headers_to_remove": "-",
		"request_headers_to_add": "-", "request_headers_to_remove": "-", "tracing": Observability, "per_request_buffer_limit_bytes": Tuning, "request_body_buffer_limit": Tuning,
	}
	actionTopics = map[string]string{
		"": Routing, "cluster": "-", "weighted_clusters": "-", "cluster_header": "-", "cluster_specifier_plugin": "-", "inline_cluster_specifier_plugin": "-", "timeout": "-",
		"idle_timeout": "-", "max_stream_duration": "-", "retry_policy": "-", "prefix_rewrite": "-", "regex_rewrite": "-", "path_rewrite_policy": "-", "host_rewrite_literal": "-",
		"auto_host_rewrite": "-", "host_rewrite_header": "-", "host_rewrite_path_regex": "-", "hash_policy": "-", "upgrade_configs": "-", "rate_limits": "-",
		"request_mirror_policies": "-", "priority": Tuning, "hedge_policy": Tuning, "flush_timeout": Tuning, "max_grpc_timeout": Tuning, "grpc_timeout_offset": Tuning,
		"early_data_policy": Tuning, "retry_policy_typed_config": Tuning,
	}
	shareTopics = map[string]string{
		"": Routing, "name": "-", "weight": "-", "request_headers_to_add": "-", "request_headers_to_remove": "-", "response_headers_to_add": "-",
		"response_headers_to_remove": "-", "host_rewrite_literal": "-",
	}
	retryTopics = map[string]string{
		"": Tuning, "retry_on": "-", "num_retries": "-", "per_try_timeout": "-", "retriable_status_codes": "-", "retry_back_off": "-", "retry_host_predicate": "-", "retry_priority": "-",
	}
	faultTopics = map[string]string{"": Routing, "delay": "-", "abort": "-"}
	// clusterTopics are those of a cluster.
	clusterTopics = map[string]string{
		"": Tuning, "name": "-", "load_assignment": "-", "eds_cluster_config": "-", "transport_socket": "-", "transport_socket_matches": "-",
		"typed_extension_protocol_options": "-", "type": Routing, "cluster_type": Routing, "original_dst_lb_config": Routing, "filters": Routing,
	}
	endpointsTopics = map[string]string{"": Tuning, "endpoints": "-"}
	localityTopics  = map[string]string{"": Tuning, "locality": "-", "lb_endpoints": "-", "load_balancing_weight": "-", "priority": "-", "metadata": "-"}
	// TLS: what the text of a connection says is left out.
	upstreamTopics   = map[string]string{"": Encryption, "common_tls_context": "-", "sni": "-", "auto_host_sni": "-", "auto_sni_san_validation": "-", "max_session_keys": Tuning}
	downstreamTopics = map[string]string{"": Encryption, "common_tls_context": "-", "require_client_certificate": "-"}
	commonTopics     = map[string]string{
		"": Encryption, "tls_params": "-", "tls_certificates": "-", "tls_certificate_sds_secret_configs": "-", "validation_context": "-",
		"validation_context_sds_secret_config": "-", "combined_validation_context": "-", "alpn_protocols": Tuning,
	}
	parameterTopics  = map[string]string{"": Encryption, "tls_minimum_protocol_version": "-", "tls_maximum_protocol_version": "-", "cipher_suites": "-", "ecdh_curves": "-"}
	validationTopics = map[string]string{
		"": Encryption, "trusted_ca": "-", "system_root_certs": "-", "match_typed_subject_alt_names": "-", "match_subject_alt_names": "-",
		"verify_certificate_hash": "-", "verify_certificate_spki": "-",
	}
	providerTopics = map[string]string{
		"": topicGrant, "issuer": "-", "audiences": "-", "from_headers": "-", "from_params": "-", "from_cookies": "-", "forward": "-", "forward_payload_header": "-",
		"claim_to_headers": "-", "payload_in_metadata": "-",
	}
)
