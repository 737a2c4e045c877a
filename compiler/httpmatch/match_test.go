package httpmatch_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/httpmatch"
)

// TestMatchesMeet: whether requests meet two matches, and whether one takes all of the other's.
func TestMatchesMeet(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		meet   httpmatch.Overlapping
		covers bool
	}{
		{`{}`, `{"uri":{"prefix":"/a"}}`, httpmatch.Sure, true},
		{`{"uri":{"prefix":"/a"}}`, `{}`, httpmatch.Sure, false},
		{`{"uri":{"prefix":"/a"}}`, `{"uri":{"prefix":"/ab"}}`, httpmatch.Sure, true},
		{`{"uri":{"prefix":"/ab"}}`, `{"uri":{"prefix":"/a"}}`, httpmatch.Sure, false},
		{`{"uri":{"prefix":"/a"}}`, `{"uri":{"prefix":"/b"}}`, httpmatch.Never, false},
		{`{"uri":{"exact":"/a"}}`, `{"uri":{"prefix":"/a"}}`, httpmatch.Sure, false},
		{`{"uri":{"exact":"/A"},"ignoreUriCase":true}`, `{"uri":{"exact":"/a"}}`, httpmatch.Sure, true},
		{`{"uri":{"exact":"/a"}}`, `{"uri":{"exact":"/A"},"ignoreUriCase":true}`, httpmatch.Sure, false},
		{`{"uri":{"regex":"/a.*"}}`, `{"uri":{"exact":"/ab"}}`, httpmatch.Sure, true},
		{`{"uri":{"regex":"/a.*"}}`, `{"uri":{"exact":"/b"}}`, httpmatch.Never, false},
		{`{"uri":{"regex":"/a.*"}}`, `{"uri":{"prefix":"/b"}}`, httpmatch.Perhaps, false},
		{`{"uri":{"regex":"/a.*"}}`, `{"uri":{"regex":"/a.*"}}`, httpmatch.Sure, true},
		{`{"headers":{"x":{"exact":"1"}}}`, `{"uri":{"prefix":"/a"}}`, httpmatch.Sure, false},
		{`{"headers":{"x":{}}}`, `{"headers":{"x":{"exact":"1"}}}`, httpmatch.Sure, true},
		{`{"headers":{"x":{"exact":"2"}}}`, `{"headers":{"x":{"exact":"1"}}}`, httpmatch.Never, false},
		{`{"withoutHeaders":{"x":{}}}`, `{"headers":{"x":{"exact":"1"}}}`, httpmatch.Never, false},
		{`{"withoutHeaders":{"x":{"exact":"1"}}}`, `{"withoutHeaders":{"x":{}}}`, httpmatch.Sure, true},
		{`{"port":80}`, `{"port":81}`, httpmatch.Never, false},
		{`{"gateways":["a"]}`, `{"gateways":["b"]}`, httpmatch.Never, false},
		{`{"sourceLabels":{"a":"b"}}`, `{"sourceLabels":{"a":"b","c":"d"}}`, httpmatch.Sure, true},
		{`{"method":{"exact":"GET"}}`, `{"queryParams":{"q":{"exact":"1"}}}`, httpmatch.Sure, false},
	} {
		var a, b networking.HTTPMatchRequest
		for text, m := range map[string]*networking.HTTPMatchRequest{c.a: &a, c.b: &b} {
			if err := protojson.Unmarshal([]byte(text), m); err != nil {
				t.Fatal(err)
			}
		}
		if got := httpmatch.Overlap(&a, &b); got != c.meet || httpmatch.Overlap(&b, &a) != got {
			t.Errorf("%s and %s meet: %d, want %d", c.a, c.b, got, c.meet)
		}
		if got := httpmatch.Covers(&a, &b); got != c.covers {
			t.Errorf("%s covers %s: %v", c.a, c.b, got)
		}
	}
}

