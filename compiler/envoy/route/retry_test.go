package route

import (
	"slices"
	"testing"
)

// TestRetryOnCodes: numbers are status codes, and then Envoy is told to look at codes.
func TestRetryOnCodes(t *testing.T) {
	for _, c := range []struct {
		in, on string
		codes  []uint32
	}{
		{"503", "retriable-status-codes", []uint32{503}},
		{"reset, 502 ,503", "reset,retriable-status-codes", []uint32{502, 503}},
		{"retriable-status-codes,504", "retriable-status-codes", []uint32{504}},
		{"5xx", "5xx", nil},
	} {
		if on, codes := retryOn(c.in); on != c.on || !slices.Equal(codes, c.codes) {
			t.Errorf("%s: got %s %v", c.in, on, codes)
		}
	}
}
