package validate

import (
	"fmt"
	"math"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	maglevv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	ringhashv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Limits of the load balancers that hash.
const (
	maxTable  = 5000011
	maxRing   = 8388608
	leastRing = 1024 // where nothing is said
)

// maglevRule and ringRule are about balancers that are configured as extensions (source/extensions/load_balancing_policies).
func maglevRule(v *visit, m proto.Message) {
	tableSize(v, "table_size", m.(*maglevv3.Maglev).GetTableSize())
}

func ringRule(v *visit, m proto.Message) {
	r := m.(*ringhashv3.RingHash)
	ringSizes(v, "maximum_ring_size", r.GetMinimumRingSize(), r.GetMaximumRingSize())
}

func tableSize(v *visit, field string, size *wrapperspb.UInt64Value) {
	if size != nil && (size.GetValue() > maxTable || !prime(size.GetValue())) {
		v.bad(field, "Use a prime number of at most 5000011, as 65537.", "the table size %d is not a prime number up to %d", size.GetValue(), maxTable)
	}
}

func ringSizes(v *visit, field string, minimum, maximum *wrapperspb.UInt64Value) {
	least, most := uint64(leastRing), uint64(maxRing)
	if minimum != nil {
		least = minimum.GetValue()
	}
	if maximum != nil {
		most = maximum.GetValue()
	}
	if least > most {
		v.bad(field, "Make the minimum smaller.", "the smallest ring, %d, is larger than the largest, %d", least, most)
	}
}

// prime tells whether a number is prime.
func prime(n uint64) bool {
	for d := uint64(2); d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}

// HashedWeights says what a load balancer that hashes has against the weights of endpoints: it adds up those of a locality in 32
// bits, which others do not (source/extensions/load_balancing_policies/common/thread_aware_lb_impl.cc).
func HashedWeights(a *endpointv3.ClusterLoadAssignment) []Problem {
	var out []Problem
	for i, l := range a.GetEndpoints() {
		sum := uint64(0)
		for _, e := range l.GetLbEndpoints() {
			sum += uint64(e.GetLoadBalancingWeight().GetValue())
		}
		if sum > math.MaxUint32 {
			out = append(out, Problem{Path: fmt.Sprintf("endpoints[%d]", i), Help: "Use smaller weights; only their ratio counts.",
				Says: fmt.Sprintf("the weights of the endpoints of a locality add up to %d, and %d is the most for a balancer that hashes", sum, uint32(math.MaxUint32))})
		}
	}
	return out
}

// subsetSelectorRule: source/extensions/load_balancing_policies/subset/subset_lb_config.cc.
func subsetSelectorRule(v *visit, m proto.Message) {
	s := m.(*clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector)
	if s.GetFallbackPolicy() != clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector_KEYS_SUBSET {
		return
	}
	own := func(k string) bool { return slices.Contains(s.GetKeys(), k) }
	for _, k := range s.GetFallbackKeysSubset() {
		if !own(k) {
			v.bad("fallback_keys_subset", "Name some of keys.", "%q is none of keys", k)
		}
	}
	if n := len(s.GetFallbackKeysSubset()); n == 0 || n == len(s.GetKeys()) {
		v.bad("fallback_keys_subset", "Name some of keys, and not all.", "the fallback has none or all of the keys")
	}
}
