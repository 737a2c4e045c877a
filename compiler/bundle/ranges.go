package bundle

import (
	"fmt"
	"strconv"
	"strings"
)

// appendRanges writes n ascending positions as ranges: 0-174,180.
func appendRanges(out []byte, n int, at func(int) int) []byte {
	for j := 0; j < n; {
		k := j
		for k+1 < n && at(k+1) == at(k)+1 {
			k++
		}
		if j > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, int64(at(j)), 10)
		if k > j {
			out = append(out, '-')
			out = strconv.AppendInt(out, int64(at(k)), 10)
		}
		j = k + 1
	}
	return out
}

// eachRange reads such ranges of positions below a limit.
func eachRange(s string, limit int, do func(lo, hi int)) error {
	next := 0
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		lo, err := strconv.Atoi(from)
		hi := lo
		if err == nil && isRange {
			hi, err = strconv.Atoi(to)
		}
		if err != nil || lo < next || hi < lo || hi >= limit {
			return fmt.Errorf("%q is not a list of positions", part)
		}
		do(lo, hi)
		next = hi + 1
	}
	return nil
}
