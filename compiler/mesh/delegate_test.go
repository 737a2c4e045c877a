package mesh

import (
	"strings"
	"testing"
)

func rootAndLeaf(t *testing.T, root, leaf string) (*VirtualService, []string) {
	t.Helper()
	m, findings := link(t, service("shop", "web"),
		istio("VirtualService", "shop", "root", "{hosts: [web], http: ["+root+"]}"),
		istio("VirtualService", "team", "leaf", "{http: ["+leaf+"]}"))
	return m.VirtualServices[0], codes(findings)
}

const (
	to  = ", delegate: {name: leaf, namespace: team}}"
	hop = ", route: [{destination: {host: web.shop.svc.cluster.local}}]}"
)

func TestDelegateMatches(t *testing.T) {
	for _, c := range []struct {
		name, root, leaf string // one match each
		want             string // uri of the merged match, "" when the pair is dropped
	}{
		{"prefix in prefix", "uri: {prefix: /a}", "uri: {prefix: /a/b}", "/a/b"},
		{"exact in prefix", "uri: {prefix: /a}", "uri: {exact: /a/b}", "/a/b"},
		{"same exact", "uri: {exact: /a}", "uri: {exact: /a}", "/a"},
		{"inherited", "uri: {prefix: /a}", "method: {exact: GET}", "/a"},
		{"prefix outside", "uri: {prefix: /a}", "uri: {prefix: /b}", ""},
		{"wider prefix", "uri: {prefix: /a/b}", "uri: {prefix: /a}", ""},
		{"prefix below exact", "uri: {exact: /a}", "uri: {prefix: /a}", ""},
		{"regex", "uri: {regex: /a.*}", "uri: {prefix: /a}", ""},
		{"other exact", "uri: {exact: /a}", "uri: {exact: /b}", ""},
		{"case", "uri: {prefix: /a}, ignoreUriCase: true", "uri: {prefix: /a}", ""},
		{"method", "uri: {prefix: /a}, method: {exact: GET}", "method: {exact: POST}", ""},
		{"port", "uri: {prefix: /a}, port: 80", "port: 81", ""},
		{"same port", "uri: {prefix: /a}, port: 80", "port: 80", "/a"},
		{"header value", "uri: {prefix: /a}, headers: {x: {exact: a}}", "headers: {x: {exact: b}}", ""},
		{"other header", "uri: {prefix: /a}, headers: {x: {exact: a}}", "headers: {y: {exact: b}}", "/a"},
		{"presence against a value", "uri: {prefix: /a}, headers: {x: {}}", "headers: {x: {exact: b}}", ""},
		{"query parameter", "uri: {prefix: /a}, queryParams: {x: {exact: a}}", "queryParams: {x: {exact: b}}", ""},
		{"source namespace, also when the leaf has none", "uri: {prefix: /a}, sourceNamespace: n1", "method: {exact: GET}", ""},
		{"source namespace of the leaf only", "uri: {prefix: /a}", "sourceNamespace: n1", "/a"},
		{"source labels", "uri: {prefix: /a}, sourceLabels: {app: a}", "sourceLabels: {app: b}", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, found := rootAndLeaf(t, "{match: [{"+c.root+"}]"+to, "{match: [{"+c.leaf+"}]"+hop)
			switch {
			case c.want == "":
				if len(v.Spec.Http) != 0 || strings.Join(found, " ") != "MESHC1233 VirtualService/leaf spec.http[0]" {
					t.Errorf("want a conflict, got %v and %v", v.Spec.Http, found)
				}
			case len(v.Spec.Http) != 1 || len(found) > 0:
				t.Errorf("got %v and %v", v.Spec.Http, found)
			default:
				u := v.Spec.Http[0].Match[0].Uri
				if got := u.GetPrefix() + u.GetExact(); got != c.want {
					t.Errorf("got %s", got)
				}
			}
		})
	}
}

// TestDelegateOrder: the leaf's blocks stand where the root delegates, and know where they were written.
func TestDelegateOrder(t *testing.T) {
	v, found := rootAndLeaf(t,
		"{name: first, match: [{uri: {exact: /x}}]"+hop+", {name: r, match: [{uri: {prefix: /a}}, {uri: {prefix: /b}}], timeout: 3s, retries: {attempts: 1}"+to+", {name: last"+hop,
		"{name: l, match: [{uri: {prefix: /a/1}}, {uri: {prefix: /b/1}}], timeout: 5s"+hop+", {match: [{headers: {x: {exact: 'yes'}}}]"+hop)
	var names []string
	for i, h := range v.Spec.Http {
		var uris []string
		for _, m := range h.Match {
			uris = append(uris, m.Uri.GetPrefix()+m.Uri.GetExact())
		}
		names = append(names, h.Name+"("+strings.Join(uris, ",")+")@"+v.HTTP[i].Object.Name)
	}
	if got := strings.Join(names, " "); got != "first(/x)@root r-l(/a/1,/b/1)@leaf r(/a,/b)@leaf last()@root" {
		t.Error(got)
	}
	if h := v.Spec.Http[1]; h.Timeout.Seconds != 5 || h.Retries.Attempts != 1 {
		t.Errorf("the leaf's own settings count before the root's: %v", h)
	}
	if v.HTTP[2].Index != 1 || v.Spec.Http[2].Timeout.Seconds != 3 {
		t.Errorf("second block of the leaf: %v %v", v.HTTP[2], v.Spec.Http[2])
	}
	if len(found) != 0 { // /a with /b/1 and /b with /a/1 cannot hold, but each match of the leaf goes with one
		t.Error(found)
	}
}

// TestDelegateLostMatch: pairs stand in the order of the leaf's matches, and a block goes as soon as one of its matches
// goes with none of the root's.
func TestDelegateLostMatch(t *testing.T) {
	const root = "{match: [{uri: {prefix: /}, headers: {x: {}}}, {uri: {prefix: /a}}]" + to
	v, found := rootAndLeaf(t, root, "{match: [{uri: {prefix: /a/1}}, {uri: {prefix: /b}}]"+hop+", {match: [{uri: {prefix: /c}, headers: {x: {}}}]"+hop)
	if len(v.Spec.Http) != 1 || len(v.Spec.Http[0].Match) != 3 {
		t.Fatalf("%v", v.Spec.Http)
	}
	var got []string
	for _, m := range v.Spec.Http[0].Match {
		got = append(got, m.Uri.GetPrefix()+strings.Repeat("+", len(m.Headers)))
	}
	if s := strings.Join(got, " "); s != "/a/1+ /a/1 /b+" {
		t.Error(s)
	}
	if len(found) != 1 || found[0] != "MESHC1233 VirtualService/leaf spec.http[1]" {
		t.Error(found)
	}
}

func TestDelegateFindings(t *testing.T) {
	_, findings := link(t, service("shop", "web"),
		istio("VirtualService", "shop", "root", "{hosts: [web], http: [{match: [{uri: {prefix: /a}}], delegate: {name: gone}}, {match: [{uri: {prefix: /b}}], delegate: {name: hidden, namespace: team}}]}"),
		istio("VirtualService", "team", "hidden", "{exportTo: ['.'], http: [{directResponse: {status: 200}}]}"),
		istio("VirtualService", "team", "unused", "{http: [{directResponse: {status: 200}}]}"))
	wantCodes(t, findings,
		"IST0101 VirtualService/root spec.http[0].delegate",
		"MESHC1231 VirtualService/root spec.http[1].delegate",
		"MESHC1230 VirtualService/unused metadata.name")
}
