package security

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	extauthzfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ext_authz/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	security "istio.io/api/security/v1beta1"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

const (
	httpExtAuthzFilter    = "envoy.filters.http.ext_authz"
	networkExtAuthzFilter = "envoy.filters.network.ext_authz"

	// customShadowPrefix starts the metadata keys that the evaluation of CUSTOM rules fills.
	customShadowPrefix = "istio_ext_authz_"

	// defaultCheckTimeout is long on purpose: the DestinationRule of the provider is the place to bound a check.
	defaultCheckTimeout = 600 * time.Second
)

// custom returns the filters of CUSTOM: an RBAC filter that only notes in metadata which rule matches, and ext_authz,
// which asks the provider when that note is there. Without a usable provider, requests that match are denied.
func (l *authz) custom() []authFilter {
	policies := l.withAction(security.AuthorizationPolicy_CUSTOM)
	if len(policies) == 0 {
		return nil
	}
	enforce, dryRun := map[string]*rbacv3.Policy{}, map[string]*rbacv3.Policy{}
	var first *mesh.AuthorizationPolicy
	usable := true
	for _, p := range policies {
		if p.DryRun {
			l.findings.Add(p.Object.Finding(diag.Warning, "MESHC1547", "action CUSTOM is not called in a dry run: only the rules are evaluated",
				"read the shadow rule statistics istio_dry_run_deny_, or remove the annotation istio.io/dry-run", "metadata", "annotations", "istio.io/dry-run"))
			l.policy(dryRun, p, "")
			continue
		}
		if first == nil {
			first = p
		}
		if first.Spec.GetProvider().GetName() != p.Spec.GetProvider().GetName() {
			d := p.Object.Finding(diag.Error, "MESHC1543",
				fmt.Sprintf("a workload can ask one external authorizer: %q here, %q elsewhere; all requests that match are denied",
					p.Spec.GetProvider().GetName(), first.Spec.GetProvider().GetName()),
				"name the same provider in all CUSTOM policies that select the workload", "spec", "provider", "name")
			d.Related = append(d.Related, diag.Related{Pos: first.Object.Pos("spec", "provider", "name"), Object: first.Object.Ref(), Message: "the other provider"})
			l.findings.Add(d)
			usable = false
		}
		l.policy(enforce, p, names.CustomPrefix)
	}
	var out []authFilter
	if len(dryRun) > 0 {
		out = append(out, authFilter{shadow: &rbacv3.RBAC{Action: rbacv3.RBAC_DENY, Policies: dryRun}, shadowPrefix: "istio_dry_run_deny_"})
	}
	if first == nil {
		return out
	}
	rules := &rbacv3.RBAC{Action: rbacv3.RBAC_DENY, Policies: enforce}
	if !usable {
		return append(out, authFilter{enforce: rules})
	}
	provider, err := l.extAuthz(first.Spec.GetProvider().GetName())
	if err != nil {
		for _, p := range policies {
			l.findings.Add(p.Object.Finding(diag.Error, "MESHC1542",
				fmt.Sprintf("%v; all requests that match are denied", err),
				cmp.Or(xds.ProviderHint(l.in.Mesh.Config, p.Spec.GetProvider().GetName()), "define the provider under MeshConfig.extensionProviders with envoyExtAuthzHttp or envoyExtAuthzGrpc"), "spec", "provider", "name"))
		}
		return append(out, authFilter{enforce: rules})
	}
	if l.tcp && provider.grpc == nil {
		l.reportNoTCPProvider(policies)
		return out
	}
	return append(out, authFilter{shadow: rules, shadowPrefix: customShadowPrefix}, authFilter{extAuthz: provider})
}

