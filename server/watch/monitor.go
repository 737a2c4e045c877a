// Package watch follows files that others replace while the program runs, and tells how that goes: when they were last
// read well, what went wrong since, and whether a read has not come back. A file of a network file system can keep its
// reader waiting for ever, so who reads does so in a goroutine of its own, and nobody waits for it.
package watch

import (
	"fmt"
	"sync"
	"time"

	"github.com/meshc/meshc/internal/limit"
)

// Monitor tells how the looks at one thing go. Its methods may be called at the same time; looks may not overlap.
type Monitor struct {
	Name, Path string        // what is looked at, and where it lies
	StallAfter time.Duration // 0: limit.StallAfter

	mu        sync.Mutex
	began     time.Time // of the look under way; zero: there is none
	succeeded time.Time
	err       error // of the last look
}

// Do looks, and notes how that goes.
func (m *Monitor) Do(look func() error) error {
	m.mu.Lock()
	m.began = time.Now()
	m.mu.Unlock()
	err := look()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.began, m.err = time.Time{}, err
	if err == nil {
		m.succeeded = time.Now()
	}
	return err
}

// Status is how the looks at one thing went by now.
type Status struct {
	Name         string     `json:"name"`
	Path         string     `json:"path,omitempty"`
	LastSuccess  *time.Time `json:"lastSuccess,omitempty"`
	StalledSince *time.Time `json:"stalledSince,omitempty"` // when the look began that does not come back
	Error        string     `json:"error,omitempty"`        // of the last look that came back
}

// Status tells how the looks went.
func (m *Monitor) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Name: m.Name, Path: m.Path}
	if !m.succeeded.IsZero() {
		at := m.succeeded.UTC()
		s.LastSuccess = &at
	}
	most := m.StallAfter
	if most == 0 {
		most = limit.StallAfter
	}
	if !m.began.IsZero() && time.Since(m.began) >= most {
		at := m.began.UTC()
		s.StalledSince = &at
	}
	if m.err != nil {
		s.Error = m.err.Error()
	}
	return s
}

// Problem is why nothing newer is known than what was read last; "": nothing hinders that.
func (s Status) Problem() string {
	if s.StalledSince != nil {
		return fmt.Sprintf("reading %s hangs since %s", s.Path, s.StalledSince.Format(time.RFC3339))
	}
	return s.Error
}

// Together is the status of a thing that is made of parts: as old as the oldest of them, and as good as the worst.
func Together(name, path string, parts []Status) Status {
	all := Status{Name: name, Path: path}
	failing := 0
	for _, p := range parts {
		if p.LastSuccess != nil && (all.LastSuccess == nil || p.LastSuccess.Before(*all.LastSuccess)) {
			all.LastSuccess = p.LastSuccess
		}
		if p.StalledSince != nil && (all.StalledSince == nil || p.StalledSince.Before(*all.StalledSince)) {
			all.StalledSince, all.Path = p.StalledSince, p.Path
		}
		if p.Error == "" {
			continue
		}
		if failing++; failing == 1 {
			all.Error = p.Path + ": " + p.Error
		}
	}
	if failing > 1 {
		all.Error = fmt.Sprintf("%s (and %d more)", all.Error, failing-1)
	}
	return all
}
