package compiler

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/envoy"
	"github.com/meshc/meshc/compiler/envoy/patch"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
)

// TestRefusal: what Envoy would refuse is said of the object behind the part of the resource; of the patches that changed it,
// unless it was so before them.
func TestRefusal(t *testing.T) {
	service := xds.Origin{Object: diag.Ref{Kind: "VirtualService", Name: "web"}, Field: "spec.http[1]", At: names.RoutePart(1)}
	filter := xds.Origin{Object: diag.Ref{Kind: "EnvoyFilter", Name: "f"}, Field: "spec.configPatches[0]"}
	r := &xds.Resource{Type: xds.VirtualHost, Name: "80/web", Message: &routev3.VirtualHost{}, Origins: []xds.Origin{{}, service}}
	patched := *r
	patched.Origins = append(patched.Origins, filter)
	p := validate.Problem{Path: "routes[1].route.timeout", Says: "is out of range"}
	for _, c := range []struct {
		name        string
		resource    *xds.Resource
		before      bool
		code, field string
	}{
		{"without patches", r, false, envoy.CodeRefused, "spec.http[1]"},
		{"patched", &patched, false, patch.CodePatchInvalid, "spec.configPatches[0]"},
		{"so before the patches", &patched, true, envoy.CodeRefused, "spec.http[1]"},
	} {
		if d := refusal(c.resource, p, c.before); d.Code != c.code || d.Field != c.field || d.Help == "" || d.Severity != diag.Error {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}
