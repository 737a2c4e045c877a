package security

import (
	"fmt"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	security "istio.io/api/security/v1beta1"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// permissionCondition is one field of an operation, or one when entry, that looks at the request: values are
// alternatives, one of notValues excludes.
type permissionCondition struct {
	field             string // for messages
	values, notValues []string
	path, notPath     []any // of the lists in the object
	httpOnly          bool
	match             func(v string) (*rbacv3.Permission, error)
	strict            func(v string) (*rbacv3.Permission, error) // in place of match, where a match takes away; nil: match
}

// operationConditions lowers AuthorizationPolicy.rules[].to[].operation.
func operationConditions(op *security.Operation, at []any) []permissionCondition {
	field := func(name string, values, not []string, httpOnly bool, match func(string) (*rbacv3.Permission, error)) permissionCondition {
		notName := "not" + strings.ToUpper(name[:1]) + name[1:]
		return permissionCondition{field: name, values: values, notValues: not, path: pathTo(at, name), notPath: pathTo(at, notName), httpOnly: httpOnly, match: match}
	}
	hosts := field("hosts", op.GetHosts(), op.GetNotHosts(), true, hostPermission)
	hosts.strict = hostOfAnyForm
	return []permissionCondition{
		hosts,
		field("methods", op.GetMethods(), op.GetNotMethods(), true, methodPermission),
		field("paths", op.GetPaths(), op.GetNotPaths(), true, pathPermission),
		field("ports", op.GetPorts(), op.GetNotPorts(), false, portPermission),
	}
}

// whenPermission lowers the keys of AuthorizationPolicy.rules[].when[] that look at the request; ok is false for others.
func whenPermission(key string) (match func(string) (*rbacv3.Permission, error), ok bool) {
	switch {
	case key == "destination.ip":
		return destinationIPPermission, true
	case key == "destination.port":
		return portPermission, true
	case key == "connection.sni":
		return sniPermission, true
	case strings.HasPrefix(key, experimentalKey):
		return func(v string) (*rbacv3.Permission, error) { return experimentalPermission(key, v) }, true
	}
	return nil, false
}

const experimentalKey = "experimental.envoy.filters."

// hostPermission matches the Host header as it stands.
func hostPermission(v string) (*rbacv3.Permission, error) {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_Header{Header: rbacHost(v)}}, nil
}

// hostOfAnyForm matches a host also with a port or the dot of the root behind it, which callers may add as they like.
// Where a match takes something away from a caller, they must not be a way around it.
func hostOfAnyForm(v string) (*rbacv3.Permission, error) {
	rest, suffix := strings.CutPrefix(v, "*")
	if rest == "" || strings.HasSuffix(v, "*") || strings.Contains(v, ":") {
		return hostPermission(v)
	}
	re := "(?i)" + regexp.QuoteMeta(strings.TrimSuffix(rest, ".")) + `\.?(:[0-9]*)?`
	if suffix {
		re = "(?i).*" + strings.TrimPrefix(re, "(?i)")
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_Header{Header: &routev3.HeaderMatcher{Name: ":authority",
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: rbacRegex(re)}}}}, nil
}

func methodPermission(v string) (*rbacv3.Permission, error) {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_Header{Header: rbacHeader(":method", v)}}, nil
}

// pathPermission matches the path without its query, as the connection manager normalised it.
func pathPermission(v string) (*rbacv3.Permission, error) {
	if isPathTemplate(v) {
		t, err := pathTemplate(v)
		if err != nil {
			return nil, err
		}
		return &rbacv3.Permission{Rule: &rbacv3.Permission_UriTemplate{UriTemplate: &corev3.TypedExtensionConfig{
			Name: "envoy.path.match.uri_template.uri_template_matcher", TypedConfig: xds.Any(t)}}}, nil
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_UrlPath{UrlPath: rbacPath(v)}}, nil
}

func portPermission(v string) (*rbacv3.Permission, error) {
	n, err := rbacPort(v)
	if err != nil {
		return nil, err
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_DestinationPort{DestinationPort: n}}, nil
}

func destinationIPPermission(v string) (*rbacv3.Permission, error) {
	c, err := rbacCIDR(v)
	if err != nil {
		return nil, err
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_DestinationIp{DestinationIp: c}}, nil
}

func sniPermission(v string) (*rbacv3.Permission, error) {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_RequestedServerName{RequestedServerName: rbacString(v)}}, nil
}

// experimentalPermission matches dynamic metadata of any filter: experimental.envoy.filters.NAME[key]; a value in
// brackets looks for an element of a list.
func experimentalPermission(key, v string) (*rbacv3.Permission, error) {
	name, inner, ok := strings.Cut(strings.TrimPrefix(key, "experimental."), "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !ok || !closed || inner == "" || name == "envoy.filters." {
		return nil, fmt.Errorf("%q is not of the form experimental.envoy.filters.NAME[key]", key)
	}
	value := metadataString(rbacString(v))
	if len(v) > 1 && strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
		value = metadataList(rbacString(strings.Trim(v, "[]")))
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_SourcedMetadata{
		SourcedMetadata: &rbacv3.SourcedMetadata{MetadataMatcher: rbacMetadata(name, []string{inner}, value)}}}, nil
}

func permissionAny() *rbacv3.Permission {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_Any{Any: true}}
}

func permissionNot(p *rbacv3.Permission) *rbacv3.Permission {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_NotRule{NotRule: p}}
}

// permissionAnd and permissionOr leave a single part as it is.
func permissionAnd(ps []*rbacv3.Permission) *rbacv3.Permission {
	if len(ps) == 1 {
		return ps[0]
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_AndRules{AndRules: &rbacv3.Permission_Set{Rules: ps}}}
}

func permissionOr(ps []*rbacv3.Permission) *rbacv3.Permission {
	if len(ps) == 1 {
		return ps[0]
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_OrRules{OrRules: &rbacv3.Permission_Set{Rules: ps}}}
}

// pathTo appends to a path without sharing its array.
func pathTo(at []any, more ...any) []any {
	return append(append(make([]any, 0, len(at)+len(more)), at...), more...)
}
