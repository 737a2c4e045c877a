// Package security lowers AuthorizationPolicy and RequestAuthentication to filters, and the TLS of servers to contexts of
// Envoy.
//
// The filters of a workload stand in the order in which Istio lets them take effect: CUSTOM, verification of tokens, AUDIT,
// DENY, ALLOW. All policies of one action become one RBAC filter with one policy of Envoy for each rule; the name of such a
// policy is that of the object and the position of the rule. A rule is permissions (where to) and principals (who), each a
// conjunction of the fields that are set, each field a disjunction of its values, minus those of its negation. CUSTOM is an
// RBAC filter that only notes what matches, and ext_authz behind it, which asks where that note is.
//
// Where a condition cannot be judged (a method on a connection, an identity that plain text does not show, a value that
// Envoy cannot compile) the rule is changed only so that less is allowed: an ALLOW rule then matches nothing, a DENY rule
// loses the condition, and the finding says so. A provider or key set that cannot be used denies.
//
// Trust domains are written out: a principal stands for its aliases, too.
package security
