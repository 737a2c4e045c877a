package route

import (
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	previousprioritiesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

const (
	defaultRetryOn  = "connect-failure,refused-stream,unavailable,cancelled," + retriableCodes
	retriableCodes  = "retriable-status-codes"
	retryHostsTried = 5 // host_selection_retry_max_attempts: how often another host is sought for one retry
)

// retryPolicy lowers HTTPRetry (nil: Istio's default of two retries) to RetryPolicy, nil for no retries. A retry avoids
// hosts that were tried, except where consistent hashing chooses the host.
func retryPolicy(in *networking.HTTPRetry, hashed bool) *routev3.RetryPolicy {
	if in != nil && in.GetAttempts() <= 0 {
		return nil
	}
	out := &routev3.RetryPolicy{NumRetries: xds.UInt32(2), RetryOn: defaultRetryOn}
	if in != nil {
		retriesSaid(out, in)
		out.PerTryTimeout = in.GetPerTryTimeout()
		if in.GetRetryRemoteLocalities().GetValue() {
			out.RetryPriority = &routev3.RetryPolicy_RetryPriority{
				Name:       "envoy.retry_priorities.previous_priorities",
				ConfigType: &routev3.RetryPolicy_RetryPriority_TypedConfig{TypedConfig: xds.Any(&previousprioritiesv3.PreviousPrioritiesConfig{UpdateFrequency: 2})},
			}
		}
	}
	avoid := !hashed
	if v := in.GetRetryIgnorePreviousHosts(); v != nil {
		avoid = v.GetValue()
	}
	if avoid {
		out.RetryHostPredicate = []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: xds.Any(&previoushostsv3.PreviousHostsPredicate{})},
		}}
		out.HostSelectionRetryMaxAttempts = retryHostsTried
	}
	return out
}

// InboundRetries lowers MeshConfig.defaultInboundHttpRetryPolicy (nil: two retries of what was reset before the application
// got any of it), nil for no retries. There is one host, so nothing is said about which to try.
func InboundRetries(in *networking.HTTPRetry) *routev3.RetryPolicy {
	if in != nil && in.GetAttempts() <= 0 {
		return nil
	}
	out := &routev3.RetryPolicy{NumRetries: xds.UInt32(2), RetryOn: "reset-before-request"}
	if in != nil {
		retriesSaid(out, in)
	}
	return out
}

// retriesSaid sets what a policy says of how often, when and how soon.
func retriesSaid(out *routev3.RetryPolicy, in *networking.HTTPRetry) {
	out.NumRetries = xds.UInt32(uint32(in.GetAttempts()))
	if in.GetRetryOn() != "" {
		out.RetryOn, out.RetriableStatusCodes = retryOn(in.GetRetryOn())
	}
	if in.GetBackoff() != nil {
		out.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: in.GetBackoff()}
	}
}

// retryOn splits HTTPRetry.retryOn: numbers become status codes, and then Envoy must be told to look at codes.
func retryOn(in string) (string, []uint32) {
	var on []string
	var codes []uint32
	keyword := false
	for _, p := range strings.Split(in, ",") {
		p = strings.TrimSpace(p)
		if n, err := strconv.ParseUint(p, 10, 32); err == nil && n >= 100 && n < 600 {
			codes = append(codes, uint32(n))
		} else if p != "" {
			on = append(on, p)
			keyword = keyword || p == retriableCodes
		}
	}
	if len(codes) > 0 && !keyword {
		on = append(on, retriableCodes)
	}
	return strings.Join(on, ","), codes
}
