package server

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/meshc/meshc/internal/limit"
)

// logGate lets through what is to be logged of the doings of a caller, and counts what it holds back, so that nobody fills
// a disk. The zero value is ready; every may be set before.
type logGate struct {
	every time.Duration // 0: limit.LogEvery
	burst int           // 0: limit.LogBurst
	count func()        // of what is held back; nil: not counted

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
	every, burst := cmp.Or(g.every, limit.LogEvery), cmp.Or(g.burst, limit.LogBurst)
	if g.last.IsZero() {
		g.tokens, g.seen = float64(burst), map[string]time.Time{}
	} else {
		g.tokens = min(float64(burst), g.tokens+float64(now.Sub(g.last))/float64(every))
	}
	g.last = now
	if len(key) > limit.LogKeyBytes {
		key = key[:limit.LogKeyBytes]
	}
	if at, again := g.seen[key]; again && now.Sub(at) < limit.LogAgain || g.tokens < 1 {
		g.held++
		if g.count != nil {
			g.count()
		}
		return false, nil
	}
	if len(g.seen) >= max(limit.LogKeys, burst) {
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

// report logs what a proxy has done or what was done to it, detail being what makes it the same as another such line of the
// node. Proxies that connect again and again do not make it more.
func (srv *Server) report(level slog.Level, node, what, detail string, args ...any) {
	if ok, left := srv.doings.pass(what+"\x00"+node+"\x00"+detail, time.Now()); ok {
		srv.log.Log(context.Background(), level, what, append(append([]any{"node", node}, args...), left...)...)
	}
}
