package route

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networking "istio.io/api/networking/v1alpha3"
)

// maxDirectResponseBody is the largest body of a direct response in bytes; Envoy's own limit would be 4 KiB.
const maxDirectResponseBody = 1 << 20

// directResponse lowers HTTPDirectResponse to DirectResponseAction.
func directResponse(r *routev3.Route, in *networking.HTTPDirectResponse) {
	out := &routev3.DirectResponseAction{Status: in.GetStatus()}
	switch b := in.GetBody().GetSpecifier().(type) {
	case *networking.HTTPBody_String_:
		out.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: b.String_}}
	case *networking.HTTPBody_Bytes:
		out.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b.Bytes}}
	}
	r.Action = &routev3.Route_DirectResponse{DirectResponse: out}
}
