package suggest

import (
	"strings"
	"testing"
)

func TestWord(t *testing.T) {
	services := []string{"details", "ratings", "reviews", "reviews.shop.svc.cluster.local"}
	for _, c := range []struct {
		name, want string
		from       []string
	}{
		{"reviewz", "reviews", services},
		{"reveiws", "reviews", services},
		{"reviews.shop.svc.cluster.locl", "reviews.shop.svc.cluster.local", services},
		{"mongodb", "", services},
		{"reviews", "", []string{"reviews"}}, // there it is: it was not the name
		{"ROUND_ROBBIN", "ROUND_ROBIN", []string{"LEAST_REQUEST", "ROUND_ROBIN"}},
		{"strict", "STRICT", []string{"DISABLE", "PERMISSIVE", "STRICT"}},
		{"IST101", "IST0101", []string{"IST0101", "IST0106", "IST0110"}},
		{"mirror_percent", "mirrorPercent", []string{"mirror", "mirrorPercent"}},
		{"db", "", []string{"api", "web"}},
		{"chekc", "check", []string{"check", "compile"}},
		{"", "", services},
	} {
		if got := Word(c.name, c.from); got != c.want {
			t.Errorf("%q: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHint(t *testing.T) {
	for _, c := range []struct {
		name, want string
		from       []string
	}{
		{"reviewz", "Did you mean reviews?", []string{"reviews", "reviews", "details"}},
		{"v4", "Did you mean v1, v2 or v3?", []string{"v3", "v1", "v2"}},
		{"v9", "There are the subsets v1, v2, v3 and v4.", []string{"v1", "v2", "v3", "v4"}},
		{"canary", "There is only stable.", []string{"stable", ""}},
		{"canary", "", nil},
		{"x", "", []string{"aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii"}},
	} {
		if got := Hint("subsets", c.name, c.from); got != c.want {
			t.Errorf("%q: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestParts(t *testing.T) {
	hosts := []string{"reviews.shop.svc.cluster.local", "details.shop.svc.cluster.local", "reviews.test.svc.cluster.local", "api.example.com", "web.example.com"}
	for _, c := range []struct{ name, want string }{
		{"reviewz.shop.svc.cluster.local", "Did you mean reviews.shop.svc.cluster.local?"},
		{"details.shp.svc.cluster.local", "Did you mean details.shop.svc.cluster.local?"},
		{"reviews.shop", "Did you mean reviews.shop.svc.cluster.local?"},
		{"reviews.shop.svc.cluster.locl", "Did you mean reviews.shop.svc.cluster.local?"},
		{"api.exampel.com", "Did you mean api.example.com?"},
		{"app.example.com", "Did you mean api.example.com?"},
		{"mongodb.shop.svc.cluster.local", ""},
		{"reviewz.shp.svc.cluster.local", ""},
	} {
		if got := Ask(Parts(c.name, ".", hosts)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := Ask(Parts("istio-system/publik", "/", []string{"istio-system/public", "shop/public"})); got != "Did you mean istio-system/public?" {
		t.Error(got)
	}
}

// TestLongNames: a text of megabytes is not compared with anything, nor is anything with one.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("x", 4<<20)
	taken := testing.Benchmark(func(b *testing.B) {
		for range b.N {
			if w := Word(long, []string{long[1:], "VirtualService"}); w != "" {
				b.Error("meant", len(w))
			}
			if w := Word("VirtualServic", []string{long, "VirtualService"}); w != "VirtualService" {
				b.Error("meant", w)
			}
		}
	}).AllocedBytesPerOp()
	if taken > 1<<16 {
		t.Errorf("it takes %d bytes", taken)
	}
}
