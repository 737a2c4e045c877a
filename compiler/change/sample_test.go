package change

import (
	"regexp"
	"testing"
)

func TestSampleRegex(t *testing.T) {
	for _, expr := range []string{"/r/[0-9]+", "/a(/.*)?", "(?i)/x", "/(one|two)/[^/]+", ".*", "/v[1-3]{2}", "a*b", "[^a-z]+", `/\d\w`, "/x.y"} {
		got, why := sampleRegex(expr)
		if why != "" || !regexp.MustCompile("^(?:"+expr+")$").MatchString(got) {
			t.Errorf("%s gives %q, %v", expr, got, why)
		}
	}
	for _, expr := range []string{"(", `x\by`, "x^"} {
		if got, why := sampleRegex(expr); why == "" {
			t.Errorf("%s gives %q", expr, got)
		}
	}
}
