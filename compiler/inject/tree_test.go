package inject

import (
	"bytes"
	"math"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What is written without the encoder reads as what the encoder writes.
func TestScalars(t *testing.T) {
	for _, v := range []any{
		"web", "istio-proxy", "/etc/istio", "v1.2", "a.b/c-d_e", "y", "Y", "no", "On", "TRUE", "null", "Null", "NaN", "inf", "Inf", "e1", "E5", "x1e3", "true.", "", "~", "1", "1e3", "0x1f", "1:30", "a: b", "a #b", "- a", "2001-01-01",
		"=", "a\nb", " a", "a ", "é", true, false, int64(0), int64(-7), int64(math.MaxInt64), 1.5,
	} {
		fast, slow := scalar(v), &yaml.Node{}
		if err := slow.Encode(v); err != nil {
			t.Fatal(err)
		}
		a, err := yaml.Marshal(map[string]*yaml.Node{"k": fast})
		if err != nil {
			t.Fatal(err)
		}
		b, err := yaml.Marshal(map[string]*yaml.Node{"k": slow})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%#v is written %q, and the encoder writes %q", v, a, b)
		}
	}
}
