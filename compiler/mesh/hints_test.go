package mesh

import (
	"strings"
	"testing"
)

// TestNearNames: what is named and does not exist is answered with what was meant, if that can be guessed.
func TestNearNames(t *testing.T) {
	base := service("shop", "reviews") + "---\n" + service("test", "ratings") + "---\n" + istio("DestinationRule", "shop", "r", "{host: reviews, subsets: [{name: stable, labels: {a: b}}, {name: canary, labels: {a: c}}]}") +
		"---\n" + istio("Gateway", "ingress", "public", "{selector: {istio: ingressgateway}, servers: [{hosts: ['*'], port: {number: 80, name: http, protocol: HTTP}}]}") +
		"---\n" + istio("VirtualService", "shop", "leaf", "{http: [{route: [{destination: {host: reviews}}]}]}") +
		"---\n" + istio("VirtualService", "shop", "root", "{hosts: [root.example.com], http: [{delegate: {name: leaf}}]}")
	to := func(destination string) string {
		return istio("VirtualService", "shop", "x", "{hosts: [x.example.com], http: [{route: [{destination: "+destination+"}]}]}")
	}
	for _, c := range []struct{ object, code, help string }{
		{to("{host: reviewz}"), "IST0101", "Did you mean reviews?"},
		{to("{host: reviews.shop}"), "IST0101", "Did you mean reviews?"},
		{to("{host: ratings}"), "IST0101", "Did you mean ratings.test.svc.cluster.local? A short name means a service of namespace shop."},
		{to("{host: ratings.tset.svc.cluster.local}"), "IST0101", "Did you mean ratings.test.svc.cluster.local?"},
		{to("{host: mongodb}"), "IST0101", "create it, or correct the host (a short name means a service of namespace shop); what only a cluster has counts by --observed FILE, or --kubernetes of serve --compile"},
		{to("{host: reviews, subset: stabel}"), "IST0101", "Did you mean stable?"},
		{to("{host: reviews, subset: v9}"), "IST0101", "There are the subsets canary and stable."},
		{to("{host: reviews, port: {number: 81}}"), "MESHC1210", "The ports of the Service are 80 (http)."},
		{istio("DestinationRule", "shop", "x", "{host: reviws}"), "IST0174", "Did you mean reviews?"},
		{istio("VirtualService", "shop", "x", "{hosts: [x.example.com], gateways: [ingress/publik], http: [{route: [{destination: {host: reviews}}]}]}"), "IST0101", "Did you mean ingress/public?"},
		{istio("VirtualService", "shop", "x", "{hosts: [x.example.com], gateways: [public], http: [{route: [{destination: {host: reviews}}]}]}"), "IST0101", "Did you mean ingress/public?"},
		{istio("VirtualService", "shop", "x", "{hosts: [y.example.com], http: [{delegate: {name: laef}}]}"), "IST0101", "Did you mean shop/leaf?"},
	} {
		_, findings := link(t, base, c.object)
		found := false
		for _, d := range findings {
			if d.Object.Name == "x" && d.Code == c.code {
				found = true
				if d.Help != c.help {
					t.Errorf("%s%s: help %q, want %q", c.object, d.Message, d.Help, c.help)
				}
			}
		}
		if !found {
			t.Errorf("%sno %s in %v", c.object, c.code, codes(findings))
		}
	}
}

// TestWhatIsLost: a destination that does not exist loses requests, connections or copies, by what leads to it.
func TestWhatIsLost(t *testing.T) {
	for spec, want := range map[string]string{
		"http: [{route: [{destination: {host: none}}]}]":                                                         "requests would get 503",
		"http: [{route: [{destination: {host: reviews}}], mirror: {host: none}}]":                                "the copies would go nowhere",
		"http: [{route: [{destination: {host: reviews}}], mirrors: [{destination: {host: none}}]}]":              "the copies would go nowhere",
		"tcp: [{route: [{destination: {host: none}}]}]":                                                          "connections would be closed",
		"tls: [{match: [{port: 443, sniHosts: [x.example.com]}], route: [{destination: {host: none}}]}]":         "connections would be closed",
		"http: [{route: [{destination: {host: reviews, subset: v1}}]}]":                                          "requests would get 503",
		"http: [{route: [{destination: {host: reviews}}], mirror: {host: reviews, port: {number: 81}}}]":         "the copies would go nowhere",
		"tcp: [{match: [{port: 80}], route: [{destination: {host: reviews, port: {number: 81}}, weight: 100}]}]": "connections would be closed",
	} {
		_, findings := link(t, service("shop", "reviews"), istio("VirtualService", "shop", "x", "{hosts: [x.example.com], "+spec+"}"))
		found := false
		for _, d := range findings {
			found = found || strings.HasSuffix(d.Message, ": "+want)
		}
		if !found {
			t.Errorf("%s: want %q in %v", spec, want, findings)
		}
	}
}
