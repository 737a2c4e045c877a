package schema

import (
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// TestHostSet: the set says what comparing each host with each other says.
func TestHostSet(t *testing.T) {
	covers := func(a, b string) bool {
		a, b = strings.ToLower(a), strings.ToLower(b)
		return a == b || strings.HasPrefix(a, "*") && strings.HasSuffix(strings.TrimPrefix(b, "*"), a[1:])
	}
	random := rand.New(rand.NewSource(1))
	names := []string{"*", "*.com", "*.a.com", "a.com", "A.com", "b.a.com", "c.b.a.com", "*.b.a.com", "x.com", "com", ".com", "*com", "", "*.A.com"}
	for range 2000 {
		var hosts []string
		for range random.Intn(6) {
			hosts = append(hosts, names[random.Intn(len(names))])
		}
		got := overlapping(hosts)
		for i, h := range hosts {
			meets := func(b string) bool { return covers(b, h) || covers(h, b) }
			if j, ok := got[i]; ok != slices.ContainsFunc(hosts[:i], meets) || ok && (j >= i || !meets(hosts[j])) {
				t.Fatalf("%q: %v", hosts, got)
			}
		}
		one, among := names[random.Intn(len(names))], false
		for _, h := range hosts {
			among = among || covers(h, one)
		}
		if got := newHostSet(hosts).covers(one); got != among {
			t.Fatalf("%q among %q: %v", one, hosts, got)
		}
	}
}
