package manifest

import (
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/limit"
)

func TestFits(t *testing.T) {
	if err := fits(limit.ConfigMapBytes); err != nil {
		t.Error(err)
	}
	if err := fits(limit.ConfigMapBytes + 1); err == nil || !strings.Contains(err.Error(), "meshc bundle push") {
		t.Errorf("one byte more: %v", err)
	}
}
