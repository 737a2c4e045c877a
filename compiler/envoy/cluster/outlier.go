package cluster

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// outlierDetection lowers TrafficPolicy.outlierDetection. Success rate ejection is always off, since Istio has no field
// for it. minHealthPercent becomes the panic threshold, so that its default, 0, turns panic routing off.
func (b *clusterBuild) outlierDetection() {
	o := b.policy.GetOutlierDetection()
	if o == nil {
		return
	}
	out := &clusterv3.OutlierDetection{EnforcingSuccessRate: xds.UInt32(0), Interval: o.Interval, BaseEjectionTime: o.BaseEjectionTime}
	if e := o.Consecutive_5XxErrors; e != nil {
		out.Consecutive_5Xx, out.EnforcingConsecutive_5Xx = enforced(e.Value)
	}
	if e := o.ConsecutiveGatewayErrors; e != nil {
		out.ConsecutiveGatewayFailure, out.EnforcingConsecutiveGatewayFailure = enforced(e.Value)
	}
	if e := o.FailurePercentageThreshold; e != nil {
		out.FailurePercentageThreshold, out.EnforcingFailurePercentage = enforced(e.Value)
	}
	if o.MaxEjectionPercent > 0 {
		out.MaxEjectionPercent = xds.UInt32(uint32(o.MaxEjectionPercent))
	}
	if o.SplitExternalLocalOriginErrors {
		out.SplitExternalLocalOriginErrors = true
		if n := o.ConsecutiveLocalOriginFailures.GetValue(); n > 0 {
			out.ConsecutiveLocalOriginFailure, out.EnforcingConsecutiveLocalOriginFailure = enforced(n)
		}
		out.EnforcingLocalOriginSuccessRate = xds.UInt32(0)
	}
	b.c.OutlierDetection = out
	b.c.CommonLbConfig.HealthyPanicThreshold = &typev3.Percent{Value: float64(b.panicThreshold())}
	b.http.errors = statusMatch(o.OutlierDetectionHttpErrorCodes)
}

// panicThreshold is minHealthPercent, but for a service that wants its traffic kept near: endpoints that are not healthy are
// told for the sake of its priorities, and panic routing would use them.
func (b *clusterBuild) panicThreshold() int32 {
	if len(b.in.Service.FailoverLabels()) > 0 {
		return 0
	}
	return max(0, b.policy.GetOutlierDetection().GetMinHealthPercent())
}

// enforced returns a threshold and its enforcement in percent; a threshold of 0 switches the detector off. Envoy wants
// thresholds of at least 1 in some detectors, so none is sent with enforcement 0.
func enforced(n uint32) (threshold, percent *wrapperspb.UInt32Value) {
	if n == 0 {
		return nil, xds.UInt32(0)
	}
	return xds.UInt32(n), xds.UInt32(100)
}
