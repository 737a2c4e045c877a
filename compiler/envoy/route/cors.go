package route

import (
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/internal/diag"
)

// corsFilter is the name under which the connection manager holds the CORS filter.
const corsFilter = "envoy.filters.http.cors"

// cors lowers CorsPolicy. The filter is on for all requests of the route.
func (b *httpBlock) cors(in *networking.CorsPolicy) *corsv3.CorsPolicy {
	out := &corsv3.CorsPolicy{
		AllowMethods:                 strings.Join(in.GetAllowMethods(), ","),
		AllowHeaders:                 strings.Join(in.GetAllowHeaders(), ","),
		ExposeHeaders:                strings.Join(in.GetExposeHeaders(), ","),
		AllowCredentials:             in.GetAllowCredentials(),
		ForwardNotMatchingPreflights: xds.Bool(in.GetUnmatchedPreflights() != networking.CorsPolicy_IGNORE),
		FilterEnabled: &corev3.RuntimeFractionalPercent{
			DefaultValue: &typev3.FractionalPercent{Numerator: 100}},
	}
	if in.GetMaxAge() != nil {
		out.MaxAge = strconv.FormatInt(in.GetMaxAge().GetSeconds(), 10)
		if in.GetMaxAge().GetNanos() != 0 {
			b.report(diag.Warning, codeRounded, "corsPolicy.maxAge is cut to whole seconds: the header Access-Control-Max-Age has no fractions",
				"write whole seconds", "corsPolicy", "maxAge")
		}
	}
	old := in.GetAllowOrigin()
	for i, o := range in.GetAllowOrigins() {
		if o.GetMatchType() == nil || presence(o) {
			b.report(diag.Warning, codeNoEffect, "corsPolicy.allowOrigins entry has no value to match and allows no origin",
				"give it exact, prefix or regex", "corsPolicy", "allowOrigins", i)
			continue
		}
		out.AllowOriginStringMatch = append(out.AllowOriginStringMatch, stringMatch(o))
	}
	if len(in.GetAllowOrigins()) > 0 {
		if len(old) > 0 {
			b.report(diag.Warning, codeNoEffect, "corsPolicy.allowOrigin has no effect: allowOrigins is set", "move its entries to allowOrigins as exact", "corsPolicy", "allowOrigin")
		}
		return out
	}
	for _, o := range old {
		out.AllowOriginStringMatch = append(out.AllowOriginStringMatch,
			&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: o}})
	}
	return out
}
