package attach

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/meshc/meshc/compiler/endpoint"
)

// TestFilingIsMatching compares both look-ups with a walk over everything.
func TestFilingIsMatching(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(least int) map[string]string {
		out := map[string]string{}
		for len(out) < least || r.IntN(3) > 0 {
			out[string(rune('a'+r.IntN(4)))] = strconv.Itoa(r.IntN(3))
		}
		return out
	}
	for range 50 {
		has, asks := ByLabels[int]{}, &BySelector[int]{}
		var labels, selectors []map[string]string
		for i := range 40 {
			labels, selectors = append(labels, random(0)), append(selectors, random(1))
			has.Add("n", labels[i], i)
			asks.Add("n", selectors[i], i)
		}
		for i := range 40 {
			var pods, services []int
			for j := range 40 {
				if endpoint.Subset(selectors[i], labels[j]) {
					pods = append(pods, j)
				}
				if endpoint.Subset(selectors[j], labels[i]) {
					services = append(services, j)
				}
			}
			if got := has.Matching("n", selectors[i]); !slices.Equal(got, pods) {
				t.Fatalf("%v: %v, want %v", selectors[i], got, pods)
			}
			if got := asks.Matching("n", labels[i]); !slices.Equal(got, services) {
				t.Fatalf("%v: %v, want %v", labels[i], got, services)
			}
			if len(has.Matching("other", selectors[i]))+len(asks.Matching("other", labels[i])) > 0 {
				t.Fatal("another namespace matches")
			}
		}
	}
}
