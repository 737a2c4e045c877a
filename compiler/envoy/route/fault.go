package route

import (
	"math"
	"strconv"
	"strings"

	faultcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	grpccodes "google.golang.org/grpc/codes"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
)

// faultFilter is the name under which the connection manager holds the fault filter.
const faultFilter = "envoy.filters.http.fault"

// fault lowers HTTPFaultInjection. There is no implicit 100 %: without a percentage a fault never happens.
func (b *httpBlock) fault(in *networking.HTTPFaultInjection) *faultv3.HTTPFault {
	out := &faultv3.HTTPFault{}
	if d := in.GetDelay(); d != nil {
		out.Delay = b.delay(d)
	}
	if a := in.GetAbort(); a != nil {
		out.Abort = b.abort(a)
	}
	return out
}

func (b *httpBlock) delay(in *networking.HTTPFaultInjection_Delay) *faultcommonv3.FaultDelay {
	d, ok := in.GetHttpDelayType().(*networking.HTTPFaultInjection_Delay_FixedDelay)
	if !ok {
		if in.GetExponentialDelay() != nil {
			b.report(diag.Error, codeUnsupported, "fault.delay.exponentialDelay is not supported: Envoy delays by a fixed time only",
				"use fixedDelay", "fault", "delay", "exponentialDelay")
		} else {
			b.report(diag.Error, codeUnsupported, "fault.delay does not say how long to delay", "set fixedDelay", "fault", "delay")
		}
		return nil
	}
	out := &faultcommonv3.FaultDelay{FaultDelaySecifier: &faultcommonv3.FaultDelay_FixedDelay{FixedDelay: d.FixedDelay}}
	percent := in.GetPercent()
	switch {
	case in.GetPercentage() != nil:
		out.Percentage = millionths(in.GetPercentage())
		if percent != 0 {
			b.report(diag.Warning, codeNoEffect, "fault.delay.percent has no effect: percentage is set", "remove percent", "fault", "delay", "percent")
		}
	default:
		out.Percentage = &typev3.FractionalPercent{Numerator: uint32(max(percent, 0))}
		if percent == 0 {
			b.reportNever("delay")
		}
	}
	return out
}

func (b *httpBlock) abort(in *networking.HTTPFaultInjection_Abort) *faultv3.FaultAbort {
	out := &faultv3.FaultAbort{Percentage: millionths(in.GetPercentage())}
	switch e := in.GetErrorType().(type) {
	case *networking.HTTPFaultInjection_Abort_HttpStatus:
		out.ErrorType = &faultv3.FaultAbort_HttpStatus{HttpStatus: uint32(max(e.HttpStatus, 0))}
	case *networking.HTTPFaultInjection_Abort_GrpcStatus:
		code, ok := grpcStatus(e.GrpcStatus)
		if !ok {
			b.report(diag.Error, codeUnsupported, `fault.abort.grpcStatus "`+e.GrpcStatus+`" is no gRPC status code`,
				"use a name such as UNAVAILABLE, or its number from 0 to 16", "fault", "abort", "grpcStatus")
			return nil
		}
		out.ErrorType = &faultv3.FaultAbort_GrpcStatus{GrpcStatus: code}
	case *networking.HTTPFaultInjection_Abort_Http2Error:
		b.report(diag.Error, codeUnsupported, "fault.abort.http2Error is not supported: Envoy aborts with an HTTP or gRPC status only",
			"use httpStatus or grpcStatus", "fault", "abort", "http2Error")
		return nil
	default:
		b.report(diag.Error, codeUnsupported, "fault.abort does not say how to abort", "set httpStatus or grpcStatus", "fault", "abort")
		return nil
	}
	if in.GetPercentage() == nil {
		b.reportNever("abort")
	}
	return out
}

func (b *httpBlock) reportNever(kind string) {
	b.report(diag.Warning, codeNoEffect, "fault."+kind+" never happens: it has no percentage, and there is no default of 100 %",
		"set fault."+kind+".percentage.value", "fault", kind)
}

// grpcStatus reads a gRPC status by its name, as UNAVAILABLE, or number.
func grpcStatus(s string) (uint32, bool) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return uint32(n), n <= uint64(grpccodes.Unauthenticated)
	}
	var c grpccodes.Code
	if err := c.UnmarshalJSON([]byte(`"` + strings.ToUpper(s) + `"`)); err != nil {
		return 0, false
	}
	return uint32(c), true
}

// millionths lowers a percentage with fractions, nil for nil.
func millionths(p *networking.Percent) *typev3.FractionalPercent {
	if p == nil {
		return nil
	}
	n := math.Min(math.Max(p.GetValue(), 0), 100) * 10000
	return &typev3.FractionalPercent{Numerator: uint32(n), Denominator: typev3.FractionalPercent_MILLION}
}
