package trace

import (
	"testing"

	"github.com/meshc/meshc/internal/watchdog"
)

func FuzzCall(f *testing.F) {
	f.Add(`GET http://a/b?c from d -H 'x=y z' --claims '{"iss":"a"}' --source-ip 1.2.3.4`)
	f.Add(`http://[::1]:80/ from x --address 10.0.0.1 -H "`)
	f.Fuzz(func(t *testing.T, line string) {
		defer watchdog.Watch(t)()
		_, _ = ParseCall(line)
	})
}

func FuzzToken(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIn0.")
	f.Add("{}")
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		_, _ = ParseToken(text)
	})
}
