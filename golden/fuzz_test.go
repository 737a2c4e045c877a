package golden

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/internal/watchdog"
)

// Whatever a file of calls says, reading it gives calls or an error, and following a call gives ends.
func FuzzCalls(f *testing.F) {
	expected := regexp.MustCompile(`(?m)^ .*\n`)
	for _, file := range cases(f) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range txtar.Parse(text).Files {
			if s.Name == "calls" {
				f.Add(expected.ReplaceAllString(string(s.Data), ""))
			}
		}
	}
	f.Add("GET http://a/%zz from \"x")
	f.Add("GET http://[::1]:80/ from gateway\n  allowed at x:1 by y")
	g := &golden{file: "base", dir: f.TempDir()}
	base, err := os.ReadFile(filepath.Join("base", "shop.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	g.write(f, "base.yaml", base)
	b, _ := g.compile(f, g.sources)
	if b == nil {
		f.Fatal("the base does not compile")
	}
	w := trace.New(b)
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		calls, err := trace.ParseCalls(text)
		if err != nil {
			return
		}
		for _, c := range calls {
			r, err := w.Walk(c.Request)
			if err != nil {
				continue
			}
			for _, l := range r.Path.Leaves() {
				if l.Outcome == nil || l.Outcome.Verdict == "" || l.Outcome.Text == "" {
					t.Errorf("%s: an end without an outcome: %+v", c.Call, l)
				}
			}
			r.Lines()
			_ = c.Check(r)
		}
	})
}
