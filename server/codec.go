package server

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that ours extends
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// raw is a response in its encoded form, as pieces that many streams share.
type raw struct {
	parts mem.BufferSlice
	size  int
}

func (r *raw) add(b []byte) {
	r.parts = append(r.parts, mem.SliceBuffer(b))
	r.size += len(b)
}

// codec sends raw as it lies and treats all else as protobuf. It keeps the name proto, so that clients see no
// difference.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*raw); ok {
		return r.parts, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("cannot decode into %T", v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return proto.Unmarshal(buf.ReadOnlyData(), m)
}
