package report

import (
	"slices"
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
