package httpmatch_test

import (
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
