package envoy

import (
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Names of the clusters and listeners that every sidecar has, as Istio calls them.
const (
	BlackHoleCluster          = "BlackHoleCluster"
	PassthroughCluster        = "PassthroughCluster"
	InboundPassthroughCluster = "InboundPassthroughCluster"
	VirtualOutbound           = "virtualOutbound"
	VirtualInbound            = "virtualInbound"

	// OutboundPort and InboundPort are where intercepted connections enter a sidecar.
	OutboundPort = 15001
	InboundPort  = 15006
)

// OutboundCluster names the cluster of a service port, subset "" for the whole service: outbound|80|v1|reviews.default.svc.cluster.local.
func OutboundCluster(port uint32, subset, host string) string {
	return "outbound|" + strconv.Itoa(int(port)) + "|" + subset + "|" + host
}

// SNICluster names a service port in SNI form, the default SNI of Istio mutual TLS: outbound_.80_.v1_.reviews.default.svc.cluster.local.
func SNICluster(port uint32, subset, host string) string {
	return "outbound_." + strconv.Itoa(int(port)) + "_." + subset + "_." + host
}

// InboundCluster names the cluster of a workload port: inbound|8080||.
func InboundCluster(targetPort uint32) string {
	return "inbound|" + strconv.Itoa(int(targetPort)) + "||"
}

// Any packs a message with deterministic bytes. Messages the compiler builds always marshal; a failure is a bug.
func Any(m proto.Message) *anypb.Any {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("envoy: marshal of " + string(m.ProtoReflect().Descriptor().FullName()) + ": " + err.Error())
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()), Value: b}
}

func u32(v uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(v) }

func boolean(v bool) *wrapperspb.BoolValue { return wrapperspb.Bool(v) }

func seconds(s int64) *durationpb.Duration { return &durationpb.Duration{Seconds: s} }