// TestOrder: which match takes all requests of a later one, alone or together with others, or leaves some.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		before []string
		match  string
		want   int
	}{
		{[]string{`{"uri":{"prefix":"/b"}}`, `{"uri":{"prefix":"/a"}}`}, `{"uri":{"exact":"/a/x"}}`, 1},
		{[]string{`{"uri":{"regex":"/api/v[0-9]+/.*"}}`}, `{"uri":{"prefix":"/api/v1/users"}}`, 0},
		{[]string{`{"uri":{"regex":"/api/v[0-9]+/.*"}}`}, `{"uri":{"prefix":"/api/v1"}}`, httpmatch.Left},
		{[]string{`{"uri":{"regex":"/(a|b)/.*"}}`}, `{"uri":{"regex":"/a/[0-9]+"}}`, 0},
		{[]string{`{"uri":{"regex":"/a/[0-9]+"}}`}, `{"uri":{"regex":"/(a|b)/.*"}}`, httpmatch.Left},
		{[]string{`{"uri":{"prefix":"/A"},"ignoreUriCase":true}`}, `{"uri":{"regex":"/a/[0-9]+"}}`, 0},
		{[]string{`{"headers":{"x":{}}}`, `{"withoutHeaders":{"x":{}}}`}, `{"uri":{"prefix":"/a"}}`, httpmatch.Together},
		{[]string{`{"headers":{"x":{"exact":"1"}}}`, `{"withoutHeaders":{"x":{"exact":"1"}}}`}, `{"uri":{"prefix":"/a"}}`, httpmatch.Together},
		{[]string{`{"headers":{"x":{"exact":"1"}}}`, `{"withoutHeaders":{"x":{}}}`}, `{"uri":{"prefix":"/a"}}`, httpmatch.Left},
		{[]string{`{"method":{"exact":"GET"}}`, `{"method":{"regex":"P.*"}}`}, `{"method":{"regex":"GET|POST|PUT"},"uri":{"prefix":"/a"}}`, httpmatch.Together},
		{[]string{`{"method":{"exact":"GET"}}`}, `{"method":{"regex":"GET|HEAD"}}`, httpmatch.Left},
		{[]string{`{"headers":{"Cookie":{"regex":".*user=.*"}}}`}, `{"headers":{"cookie":{"regex":"^(.*; )?user=jason(;.*)?$"}}}`, 0},
		{[]string{`{"uri":{"prefix":"/a"},"queryParams":{"q":{}}}`}, `{"uri":{"prefix":"/a"},"queryParams":{"q":{"prefix":"1"}}}`, 0},
		{[]string{`{"uri":{"prefix":"/a"},"queryParams":{"q":{}}}`}, `{"uri":{"prefix":"/a"}}`, httpmatch.Left},
		{[]string{`{"port":80}`}, `{"uri":{"prefix":"/a"}}`, httpmatch.Left},
		{[]string{`{"sourceNamespace":"a"}`}, `{"uri":{"prefix":"/a"},"gateways":["g"]}`, httpmatch.Left},
		{[]string{`{"gateways":["g"]}`, `{"gateways":["mesh"]}`}, `{"gateways":["mesh","g"],"uri":{"prefix":"/a"}}`, httpmatch.Together},
		{[]string{`{"sourceLabels":{"a":"b"}}`}, `{"sourceLabels":{"a":"c"}}`, httpmatch.Left},
		{nil, `{"headers":{"x":{"exact":"1"}},"withoutHeaders":{"x":{"prefix":"1"}}}`, httpmatch.Nobody},
		{nil, `{"headers":{"x":{"prefix":"1"}},"withoutHeaders":{"x":{"exact":"1"}}}`, httpmatch.Left},
		{[]string{`{"uri":{"regex":"/(a"}}`}, `{"uri":{"prefix":"/a"}}`, httpmatch.Left},
	} {
		read := func(text string) *networking.HTTPMatchRequest {
			m := &networking.HTTPMatchRequest{}
			if err := protojson.Unmarshal([]byte(text), m); err != nil {
				t.Fatal(err)
			}
			return m
		}
		var before []*networking.HTTPMatchRequest
		for _, b := range c.before {
			before = append(before, read(b))
		}
		if got := httpmatch.NewOrder().Taken(read(c.match), before); got != c.want {
			t.Errorf("%s behind %v: %d, want %d", c.match, c.before, got, c.want)
		}
	}
}

// TestOrderHasABudget: matches that are hard to compare are left, and do not hold a compile up.
func TestOrderHasABudget(t *testing.T) {
	order := httpmatch.NewOrder()
	var before []*networking.HTTPMatchRequest
	for i := range 400 {
		m := &networking.HTTPMatchRequest{Uri: &networking.StringMatch{MatchType: &networking.StringMatch_Regex{Regex: fmt.Sprintf("/(.*a.{%d}b.*|.*c.{%d}d)", i%20+1, i%17+1)}}}
		if got := order.Taken(m, before); got < httpmatch.Nobody || got >= len(before) {
			t.Fatal(got)
		}
		before = append(before, m)
	}
}
