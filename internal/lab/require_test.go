package lab

import (
	"os"
	"testing"
)

// require skips a test where no lab can run; MESHC_REQUIRE_ALL=1 makes that a failure.
func require(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("lab: real Envoys are left out with -short")
	}
	err := Unavailable()
	if err == nil {
		return
	}
	if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
		t.Fatalf("lab: %v, and MESHC_REQUIRE_ALL=1 wants every test to run", err)
	}
	t.Skipf("lab: %v", err)
}
