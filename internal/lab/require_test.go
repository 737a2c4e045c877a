package lab

import (
	"fmt"
	"os"
	"testing"
)

// require skips a test where no lab can run; MESHC_REQUIRE_ALL=1 makes that a failure.
func require(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("lab: real Envoys are left out with -short")
	}
	if err := Unavailable(); err != nil {
		lacks(t, fmt.Errorf("lab: %w", err))
	}
}

// lacks ends a test for what the machine does not have: it is skipped, unless every test is to run.
func lacks(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
		t.Fatalf("%v, and MESHC_REQUIRE_ALL=1 wants every test to run", err)
	}
	t.Skip(err)
}
