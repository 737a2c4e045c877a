package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/diag"
)

// TestCategoriesHaveCodes: what a difference is about decides its code, and whether it is an error.
func TestCategoriesHaveCodes(t *testing.T) {
	type code struct {
		id       string
		severity diag.Severity
	}
	for category, want := range map[string]code{
		AccessWidened: {"MESHC1720", diag.Error}, AccessNarrowed: {"MESHC1721", diag.Warning}, Encryption: {"MESHC1722", diag.Error},
		Egress: {"MESHC1723", diag.Warning}, Availability: {"MESHC1724", diag.Warning}, Routing: {"MESHC1725", diag.Info},
		Tuning: {"MESHC1726", diag.Info}, Observability: {"MESHC1727", diag.Info},
	} {
		if id, severity := codeOf(category); id != want.id || severity != want.severity {
			t.Errorf("%s: %s %s", category, id, severity)
		}
	}
}

// TestFindingsBesideDifferences: what could not be decided, and a waiver of nothing, are said where they stand.
func TestFindingsBesideDifferences(t *testing.T) {
	r := &Report{
		Undecided: []Undecided{{Resource: "x", Why: "too many states", Causes: []Cause{{File: "a.yaml", Line: 3, Object: "VirtualService shop/web"}}}},
		Stale:     []Waiver{{Category: Tuning, Reason: "agreed", File: "waivers.yaml", Line: 2}},
	}
	var got []string
	for _, d := range r.Findings() {
		got = append(got, d.Code+" "+d.Pos.File)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"MESHC1728 a.yaml", "MESHC1729 waivers.yaml"}) {
		t.Errorf("%q", got)
	}
}

// TestApart: of long values only what differs is shown, and short ones as they are.
func TestApart(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct{ a, b, before, after string }{
		{"3s", "5s", "3s", "5s"},
		{`{"a":"` + long + `","b":{"c":[1,2]}}`, `{"a":"` + long + `","b":{"c":[1,3]}}`, "b.c[1] 2", "b.c[1] 3"},
		{`{"a":"` + long + `"}`, `{"a":"` + long + `","b":true}`, "without more", "b true"},
		{`{"@type":"t","a":1,"b":"` + strings.Repeat("y", 100) + `","c":"` + strings.Repeat("z", 100) + `"}`, "", "a 1, b " + strings.Repeat("y", 100) + ", c " + strings.Repeat("z", 160-len("a 1, b , c ")-100) + "…", ""},
		{long, "", long[:160] + "…", ""},
	} {
		if before, after := Apart(c.a, c.b); before != c.before || after != c.after {
			t.Errorf("%s\n%s\nbecome\n%s\n%s\nwant\n%s\n%s", c.a, c.b, before, after, c.before, c.after)
		}
	}
}
