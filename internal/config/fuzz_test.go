package config

import (
	"testing"

	"github.com/meshc/meshc/internal/watchdog"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte("severity: {IST0101: warning}\npolicies: [a]\nlenient: true\nclusters: [{name: a, sources: [b]}]\n"))
	f.Add([]byte("severity: [1]\nclusters: {a: {b: [*x]}}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		defer watchdog.Watch(t)()
		_, found := Parse("meshc.yaml", text)
		for _, d := range found {
			if d.Message == "" || d.Code == "" || d.Pos.File == "" {
				t.Errorf("incomplete: %+v", d)
			}
		}
	})
}
