package change

import (
	"maps"
	"slices"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/change/topics"
)

// tokenSettings are what a filter does besides refusing; t is the token as it leaves it.
func tokenSettings(t *condition.Token, cfg *jwtv3.JwtAuthentication) (out []setting) {
	for _, name := range slices.Sorted(maps.Keys(cfg.GetProviders())) {
		p := cfg.GetProviders()[name]
		out = append(out, setting{topic: topics.Grant, name: "takes tokens of the issuer", value: p.GetIssuer()})
		if t == nil || t.Payload == "" || p.GetIssuer() != t.Issuer {
			continue
		}
		if p.GetForward() {
			out = append(out, setting{topic: Routing, name: "forwards the token of", value: p.GetIssuer()})
		}
		if h := p.GetForwardPayloadHeader(); h != "" {
			out = append(out, setting{topic: Routing, name: "puts the claims of " + p.GetIssuer() + " into", value: h})
		}
		for _, h := range p.GetClaimToHeaders() {
			out = append(out, setting{topic: Routing, name: "puts claim " + h.GetClaimName() + " of " + p.GetIssuer() + " into", value: h.GetHeaderName()})
		}
	}
	return out
}
