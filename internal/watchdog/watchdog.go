// Package watchdog holds one input of a fuzz target to time and memory. The fuzzer of Go waits for an input that takes
// hours, and for one that takes all memory the system ends some process; neither is a finding, and the input is lost.
//
// A watch looks at the process every few milliseconds, from a goroutine of its own, and panics in it when the input is
// beyond a bound: nothing that the target does or catches keeps that from ending the process, and the fuzzer then keeps the
// input and reports it. Time is that of processors, so that a busy machine makes no finding; one input that waits without
// computing is told by the clock, much later, since a process that gets no processor waits, too. Memory is what the heap grew by since the input began.
package watchdog

import (
	"fmt"
	"runtime/metrics"
	"testing"
	"time"
)

// Bounds of one input. They are far above what one takes that is accepted or refused as it should be.
const (
	CPU    = 20 * time.Second
	Clock  = 10 * time.Minute
	Memory = 1 << 30
)

const interval = 5 * time.Millisecond

// bounds of a watch, and what is done beyond them.
type bounds struct {
	cpu, clock time.Duration
	memory     uint64
	end        func(why string)
}

// Watch begins to watch an input of a fuzz target, and returns what ends that: defer watchdog.Watch(t)().
func Watch(t testing.TB) (end func()) {
	t.Helper()
	name := t.Name()
	return bounds{CPU, Clock, Memory, func(why string) { panic(name + ": one input takes " + why) }}.watch()
}

func (b bounds) watch() (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	began, used, heap := time.Now(), processors(), objects()
	look := func() string {
		if n := objects(); n > heap+b.memory {
			return fmt.Sprintf("more than %d MiB of memory", b.memory>>20)
		}
		if d := processors() - used; d > b.cpu {
			return fmt.Sprintf("more than %v of processors", b.cpu)
		}
		if time.Since(began) > b.clock {
			return fmt.Sprintf("more than %v", b.clock)
		}
		return ""
	}
	go func() {
		defer close(stopped)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if why := look(); why != "" {
				b.end(why)
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// objects is how many bytes the heap holds.
func objects() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
