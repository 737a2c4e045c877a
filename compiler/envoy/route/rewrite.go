package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/internal/diag"
)

// rewrite lowers HTTPRewrite. authority is the host that header operations of the block set; rewrite.authority wins.
func (b *httpBlock) rewrite(a *routev3.RouteAction, authority string) {
	in := b.in.GetRewrite()
	if re := in.GetUriRegexRewrite(); re != nil {
		a.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{Pattern: regex(re.GetMatch()), Substitution: re.GetRewrite()}
		if in.GetUri() != "" {
			b.report(diag.Warning, codeNoEffect, "rewrite.uri has no effect: uriRegexRewrite is set", "remove one of the two", "rewrite", "uri")
		}
	} else {
		a.PrefixRewrite = in.GetUri()
	}
	if in.GetAuthority() != "" {
		if authority != "" && authority != in.GetAuthority() {
			b.report(diag.Warning, codeNoEffect, "the host set in headers.request has no effect: rewrite.authority is set", "remove one of the two", "headers", "request")
		}
		authority = in.GetAuthority()
	}
	if authority != "" {
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: authority}
	}
}
