package kube_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/internal/kubetest"
	"github.com/meshc/meshc/server/kube"
)

// seen is what a watch has told.
type seen struct {
	mu      sync.Mutex
	objects map[string]string // name → value
	begun   int               // lists
	problem string
	text    string // of the problem
	reasons map[string]int
	log     bytes.Buffer
}

func (s *seen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

func (s *seen) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// until waits for the condition.
func (s *seen) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		s.mu.Lock()
		is := ok()
		s.mu.Unlock()
		if is {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Fatalf("never %s: objects %v, problem %q %q", what, s.objects, s.problem, s.text)
}

func (s *seen) holds(want map[string]string) func() bool {
	return func() bool { return maps.Equal(s.objects, want) }
}

func connect(t *testing.T, api *kubetest.API, s *seen) *kube.Client {
	t.Helper()
	c, err := kube.Connect(kube.Options{Kubeconfig: api.Kubeconfig(), Log: slog.New(slog.NewTextHandler(s, nil)), MinRetry: time.Millisecond, MaxRetry: 4 * time.Millisecond,
		Failed: func(reason string) { s.change(func() { s.reasons[reason]++ }) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// follow watches until the function it returns is called, which waits for the end.
func follow[T kube.Object](t *testing.T, c *kube.Client, q kube.Query, s *seen, value func(T) string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		kube.Watch(ctx, c, q, noting(s, value))
	}()
	return func() { cancel(); <-done }
}

// noting notes what a watch tells.
func noting[T kube.Object](s *seen, value func(T) string) kube.Sink[T] {
	return kube.Sink[T]{
		Replace: func(all []T) {
			s.change(func() {
				s.begun++
				s.objects = map[string]string{}
				for _, o := range all {
					s.objects[o.GetName()] = value(o)
				}
			})
		},
		Put:    func(o T) { s.change(func() { s.objects[o.GetName()] = value(o) }) },
		Delete: func(o T) { s.change(func() { delete(s.objects, o.GetName()) }) },
		Problem: func(err error) {
			s.change(func() {
				s.problem, s.text = "", ""
				if p := (*kube.Problem)(nil); errors.As(err, &p) {
					s.problem, s.text = p.Reason, p.Error()
				}
			})
		},
	}
}

func secret(ns, name, value string) *corev1.Secret {
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Data: map[string][]byte{"k": []byte(value)}}
}

func valueOf(s *corev1.Secret) string { return string(s.Data["k"]) }

func TestWatch(t *testing.T) {
	api := kubetest.New(t)
	api.Put("secrets", secret("shop", "web", "1"))
	api.Put("secrets", secret("shop", "other", "1"))
	api.Put("secrets", secret("bank", "web", "1"))
	s := &seen{reasons: map[string]int{}}
	c := connect(t, api, s)
	before := runtime.NumGoroutine()
	stop := follow(t, c, kube.Query{Namespace: "shop", Name: "web"}, s, valueOf)
	s.until(t, "listed", s.holds(map[string]string{"web": "1"}))
	api.Put("secrets", secret("shop", "web", "2"))
	s.until(t, "changed", s.holds(map[string]string{"web": "2"}))
	api.HangUp()
	api.Put("secrets", secret("shop", "web", "3"))
	s.until(t, "changed after the connection was lost", s.holds(map[string]string{"web": "3"}))
	api.Forget()
	api.Put("secrets", secret("shop", "web", "4"))
	s.until(t, "changed after the history was lost", s.holds(map[string]string{"web": "4"}))
	api.Remove("secrets", "shop", "web")
	s.until(t, "gone", s.holds(map[string]string{}))
	s.change(func() {
		if s.begun < 2 || s.problem != "" || len(s.reasons) > 0 || s.log.Len() > 0 {
			t.Errorf("%d lists, problem %q, %v, log %s", s.begun, s.problem, s.reasons, s.log.String())
		}
	})
	api.Down(true)
	s.until(t, "in trouble", func() bool { return s.problem == "unreachable" })
	api.Down(false)
	api.Put("secrets", secret("shop", "web", "5"))
	s.until(t, "back", func() bool { return s.problem == "" && s.objects["web"] == "5" })
	stop()
	s.until(t, "hung up", func() bool { return api.Open() == 0 })
	c.Close()
	s.until(t, "without goroutines", func() bool { return runtime.NumGoroutine() <= before })
	for _, r := range api.Asked() {
		if r.Namespace != "shop" || r.Name != "web" || r.Resource != "secrets" {
			t.Errorf("asked %+v", r)
		}
	}
	if log := s.log.String(); strings.Count(log, "not reading") > 3 || !strings.Contains(log, "heard again") || strings.Contains(log, "not-for-logs") {
		t.Errorf("log: %s", log)
	}
}

// Kinds beside secrets, by labels and in all namespaces, and what is asked for that.
func TestKinds(t *testing.T) {
	api := kubetest.New(t)
	meta := func(ns, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"app": name}}
	}
	core := func(kind string) metav1.TypeMeta { return metav1.TypeMeta{Kind: kind, APIVersion: "v1"} }
	for _, n := range []string{"a", "b"} {
		api.Put("pods", &corev1.Pod{TypeMeta: core("Pod"), ObjectMeta: meta("ns-"+n, n), Status: corev1.PodStatus{PodIP: "10.0.0.1"}})
		api.Put("configmaps", &corev1.ConfigMap{TypeMeta: core("ConfigMap"), ObjectMeta: meta("shop", n), Data: map[string]string{"k": n}})
		api.Put("endpointslices", &discoveryv1.EndpointSlice{TypeMeta: metav1.TypeMeta{Kind: "EndpointSlice", APIVersion: "discovery.k8s.io/v1"}, ObjectMeta: meta("shop", n), AddressType: discoveryv1.AddressTypeIPv4})
	}
	pods, maps, slicesOf := &seen{reasons: map[string]int{}}, &seen{reasons: map[string]int{}}, &seen{reasons: map[string]int{}}
	c := connect(t, api, pods)
	defer follow(t, c, kube.Query{}, pods, func(p *corev1.Pod) string { return p.Status.PodIP })()
	defer follow(t, c, kube.Query{Namespace: "shop"}, maps, func(m *corev1.ConfigMap) string { return m.Data["k"] })()
	defer follow(t, c, kube.Query{Namespace: "shop", Labels: "app=b"}, slicesOf, func(e *discoveryv1.EndpointSlice) string { return string(e.AddressType) })()
	pods.until(t, "pods", pods.holds(map[string]string{"a": "10.0.0.1", "b": "10.0.0.1"}))
	maps.until(t, "maps", maps.holds(map[string]string{"a": "a", "b": "b"}))
	pods.until(t, "watches", func() bool { return api.Open() == 3 })
}

// What is forbidden is said once, with the rule that is missing, whether it is the list or the watch, and works when granted.
func TestForbidden(t *testing.T) {
	api := kubetest.New(t)
	api.Put("secrets", secret("shop", "web", "1"))
	for _, verb := range []string{"list", "watch"} {
		api.Forbid(func(r kubetest.Request) bool { return r.Verb == verb })
		s := &seen{reasons: map[string]int{}}
		c := connect(t, api, s)
		stop := follow(t, c, kube.Query{Namespace: "shop", Name: "web"}, s, valueOf)
		s.until(t, "refused twice", func() bool { return s.problem == "forbidden" && s.reasons["forbidden"] > 1 })
		for _, want := range []string{`apiGroups: [""]`, `resources: ["secrets"]`, `resourceNames: ["web"]`, `verbs: ["list", "watch"]`, "Role in namespace shop", `User "test" cannot ` + verb} {
			if !strings.Contains(s.text, want) {
				t.Errorf("%s: %q does not say %s", verb, s.text, want)
			}
		}
		api.Forbid(func(kubetest.Request) bool { return false })
		s.until(t, "granted", func() bool { return s.problem == "" && s.objects["web"] == "1" })
		stop()
		if log := s.log.String(); strings.Count(log, "not reading") != 1 {
			t.Errorf("%s: said more than once: %s", verb, log)
		}
	}
}

// What many watches suffer from is one line.
func TestManyInTrouble(t *testing.T) {
	api := kubetest.New(t)
	api.Down(true)
	s := &seen{reasons: map[string]int{}}
	c := connect(t, api, s)
	for i := range 20 {
		defer follow(t, c, kube.Query{Namespace: "shop", Name: fmt.Sprint("s", i)}, s, valueOf)()
	}
	s.until(t, "tried", func() bool { return s.reasons["unreachable"] > 60 })
	if n := strings.Count(s.log.String(), "not reading"); n < 1 || n > 3 {
		t.Errorf("%d lines: %s", n, s.log.String())
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	config := func(name, server, more string) string {
		file := filepath.Join(dir, name)
		text := `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: x, cluster: {server: "` + server + `"` + more + `}}, {name: other, cluster: {server: "https://y.example"}}],
contexts: [{name: c, context: {cluster: x}}, {name: d, context: {cluster: other}}]}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tls := config("tls", "https://x.example", "")
	t.Setenv("HOME", dir)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBERNETES_SERVICE_PORT", "")
	for name, c := range map[string]struct {
		o         kube.Options
		env, want string // address, or part of the error
	}{
		"file":            {kube.Options{Kubeconfig: tls}, "", "https://x.example"},
		"context":         {kube.Options{Kubeconfig: tls, Context: "d"}, "", "https://y.example"},
		"environment":     {kube.Options{}, tls, "https://x.example"},
		"flag before":     {kube.Options{Kubeconfig: tls}, "nowhere", "https://x.example"},
		"no such context": {kube.Options{Kubeconfig: tls, Context: "z"}, "", "specified context: z"},
		"no file":         {kube.Options{Kubeconfig: filepath.Join(dir, "none")}, "", "no such file"},
		"nothing":         {kube.Options{}, "", "no API server to ask"},
		"clear text":      {kube.Options{Kubeconfig: config("clear", "http://x.example", "")}, "", "without TLS"},
		"clear text here": {kube.Options{Kubeconfig: config("here", "http://127.0.0.1:8001", "")}, "", "http://127.0.0.1:8001"},
	} {
		t.Setenv("KUBECONFIG", c.env)
		got := ""
		if client, err := kube.Connect(c.o); err != nil {
			got = err.Error()
		} else {
			got = client.Address()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	t.Setenv("KUBECONFIG", "")
	if _, err := kube.Connect(kube.Options{}); err == nil || !strings.Contains(err.Error(), "service account of this pod") {
		t.Errorf("in a pod without a token: %v", err)
	}
	s := &seen{}
	if _, err := kube.Connect(kube.Options{Kubeconfig: config("skip", "https://x.example", ", insecure-skip-tls-verify: true"), Log: slog.New(slog.NewTextHandler(s, nil))}); err != nil || !strings.Contains(s.log.String(), "insecure-skip-tls-verify") {
		t.Errorf("%v, log %s", err, s.log.String())
	}
}
