package server

import (
	"sync"
	"time"
)

// Bounds of what callers can have logged: of one thing, and of all things together.
const (
	logAgain = time.Minute      // the same is logged once in so long
	logBurst = 20               // different things at once
	logEvery = 10 * time.Second // and then one in so long
	logKeys  = 64               // things that are told apart

	refusalEvery = 100 * time.Millisecond // refusals are of many callers
)

// logGate lets through what is to be logged of the doings of a caller, and counts what it holds back, so that nobody fills
// a disk. The zero value is ready; every may be set before.
type logGate struct {
	every time.Duration // 0: logEvery

	mu     sync.Mutex
	seen   map[string]time.Time
	tokens float64
	last   time.Time
	held   int // since something was let through
}

// pass tells whether to log something, key being what makes it the same as another, and if so what to say of those that
// were held back since.
func (g *logGate) pass(key string, now time.Time) (ok bool, about []any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	every := g.every
	if every == 0 {
		every = logEvery
	}
	if g.last.IsZero() {
		g.tokens, g.seen = logBurst, map[string]time.Time{}
	} else {
		g.tokens = min(logBurst, g.tokens+float64(now.Sub(g.last))/float64(every))
	}
	g.last = now
	if len(key) > 300 {
		key = key[:300]
	}
	if at, again := g.seen[key]; again && now.Sub(at) < logAgain || g.tokens < 1 {
		g.held++
		return false, nil
	}
	if len(g.seen) >= logKeys {
		clear(g.seen)
	}
	g.seen[key] = now
	g.tokens--
	if g.held > 0 {
		about = []any{"like it not logged", g.held}
		g.held = 0
	}
	return true, about
}
