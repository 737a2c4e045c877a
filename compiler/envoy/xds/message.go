package xds

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Any packs a message with deterministic bytes. Messages the compiler builds always marshal; a failure is a bug.
func Any(m proto.Message) *anypb.Any {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("envoy: marshal of " + string(m.ProtoReflect().Descriptor().FullName()) + ": " + err.Error())
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()), Value: b}
}

func UInt32(v uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(v) }

func Bool(v bool) *wrapperspb.BoolValue { return wrapperspb.Bool(v) }

func Seconds(s int64) *durationpb.Duration { return &durationpb.Duration{Seconds: s} }
