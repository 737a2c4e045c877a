package route

import (
	"strconv"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
)

// redirect lowers HTTPRedirect to RedirectAction.
func (b *httpBlock) redirect(r *routev3.Route) {
	in := b.in.GetRedirect()
	out := &routev3.RedirectAction{HostRedirect: in.GetAuthority()}
	code, ok := redirectCode(in.GetRedirectCode())
	if !ok {
		b.report(diag.Error, codeUnsupported, "redirect.redirectCode "+strconv.Itoa(int(in.GetRedirectCode()))+" is not supported: Envoy redirects with 301, 302, 303, 307 or 308",
			"use one of these", "redirect", "redirectCode")
	}
	out.ResponseCode = code
	switch {
	case in.GetPrefixRewrite() != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: in.GetPrefixRewrite()}
		if in.GetUri() != "" {
			b.report(diag.Warning, codeNoEffect, "redirect.uri has no effect: prefixRewrite is set", "remove one of the two", "redirect", "uri")
		}
	case in.GetUri() != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: in.GetUri()}
	}
	scheme := "http"
	if b.TLS {
		scheme = "https"
	}
	if in.GetScheme() != "" {
		scheme = in.GetScheme()
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: scheme}
	}
	switch p := in.GetRedirectPort().(type) {
	case *networking.HTTPRedirect_Port:
		out.PortRedirect = p.Port
	case *networking.HTTPRedirect_DerivePort:
		// Envoy cannot take the port from the request, but a route configuration serves one port, so it is known here.
		if p.DerivePort == networking.HTTPRedirect_FROM_REQUEST_PORT {
			out.PortRedirect = b.Port
		}
	}
	if in.GetRedirectPort() != nil && (scheme == "http" && out.PortRedirect == 80 || scheme == "https" && out.PortRedirect == 443) {
		out.PortRedirect = 0 // the default port goes without saying
	}
	r.Action = &routev3.Route_Redirect{Redirect: out}
}

func redirectCode(code uint32) (routev3.RedirectAction_RedirectResponseCode, bool) {
	switch code {
	case 0, 301:
		return routev3.RedirectAction_MOVED_PERMANENTLY, true
	case 302:
		return routev3.RedirectAction_FOUND, true
	case 303:
		return routev3.RedirectAction_SEE_OTHER, true
	case 307:
		return routev3.RedirectAction_TEMPORARY_REDIRECT, true
	case 308:
		return routev3.RedirectAction_PERMANENT_REDIRECT, true
	}
	return 0, false
}
