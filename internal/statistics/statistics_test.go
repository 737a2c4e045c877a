package statistics_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/statistics"
)

// What annotations say is what the flags say that are made of it.
func TestArgs(t *testing.T) {
	var s statistics.Settings
	of := map[string]string{"all-statistics": "true", "stats-inclusion-prefix": "a, b,", "stats-inclusion-suffix": "c", "stats-inclusion-regexp": "d.*,e|f", "stats-histogram-buckets": `{"x":[1,2.5],"a":[3]}`,
		"stats-flush-interval": "10s", "stats-eviction-interval": "1m", "stats-compression": "zstd"}
	for _, o := range statistics.Options {
		if err := o.Read(&s, of[o.Flag]); err != nil {
			t.Fatalf("%s: %v", o.Flag, err)
		}
	}
	var again statistics.Settings
	for _, a := range s.Args() {
		flag, text, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		for _, o := range statistics.Options {
			if o.Flag == flag {
				if err := o.Set(&again, text); err != nil {
					t.Fatalf("%s: %v", a, err)
				}
			}
		}
	}
	if !reflect.DeepEqual(s, again) || len(s.Args()) != 10 || s.Check() != nil {
		t.Errorf("%v gives %+v, not %+v", s.Args(), again, s)
	}
	if got := (statistics.Settings{}).Args(); len(got) > 0 {
		t.Errorf("the default is said: %v", got)
	}
}

func TestBadValues(t *testing.T) {
	for _, c := range [][2]string{
		{"stats-inclusion-regexp", "("}, {"stats-inclusion-regexp", "a(?=b)"}, {"stats-histogram-buckets", "[1]"}, {"stats-histogram-buckets", `{"":[1]}`}, {"stats-histogram-buckets", `{"a":[]}`},
		{"stats-histogram-buckets", `{"a":[2,1]}`}, {"stats-histogram-buckets", `{"a":[1,1]}`}, {"stats-histogram-buckets", `{"a":[0]}`}, {"stats-flush-interval", "5"}, {"stats-flush-interval", "5m"}, {"stats-flush-interval", "-1s"},
		{"stats-eviction-interval", "0s"}, {"stats-compression", "deflate"}, {"stats-compression", ""}, {"all-statistics", "some"},
	} {
		for _, o := range statistics.Options {
			var s statistics.Settings
			if o.Flag == c[0] && o.Read(&s, c[1]) == nil {
				t.Errorf("%s=%q is taken", c[0], c[1])
			}
		}
	}
	if err := (statistics.Settings{Eviction: 7e9}).Check(); err == nil {
		t.Error("an eviction interval that is no multiple of the flush interval is taken")
	}
}
