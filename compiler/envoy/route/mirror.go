package route

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/internal/diag"
)

// mirrors lowers HTTPRoute.mirror and mirrors. Without a percentage every request is mirrored; 0 mirrors none.
func (b *httpBlock) mirrors() []*routev3.RouteAction_RequestMirrorPolicy {
	var out []*routev3.RouteAction_RequestMirrorPolicy
	add := func(d *networking.Destination, p *typev3.FractionalPercent, field ...any) {
		if d == nil || p.GetNumerator() == 0 {
			return
		}
		out = append(out, &routev3.RouteAction_RequestMirrorPolicy{
			Cluster:         b.forwardTo(d, field...),
			RuntimeFraction: &corev3.RuntimeFractionalPercent{DefaultValue: p},
			TraceSampled:    xds.Bool(false),
			// The copy carries the same host: services that route by host must know it.
			DisableShadowHostSuffixAppend: true,
		})
	}
	add(b.in.GetMirror(), b.mirrorPercent(), "mirror")
	for i, m := range b.in.GetMirrors() {
		p := millionths(m.GetPercentage())
		if m.GetPercentage() == nil {
			p = all()
		}
		add(m.GetDestination(), p, "mirrors", i, "destination")
	}
	return out
}

func all() *typev3.FractionalPercent { return &typev3.FractionalPercent{Numerator: 100} }

// mirrorPercent reads the percentage of mirror from its two fields, the older one of which loses.
func (b *httpBlock) mirrorPercent() *typev3.FractionalPercent {
	old := b.in.GetMirrorPercent()
	newer := b.in.GetMirrorPercentage()
	if b.in.GetMirror() == nil {
		if old != nil {
			b.report(diag.Warning, codeNoEffect, "mirrorPercent has no effect: there is no mirror", "remove it", "mirrorPercent")
		}
		if newer != nil {
			b.report(diag.Warning, codeNoEffect, "mirrorPercentage has no effect: there is no mirror", "give mirrors their own percentage", "mirrorPercentage")
		}
	}
	switch {
	case newer != nil:
		if old != nil {
			b.report(diag.Warning, codeNoEffect, "mirrorPercent has no effect: mirrorPercentage is set", "remove mirrorPercent", "mirrorPercent")
		}
		return millionths(newer)
	case old != nil:
		return &typev3.FractionalPercent{Numerator: old.GetValue()}
	}
	return all()
}
