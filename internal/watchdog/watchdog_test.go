package watchdog

import (
	"strings"
	"testing"
	"time"
)

// ended runs an input under bounds, and returns why it was ended.
func ended(b bounds, input func(stop func() bool)) string {
	why := make(chan string, 1)
	b.end = func(s string) { why <- s }
	end := b.watch()
	defer end()
	input(func() bool { return len(why) > 0 })
	select {
	case s := <-why:
		return s
	default:
		return ""
	}
}

// TestWatch: each bound ends an input, and one that keeps to all of them ends by itself.
func TestWatch(t *testing.T) {
	var sink []byte
	work := func(stop func() bool) {
		for n := 0; !stop(); n++ {
			sink = append(sink[:0], byte(n))
		}
	}
	grow := func(stop func() bool) {
		for !stop() {
			if len(sink) < 1<<30 {
				sink = append(sink, make([]byte, 1<<20)...)
			}
			time.Sleep(time.Millisecond)
		}
	}
	wait := func(stop func() bool) {
		for !stop() {
			time.Sleep(time.Millisecond)
		}
	}
	for name, c := range map[string]struct {
		bounds
		input func(stop func() bool)
		want  string
	}{
		"processors": {bounds{cpu: 50 * time.Millisecond, clock: time.Hour, memory: 1 << 40}, work, "of processors"},
		"memory":     {bounds{cpu: time.Hour, clock: time.Hour, memory: 64 << 20}, grow, "of memory"},
		"clock":      {bounds{cpu: time.Hour, clock: 50 * time.Millisecond, memory: 1 << 40}, wait, "more than 50ms"},
		"none":       {bounds{cpu: time.Hour, clock: time.Hour, memory: 1 << 40}, func(func() bool) {}, ""},
	} {
		sink = nil
		if got := ended(c.bounds, c.input); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
