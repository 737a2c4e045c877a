package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshc/meshc/internal/fault"
)

// grace is how long a verb may go on after it was told to end, unless it asks for more.
const grace = 200 * time.Millisecond

// ending sees to it that a verb ends soon after its context does. What computes looks at the context now and then; a library
// in the middle of something may not, and is left behind, since the process ends.
type ending struct {
	more    atomic.Int64 // nanoseconds, beyond grace
	writing sync.Mutex   // held while a file is put in place
}

// of runs a verb. It answers context.Canceled for one that was left behind. A write that has begun is finished first, and
// none begins any more.
func (e *ending) of(ctx context.Context, verb func() error) error {
	done := make(chan error, 1)
	go func() { done <- fault.Call(verb) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace + time.Duration(e.more.Load())):
	}
	if !e.writing.TryLock() {
		return <-done
	}
	return ctx.Err()
}

// later lets a verb take its time to end: a server has connections to drain.
func (e *ending) later(d time.Duration) { e.more.Store(int64(d)) }

// write calls what puts a file in place, unless the verb is to end.
func (e *ending) write(ctx context.Context, put func() error) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return put()
}
