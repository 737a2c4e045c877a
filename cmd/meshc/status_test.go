package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshc/meshc/server"
	"github.com/meshc/meshc/server/secret"
)

// TestWait: wait returns when the last proxy acknowledged, and names who did not when its time is over.
func TestWait(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	var mu sync.Mutex
	st := server.Status{Bundle: digest, Nodes: []server.NodeStatus{{ID: "one", Bundle: digest, Synced: true}, {ID: "two", Bundle: digest}}}
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked == 4 {
			st.Nodes[1].Synced = true
		}
		_ = json.NewEncoder(w).Encode(st)
	}))
	defer s.Close()
	admin := strings.TrimPrefix(s.URL, "http://")
	meshc := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := run(context.Background(), append(args, "--admin", admin), strings.NewReader(""), &out, &out)
		return code, out.String()
	}
	if code, out := meshc("status"); code != 0 || !strings.Contains(out, "1 of 2 have what they are led to\n  two: has not acknowledged") {
		t.Errorf("%d %s", code, out)
	}
	if code, out := meshc("wait", "--digest", digest, "--timeout", "0s"); code != 1 || !strings.Contains(out, "1 of 2 proxies") || !strings.Contains(out, "two: has not") {
		t.Errorf("%d %s", code, out)
	}
	if code, out := meshc("wait", "--digest", digest, "--for", "acked=50%"); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	if code, out := meshc("wait", "--digest", digest, "--for", "acked=100%"); code != 0 || !strings.Contains(out, "2 of 2") || asked < 4 {
		t.Errorf("%d %s after %d looks", code, out, asked)
	}
	if code, _ := meshc("wait", "--digest", digest, "--proxies", "3", "--timeout", "0s"); code != 1 {
		t.Errorf("two proxies are three: %d", code)
	}
	for _, args := range [][]string{{"wait"}, {"wait", "--digest", digest, "--for", "acked=x"}, {"wait", "--digest", digest, "--for", "acked=101%"}} {
		if code, out := meshc(args...); code != 2 {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	s.Close()
	if code, out := meshc("wait", "--digest", digest, "--timeout", "0s"); code != 2 || !strings.Contains(out, "cannot be asked") {
		t.Errorf("%d %s", code, out)
	}
}

// TestStatusTellsExpiries: status says when certificates end, and why there is none.
func TestStatusTellsExpiries(t *testing.T) {
	at := time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		st   server.Status
		want string
	}{
		{server.Status{}, ""},
		{server.Status{Identity: &server.IdentityStatus{ID: "spiffe://td/ns/a/sa/b", Expires: at}}, "identity    spiffe://td/ns/a/sa/b, until 2026-12-24T18:00:00Z\n"},
		{server.Status{Identity: &server.IdentityStatus{Expires: at, Warning: "no news"}}, "identity    a certificate without a SPIFFE ID, until 2026-12-24T18:00:00Z\n            no news\n"},
		{server.Status{Identity: &server.IdentityStatus{Warning: "the agent is away"}}, "identity    none\n            the agent is away\n"},
		{server.Status{Expiring: []secret.Expiry{{From: "Secret web", Expires: at}, {From: "Secret later", Expires: at.Add(time.Hour)}}}, "handed out  Secret web, until 2026-12-24T18:00:00Z\n"},
	} {
		if got := certificateText(c.st); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
