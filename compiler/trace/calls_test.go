package trace

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/trace/match"
	"github.com/meshc/meshc/internal/watchdog"
)

// A request that is written as a call is read as the same request.
func TestCallRoundTrip(t *testing.T) {
	claims := Request{URL: "http://a/", From: "shop/web", Method: "GET"}
	if err := claims.AddClaims(`{"iss":"it's","sub":"a \"b\""}`); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Request{
		{URL: "http://a/", From: "shop/web", Method: "GET"},
		{URL: "tcp://a:1", From: "gateway ingress/public"},
		{URL: "http://a/?q=1&r='\"", From: "outside", Method: "POST", Headers: map[string][]string{"x": {"a b", `'"$`}, "y": {""}, "host": {"h=1"}}},
		{URL: "https://a/", From: "outside", Method: "GET", Identity: "spiffe://a/b", ALPN: []string{"h2", "x"}, Source: netip.MustParseAddr("::1"), Address: netip.MustParseAddr("10.0.0.1")},
		claims,
	} {
		got, err := ParseCall(r.Call())
		if err != nil {
			t.Errorf("%s: %v", r.Call(), err)
			continue
		}
		if len(r.Headers) == 0 {
			r.Headers = map[string][]string{}
		}
		if len(r.Tokens) == 0 {
			r.Tokens = map[string]match.Token{}
		}
		if got.Method == "" && r.Method == "GET" {
			got.Method = "GET"
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("%s\n got %+v\nwant %+v", r.Call(), got, r)
		}
	}
}

func FuzzCallRoundTrip(f *testing.F) {
	f.Add("a b", "it's", "x")
	f.Fuzz(func(t *testing.T, value, path, from string) {
		defer watchdog.Watch(t)()
		if strings.TrimSpace(value) != value || strings.TrimSpace(from) != from || from == "" || strings.ContainsAny(value+path+from, "\n\r") {
			return
		}
		r := Request{URL: "http://h/" + path, From: from, Method: "GET", Headers: map[string][]string{"x": {value}}}
		got, err := ParseCall(r.Call())
		if err != nil || got.URL != r.URL || got.From != r.From || !reflect.DeepEqual(got.Headers, r.Headers) {
			t.Errorf("%s: %+v, %v", r.Call(), got, err)
		}
	})
}
