package trace_test

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// draw is what a test with random inputs is drawn from.
type draw struct {
	name  string
	seed  uint64
	share int // one of how many of its inputs the test tries
}

// draws are the seeds of the random tests: one that stays, with all inputs, so that what was right once stays so, and a fresh one with
// a part of them, which looks further each time. MESHC_SEED sets the fresh one, and has it try all: it repeats what failed, and
// looks for more.
func draws(t *testing.T) []draw {
	t.Helper()
	stays, fresh := draw{"stays", 7, 1}, draw{"fresh", uint64(time.Now().UnixNano()), 8}
	if s := os.Getenv("MESHC_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		fresh = draw{"fresh", n, 1}
	}
	t.Logf("MESHC_SEED=%d repeats what is drawn afresh", fresh.seed)
	return []draw{stays, fresh}
}
