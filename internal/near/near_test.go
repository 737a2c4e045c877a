package near

import "testing"

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
