//go:build unix

package main

import (
	"testing"
	"time"
)

// A leak of one part in a hundred a minute is found, and the saw of a collector is not taken for one.
func TestFlat(t *testing.T) {
	run := func(heap func(i int) float64, goroutines func(i int) int) error {
		var list []sample
		for i := range 60 {
			list = append(list, sample{at: time.Duration(i) * 10 * time.Second, resident: 100, heap: heap(i), goroutines: goroutines(i)})
		}
		return flat(list)
	}
	still := func(int) int { return 1000 }
	if err := run(func(i int) float64 { return 40 + float64(i%7)*8 }, still); err != nil {
		t.Errorf("a saw: %v", err)
	}
	if err := run(func(i int) float64 { return float64(min(i, 8)) * 20 }, still); err != nil {
		t.Errorf("a warm-up: %v", err)
	}
	if run(func(i int) float64 { return 60 + float64(i%7) + float64(i) }, still) == nil {
		t.Error("6 MiB a minute is not found")
	}
	if run(func(int) float64 { return 60 }, func(i int) int { return 100 + 2*i }) == nil {
		t.Error("goroutines that stay are not found")
	}
	if flat(nil) == nil {
		t.Error("no samples are enough")
	}
}
