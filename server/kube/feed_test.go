package kube_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/kubetest"
	"github.com/meshc/meshc/server/kube"
)

// TestFeed: those who listen to one watch hear the same, also those who come late, of problems and of there being nothing too, and the
// API server is asked once.
func TestFeed(t *testing.T) {
	api := kubetest.New(t)
	early, late, last := &seen{reasons: map[string]int{}}, &seen{reasons: map[string]int{}}, &seen{reasons: map[string]int{}}
	c := connect(t, api, early)
	feed := &kube.Feed[*corev1.Secret]{Keep: func(s *corev1.Secret) *corev1.Secret {
		kept := secret(s.Namespace, s.Name, string(s.Data["k"])+" kept")
		return kept
	}}
	feed.Join(noting(early, valueOf))
	go feed.Run(t.Context(), c, kube.Query{Namespace: "shop"})
	early.until(t, "listed", func() bool { return early.begun == 1 })
	feed.Join(noting(late, valueOf))
	late.until(t, "told that there is nothing", func() bool { return late.begun == 1 && len(late.objects) == 0 })
	api.Put("secrets", secret("shop", "web", "1"))
	api.Put("secrets", secret("shop", "db", "1"))
	both := map[string]string{"web": "1 kept", "db": "1 kept"}
	for _, s := range []*seen{early, late} {
		s.until(t, "told of what is new", s.holds(both))
	}
	feed.Join(noting(last, valueOf))
	last.until(t, "told of what there is", last.holds(both))
	api.Remove("secrets", "shop", "db")
	last.until(t, "told of what is gone", last.holds(map[string]string{"web": "1 kept"}))
	lists := 0
	for _, r := range api.Asked() {
		if r.Verb == "list" {
			lists++
		}
	}
	if lists != 1 {
		t.Errorf("%d lists for four listeners", lists)
	}
	api.Down(true)
	api.HangUp()
	for _, s := range []*seen{early, late, last} {
		s.until(t, "told of what is gone, and of the problem", func() bool { return len(s.objects) == 1 && s.problem == "unreachable" })
	}
	troubled := &seen{reasons: map[string]int{}}
	feed.Join(noting(troubled, valueOf))
	troubled.until(t, "told of the problem", func() bool { return len(troubled.objects) == 1 && troubled.problem == "unreachable" })
	api.Down(false)
	api.Put("secrets", secret("shop", "web", "2"))
	for _, s := range []*seen{early, late, last, troubled} {
		s.until(t, "back", func() bool { return s.problem == "" && s.objects["web"] == "2 kept" })
	}
}
