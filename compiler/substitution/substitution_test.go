package substitution_test

import (
	"testing"

	"github.com/meshc/meshc/compiler/substitution"
	"github.com/meshc/meshc/internal/watchdog"
)

// TestCheck tries each form; internal/envoytest compares all operators with a stock Envoy.
func TestCheck(t *testing.T) {
	for format, want := range map[string]string{
		"":                              "",
		"100%% %PROTOCOL% %REQ(a?b):5%": "",
		"%START_TIME(%Y-%m)%":           "",
		"100%":                          "a % that ends nowhere",
		"%NOSUCH%":                      "the command operator %NOSUCH%, which Envoy does not have",
		"%REQ()%":                       "the command operator %REQ% without an argument",
		"%PROTOCOL(a)%":                 "the command operator %PROTOCOL(a)%, which takes no argument",
		"%START_TIME:5%":                "the command operator %START_TIME:5%, which takes no length",
		"%REQ(a?b?c)%":                  "the command operator %REQ(a?b?c)%: it takes one other header behind a question mark",
		"%FILTER_STATE(a:OTHER)%":       `the command operator %FILTER_STATE(a:OTHER)%: "OTHER" is none of PLAIN, TYPED, FIELD`,
		"%CEL(a +)%":                    "the command operator %CEL(a +)%: column 4: the end where a name has to be",
		"%REQ_WITHOUT_QUERY(a)%":        "the command operator %REQ_WITHOUT_QUERY%, which Envoy does not have",
	} {
		got := ""
		if p := substitution.Check(format); p != nil {
			if got = p.Why; p.Help == "" {
				t.Errorf("%s: no help", format)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
	if p := substitution.Check("%REQ_WITHOUT_QUERY(a)%", substitution.WithoutQuery); p != nil {
		t.Error(p.Why)
	}
}

// FuzzCheck wants a verdict with a reason and a help on any text.
func FuzzCheck(f *testing.F) {
	f.Add("%START_TIME(%s.%3f)% %REQ(X?:Y):10% %DYNAMIC_METADATA(a:b:c)% %%")
	f.Add("%CEL(a[0] ? 'b' : c)% %UPSTREAM_PEER_CERT_V_START(%b)% %FILTER_STATE(k:FIELD:x)%")
	f.Fuzz(func(t *testing.T, format string) {
		defer watchdog.Watch(t)()
		if p := substitution.Check(format, substitution.WithoutQuery); p != nil && (p.Why == "" || p.Help == "") {
			t.Errorf("%q: %+v", format, p)
		}
	})
}
