package ads

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshc/meshc/compiler/bundle"
)

// Response is one in its encoded form, as pieces that many streams share.
type Response struct {
	Kind      Kind
	Nonce     string
	Resources int
	Size      int // bytes
	Parts     mem.BufferSlice
}

func (r *Response) add(b []byte) {
	r.Parts = append(r.Parts, mem.SliceBuffer(b))
	r.Size += len(b)
}

// Field numbers of the discovery messages.
const (
	anyTypeURL, anyValue = 1, 2

	resourceVersion, resourceAny, resourceName = 1, 2, 3

	deltaSystemVersion, deltaResources, deltaTypeURL, deltaNonce, deltaRemoved = 1, 2, 4, 5, 6

	virtualHostName = 1

	sotwVersion, sotwResources, sotwTypeURL, sotwNonce = 1, 2, 4, 5
)

// head encodes all of a discovery Resource, as field 2 of a DeltaDiscoveryResponse, that comes before the message.
func head(url, name, version string, size int) []byte {
	anyHead := appendText(nil, anyTypeURL, url)
	anyHead = protowire.AppendVarint(protowire.AppendTag(anyHead, anyValue, protowire.BytesType), uint64(size))
	inner := appendText(appendText(nil, resourceVersion, version), resourceName, name)
	inner = protowire.AppendVarint(protowire.AppendTag(inner, resourceAny, protowire.BytesType), uint64(len(anyHead)+size))
	out := protowire.AppendTag(make([]byte, 0, len(anyHead)+len(inner)+8), deltaResources, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(len(inner)+len(anyHead)+size))
	return append(append(out, inner...), anyHead...)
}

// sotwHead encodes what comes before the message in field 2 of a DiscoveryResponse.
func sotwHead(url string, size int) []byte {
	anyHead := appendText(nil, anyTypeURL, url)
	anyHead = protowire.AppendVarint(protowire.AppendTag(anyHead, anyValue, protowire.BytesType), uint64(size))
	out := protowire.AppendTag(make([]byte, 0, len(anyHead)+8), sotwResources, protowire.BytesType)
	return append(protowire.AppendVarint(out, uint64(len(anyHead)+size)), anyHead...)
}

func appendText(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

// Version shortens a digest to what a proxy has to remember: 128 bits.
func Version(d bundle.Digest) string { return hex.EncodeToString(d[:16]) }

// Fold joins the digests of endpoints and their cluster: a cluster that changes waits for its endpoints to come again,
// so they count as changed with it.
func Fold(endpoints, cluster bundle.Digest) string {
	h := sha256.New()
	h.Write(endpoints[:])
	h.Write(cluster[:])
	var d bundle.Digest
	h.Sum(d[:0])
	return Version(d)
}
