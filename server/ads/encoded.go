package ads

import "google.golang.org/protobuf/encoding/protowire"

// maxEncodedDepth bounds how deep messages are looked into; no message that Envoy takes nests as deep.
const maxEncodedDepth = 64

// EachText calls visit with each field of bytes in an encoded message, at any depth. It needs no description of the message: a
// field of bytes is a string, or may be a message in turn, which is looked into where visit says so. Bytes that are no
// message end their own walk only.
func EachText(b []byte, depth int, visit func([]byte) bool) {
	if depth > maxEncodedDepth {
		return
	}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if typ == protowire.BytesType {
			v, size := protowire.ConsumeBytes(b)
			if size < 0 {
				return
			}
			if visit(v) {
				EachText(v, depth+1, visit)
			}
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return
		}
		b = b[n:]
	}
}