func (l *authz) reportNoTCPProvider(policies []*mesh.AuthorizationPolicy) {
	report := func(ports []uint32, what, help string) {
		for _, p := range policies {
			if len(ports) > 0 {
				l.findings.Add(p.Object.Finding(diag.Warning, "MESHC1546", fmt.Sprintf("the HTTP provider %q cannot judge TCP connections: the policy does nothing %s %v", p.Spec.GetProvider().GetName(), what, ports),
					help, "spec", "provider", "name"))
			}
		}
	}
	report(l.ports.TCP, "on TCP ports", "use an envoyExtAuthzGrpc provider, or protect the TCP ports with ALLOW and DENY")
	report(l.ports.sniffed, "on connections that do not begin like HTTP, which ports without a declared protocol take:", "declare the protocol by the name of the port, or use an envoyExtAuthzGrpc provider")
}

// extAuthz is a provider with all its references resolved; one of web and grpc is set.
type extAuthz struct {
	web      *meshconfig.MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationHttpProvider
	grpc     *meshconfig.MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationGrpcProvider
	hostname string
	cluster  string
	onError  *typev3.HttpStatus
}

// extAuthz resolves MeshConfig.extensionProviders[] by name.
func (l *authz) extAuthz(name string) (*extAuthz, error) {
	p := xds.ExtensionProvider(l.in.Mesh.Config, name)
	out := &extAuthz{web: p.GetEnvoyExtAuthzHttp(), grpc: p.GetEnvoyExtAuthzGrpc()}
	var service, status string
	var port uint32
	switch {
	case p == nil:
		return nil, fmt.Errorf("extension provider %q is not defined", name)
	case out.web != nil:
		service, port, status = out.web.GetService(), out.web.GetPort(), out.web.GetStatusOnError()
		if pre := out.web.GetPathPrefix(); pre != "" && !strings.HasPrefix(pre, "/") {
			return nil, fmt.Errorf("extension provider %q: pathPrefix %q must start with /", name, pre)
		}
		if anyHeader(out.web) {
			return nil, fmt.Errorf("extension provider %q: * alone names all headers; a list takes names, prefix* and *suffix", name)
		}
	case out.grpc != nil:
		service, port, status = out.grpc.GetService(), out.grpc.GetPort(), out.grpc.GetStatusOnError()
	default:
		return nil, fmt.Errorf("extension provider %q is no external authorizer", name)
	}
	var err error
	if out.hostname, out.cluster, err = xds.ProviderCluster(l.in.Mesh, service, port); err != nil {
		return nil, fmt.Errorf("extension provider %q: %w", name, err)
	}
	if status != "" {
		code, err := strconv.ParseInt(status, 10, 32)
		if _, known := typev3.StatusCode_name[int32(code)]; err != nil || !known || code == 0 {
			return nil, fmt.Errorf("extension provider %q: statusOnError %q is no HTTP status that Envoy can send", name, status)
		}
		out.onError = &typev3.HttpStatus{Code: typev3.StatusCode(code)}
	}
	return out, nil
}

// anyHeader tells whether a list of headers has a star alone: all headers of a caller, or of the answer.
func anyHeader(w *meshconfig.MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationHttpProvider) bool {
	return slices.ContainsFunc([][]string{w.GetIncludeRequestHeadersInCheck(), w.GetIncludeHeadersInCheck(),
		w.GetHeadersToUpstreamOnAllow(), w.GetHeadersToDownstreamOnDeny(), w.GetHeadersToDownstreamOnAllow()},
		func(list []string) bool { return slices.Contains(list, "*") })
}

