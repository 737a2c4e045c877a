package mesh_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
)

// TestMatchesMeet: whether requests meet two matches, and whether one takes all of the other's.
func TestMatchesMeet(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		meet   mesh.Meeting
		covers bool
	}{
		{`{}`, `{"uri":{"prefix":"/a"}}`, mesh.Sure, true},
		{`{"uri":{"prefix":"/a"}}`, `{}`, mesh.Sure, false},
		{`{"uri":{"prefix":"/a"}}`, `{"uri":{"prefix":"/ab"}}`, mesh.Sure, true},
		{`{"uri":{"prefix":"/ab"}}`, `{"uri":{"prefix":"/a"}}`, mesh.Sure, false},
		{`{"uri":{"prefix":"/a"}}`, `{"uri":{"prefix":"/b"}}`, mesh.Never, false},
		{`{"uri":{"exact":"/a"}}`, `{"uri":{"prefix":"/a"}}`, mesh.Sure, false},
		{`{"uri":{"exact":"/A"},"ignoreUriCase":true}`, `{"uri":{"exact":"/a"}}`, mesh.Sure, true},
		{`{"uri":{"exact":"/a"}}`, `{"uri":{"exact":"/A"},"ignoreUriCase":true}`, mesh.Sure, false},
		{`{"uri":{"regex":"/a.*"}}`, `{"uri":{"exact":"/ab"}}`, mesh.Sure, true},
		{`{"uri":{"regex":"/a.*"}}`, `{"uri":{"exact":"/b"}}`, mesh.Never, false},
		{`{"uri":{"regex":"/a.*"}}`, `{"uri":{"prefix":"/b"}}`, mesh.Perhaps, false},
		{`{"uri":{"regex":"/a.*"}}`, `{"uri":{"regex":"/a.*"}}`, mesh.Sure, true},
		{`{"headers":{"x":{"exact":"1"}}}`, `{"uri":{"prefix":"/a"}}`, mesh.Sure, false},
		{`{"headers":{"x":{}}}`, `{"headers":{"x":{"exact":"1"}}}`, mesh.Sure, true},
		{`{"headers":{"x":{"exact":"2"}}}`, `{"headers":{"x":{"exact":"1"}}}`, mesh.Never, false},
		{`{"withoutHeaders":{"x":{}}}`, `{"headers":{"x":{"exact":"1"}}}`, mesh.Never, false},
		{`{"withoutHeaders":{"x":{"exact":"1"}}}`, `{"withoutHeaders":{"x":{}}}`, mesh.Sure, true},
		{`{"port":80}`, `{"port":81}`, mesh.Never, false},
		{`{"gateways":["a"]}`, `{"gateways":["b"]}`, mesh.Never, false},
		{`{"sourceLabels":{"a":"b"}}`, `{"sourceLabels":{"a":"b","c":"d"}}`, mesh.Sure, true},
		{`{"method":{"exact":"GET"}}`, `{"queryParams":{"q":{"exact":"1"}}}`, mesh.Sure, false},
	} {
		var a, b networking.HTTPMatchRequest
		for text, m := range map[string]*networking.HTTPMatchRequest{c.a: &a, c.b: &b} {
			if err := protojson.Unmarshal([]byte(text), m); err != nil {
				t.Fatal(err)
			}
		}
		if got := mesh.Meet(&a, &b); got != c.meet || mesh.Meet(&b, &a) != got {
			t.Errorf("%s and %s meet: %d, want %d", c.a, c.b, got, c.meet)
		}
		if got := mesh.Covers(&a, &b); got != c.covers {
			t.Errorf("%s covers %s: %v", c.a, c.b, got)
		}
	}
}
