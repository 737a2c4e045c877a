//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is what the server uses at a time.
type sample struct {
	at         time.Duration
	resident   float64 // MiB
	heap       float64 // MiB of live and not yet collected objects
	goroutines int
}

// String is a line of the output.
func (s sample) String() string {
	return fmt.Sprintf("%6.0f s  resident %4.0f MiB  heap %4.0f MiB  goroutines %d", s.at.Seconds(), s.resident, s.heap, s.goroutines)
}

func (s *soak) sample(at time.Duration) (sample, error) {
	m, err := s.metrics()
	if err != nil {
		return sample{}, err
	}
	out := sample{at: at, resident: m["process_resident_memory_bytes"] / (1 << 20), heap: m["go_memstats_heap_alloc_bytes"] / (1 << 20), goroutines: int(m["go_goroutines"])}
	if out.resident == 0 {
		return sample{}, fmt.Errorf("process %d: this system does not tell resident memory", s.pid)
	}
	return out, nil
}

// metrics are the values of the server's metrics, by name with labels, and by name alone their sum over all labels.
func (s *soak) metrics() (map[string]float64, error) {
	r, err := http.Get(s.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("/metrics: %q: %w", line, err)
		}
		name, _, labelled := strings.Cut(line[:at], "{")
		if labelled {
			out[line[:at]] = v
		}
		out[name] += v
	}
	return out, nil
}

// How much more than in the first half of a run, after a warm-up, the median of the second half may be.
const (
	warmUp  = 5    // one part of so many is left out
	growth  = 0.10 // share
	slack   = 4    // MiB, of the noise of small heaps
	fewest  = 20   // samples
	threads = 10   // goroutines
)

// flat tells whether memory stays as it is: the median of the second half of the samples, after a warm-up, may not be more
// than a tenth and 4 MiB above that of the first half, neither of resident memory nor of the heap, and goroutines not
// more than ten.
func flat(list []sample) error {
	if len(list) < fewest {
		return fmt.Errorf("%d samples are too few to tell whether memory stays flat; it takes %d", len(list), fewest)
	}
	list = list[len(list)/warmUp:]
	first, second := list[:len(list)/2], list[len(list)/2:]
	for _, of := range []struct {
		name  string
		value func(sample) float64
		slack float64
	}{
		{"resident memory (MiB)", func(s sample) float64 { return s.resident }, slack},
		{"heap (MiB)", func(s sample) float64 { return s.heap }, slack},
		{"goroutines", func(s sample) float64 { return float64(s.goroutines) }, threads},
	} {
		before, after := median(first, of.value), median(second, of.value)
		fmt.Printf("%s: median %.0f in the first half after the warm-up, %.0f in the second\n", of.name, before, after)
		if after > before*(1+growth)+of.slack {
			return fmt.Errorf("%s is not flat: it grew from %.0f to %.0f", of.name, before, after)
		}
	}
	return nil
}

func median(list []sample, value func(sample) float64) float64 {
	var all []float64
	for _, s := range list {
		all = append(all, value(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