// http lowers the provider to the HTTP filter.
func (e *extAuthz) http() *extauthzv3.ExtAuthz {
	f := &extauthzv3.ExtAuthz{
		TransportApiVersion:   corev3.ApiVersion_V3,
		StatusOnError:         e.onError,
		FilterEnabledMetadata: customMatched(httpRBACFilter),
	}
	if e.grpc != nil {
		f.FailureModeAllow, f.ClearRouteCache = e.grpc.GetFailOpen(), e.grpc.GetClearRouteCache()
		f.WithRequestBody = requestBody(e.grpc.GetIncludeRequestBodyInCheck())
		f.Services = &extauthzv3.ExtAuthz_GrpcService{GrpcService: e.service()}
		return f
	}
	w := e.web
	f.FailureModeAllow, f.ClearRouteCache = w.GetFailOpen(), w.GetClearRouteCache()
	f.WithRequestBody = requestBody(w.GetIncludeRequestBodyInCheck())
	include := w.GetIncludeRequestHeadersInCheck()
	if len(include) == 0 {
		include = w.GetIncludeHeadersInCheck()
	}
	f.AllowedHeaders = headerPatterns(include)
	s := &extauthzv3.HttpService{PathPrefix: w.GetPathPrefix(), ServerUri: &corev3.HttpUri{
		Uri: "http://" + e.hostname, Timeout: checkTimeout(w.GetTimeout()), HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: e.cluster}}}
	if extra := w.GetIncludeAdditionalHeadersInCheck(); len(extra) > 0 {
		s.AuthorizationRequest = &extauthzv3.AuthorizationRequest{}
		for _, k := range slices.Sorted(maps.Keys(extra)) {
			s.AuthorizationRequest.HeadersToAdd = append(s.AuthorizationRequest.HeadersToAdd, &corev3.HeaderValue{Key: k, Value: extra[k]})
		}
	}
	if len(w.GetHeadersToUpstreamOnAllow())+len(w.GetHeadersToDownstreamOnDeny())+len(w.GetHeadersToDownstreamOnAllow()) > 0 {
		s.AuthorizationResponse = &extauthzv3.AuthorizationResponse{
			AllowedUpstreamHeaders:        headerPatterns(w.GetHeadersToUpstreamOnAllow()),
			AllowedClientHeaders:          headerPatterns(w.GetHeadersToDownstreamOnDeny()),
			AllowedClientHeadersOnSuccess: headerPatterns(w.GetHeadersToDownstreamOnAllow()),
		}
	}
	f.Services = &extauthzv3.ExtAuthz_HttpService{HttpService: s}
	return f
}

// network lowers a gRPC provider to the network filter.
func (e *extAuthz) network() *extauthzfilterv3.ExtAuthz {
	return &extauthzfilterv3.ExtAuthz{
		StatPrefix: tcpRBACStatPrefix, TransportApiVersion: corev3.ApiVersion_V3, FailureModeAllow: e.grpc.GetFailOpen(),
		GrpcService: e.service(), FilterEnabledMetadata: customMatched(networkRBACFilter),
	}
}

// service is the gRPC service.
func (e *extAuthz) service() *corev3.GrpcService {
	return &corev3.GrpcService{Timeout: checkTimeout(e.grpc.GetTimeout()), TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: e.cluster, Authority: names.Authority(e.cluster)}}}
}

func checkTimeout(d *durationpb.Duration) *durationpb.Duration {
	if d.AsDuration() <= 0 {
		return durationpb.New(defaultCheckTimeout)
	}
	return d
}

// customMatched is true once the shadow rules of CUSTOM have matched.
func customMatched(filter string) *matcherv3.MetadataMatcher {
	return rbacMetadata(filter, []string{customShadowPrefix + "shadow_effective_policy_id"}, metadataString(PrefixMatcher(names.CustomPrefix)))
}

// headerPatterns matches header names without case: exact, prefix* or *suffix.
func headerPatterns(names []string) *matcherv3.ListStringMatcher {
	if len(names) == 0 {
		return nil
	}
	out := &matcherv3.ListStringMatcher{}
	for _, n := range names {
		m := rbacString(n)
		m.IgnoreCase = true
		out.Patterns = append(out.Patterns, m)
	}
	return out
}

func requestBody(b *meshconfig.MeshConfig_ExtensionProvider_EnvoyExternalAuthorizationRequestBody) *extauthzv3.BufferSettings {
	if b == nil {
		return nil
	}
	return &extauthzv3.BufferSettings{MaxRequestBytes: b.GetMaxRequestBytes(), AllowPartialMessage: b.GetAllowPartialMessage(), PackAsBytes: b.GetPackAsBytes()}
}
