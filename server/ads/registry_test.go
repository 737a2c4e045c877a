package ads

import "testing"

// A version whose message was forgotten is sent with its message when it is needed again: neither a stream that still
// holds it, nor one that brings it from another registry, makes others get it empty.
func TestForgottenVersionComesBack(t *testing.T) {
	for _, k := range []Kind{Clusters, Secrets} {
		reg := NewRegistry()
		first := reg.Add(k, "c", "v", []byte("message"), nil)
		var all Bitset
		all.Set(first)
		reg.Forget(k, all)
		remembered := reg.Add(k, "c", "v", nil, nil)
		again := reg.Add(k, "c", "v", []byte("message"), nil)
		if got := string(reg.List(k)[again].value); got != "message" {
			t.Errorf("%v: needed again, it is %q", k, got)
		}
		if again == remembered || reg.Add(k, "c", "v", nil, nil) != again {
			t.Errorf("%v: numbers %d, %d", k, remembered, again)
		}
	}
}
