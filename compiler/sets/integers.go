package sets

import (
	"fmt"
	"strconv"
	"strings"
)

// Integers has the decimal numbers from first up to, not including, end, as a header may write them: with leading zeros and a
// sign.
func Integers(first, end int64) Strings {
	if first >= end {
		return None()
	}
	last := end - 1
	var parts []string
	if last >= 0 {
		parts = append(parts, `\+?0*`+digitsBetween(uint64(max(first, 0)), uint64(last)))
	}
	if first <= 0 {
		nearest := uint64(0)
		if last < 0 {
			nearest = magnitude(last)
		}
		parts = append(parts, `-0*`+digitsBetween(nearest, magnitude(first)))
	}
	return mustRegex("(" + strings.Join(parts, "|") + ")")
}

// magnitude is the absolute value; it fits for the lowest number, too.
func magnitude(n int64) uint64 { return uint64(-(n + 1)) + 1 }

// digitsBetween makes a regular expression of the numbers from low to high without leading zeros, besides 0 itself.
func digitsBetween(low, high uint64) string {
	var parts []string
	for low <= high {
		// The longest run from low on whose numbers differ in their last digits only, which are free.
		free, size := 0, uint64(1)
		for free < 18 && low%(size*10) == 0 && low != 0 && size*10-1 <= high-low {
			free, size = free+1, size*10
		}
		digit := low / size % 10
		top := min(9, digit+(high-low+1)/size-1)
		text := strconv.FormatUint(low/size/10, 10)
		if text == "0" {
			text = ""
		}
		parts = append(parts, fmt.Sprintf("%s[%d-%d][0-9]{%d}", text, digit, top, free))
		next := low + (top-digit+1)*size
		if next <= low {
			break // beyond the largest number
		}
		low = next
	}
	return "(" + strings.Join(parts, "|") + ")"
}
