package hook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/internal/limit"
)

const secret = "a-secret-of-some-length"

func handler(t *testing.T) (h *Handler, woken chan struct{}, log *bytes.Buffer) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	woken, log = make(chan struct{}, 100), &bytes.Buffer{}
	h, err := New(file, func() { woken <- struct{}{} }, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return h, woken, log
}

func ask(h http.Handler, method string, body io.Reader, header ...string) int {
	r := httptest.NewRequest(method, "/", body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func sign(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(mac, body)
	return hex.EncodeToString(mac.Sum(nil))
}

// TestWhoMayWake: those who have the secret, whichever way their forge shows it, and nobody else.
func TestWhoMayWake(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []string
		code   int
	}{
		{"GitHub", []string{"X-Hub-Signature-256", "sha256=" + sign(secret, "x"), "X-Hub-Signature", "sha1=00"}, 202},
		{"Bitbucket", []string{"X-Hub-Signature", "sha256=" + sign(secret, "x")}, 202},
		{"Gitea", []string{"X-Gitea-Signature", sign(secret, "x")}, 202},
		{"GitLab", []string{"X-Gitlab-Token", secret}, 202},
		{"Harbor", []string{"Authorization", secret}, 202},
		{"registry", []string{"Authorization", "Bearer " + secret}, 202},
		{"nothing", nil, 401},
		{"empty", []string{"X-Gitlab-Token", "", "X-Hub-Signature-256", "", "X-Gitea-Signature", ""}, 401},
		{"another secret", []string{"X-Hub-Signature-256", "sha256=" + sign("another-secret-of-some-length", "x")}, 401},
		{"another body", []string{"X-Hub-Signature-256", "sha256=" + sign(secret, "y")}, 401},
		{"another scheme", []string{"X-Hub-Signature-256", "sha1=" + sign(secret, "x")}, 401},
		{"the signature as the secret", []string{"X-Gitlab-Token", sign(secret, "x")}, 401},
		{"no digits", []string{"X-Gitea-Signature", "zz"}, 401},
	} {
		h, woken, log := handler(t)
		if code := ask(h, http.MethodPost, strings.NewReader("x"), c.header...); code != c.code || len(woken) != map[int]int{202: 1}[c.code] {
			t.Errorf("%s: %d, want %d; woken %d times", c.name, code, c.code, len(woken))
		}
		if strings.Contains(log.String(), secret) || (log.Len() > 0) != (c.code == 401) {
			t.Errorf("%s: the log has %s", c.name, log)
		}
	}
	h, woken, _ := handler(t)
	if code := ask(h, http.MethodGet, nil, "X-Gitlab-Token", secret); code != http.StatusMethodNotAllowed {
		t.Errorf("a GET is answered %d", code)
	}
	if code := ask(h, http.MethodPost, io.LimitReader(zeros{}, limit.HookBytes+1), "X-Gitlab-Token", secret); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body is answered %d", code)
	}
	if len(woken) > 0 {
		t.Error("they wake")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestReplay: what was signed once wakes once, also after many others.
func TestReplay(t *testing.T) {
	h, woken, _ := handler(t)
	h.pause = 0
	for i := range 3 {
		body := strings.Repeat("x", i+1)
		for try, want := range []int{202, 200, 200} {
			if code := ask(h, http.MethodPost, strings.NewReader(body), "X-Gitea-Signature", sign(secret, body)); code != want {
				t.Errorf("body %d, try %d: %d, want %d", i, try, code, want)
			}
		}
	}
	if len(woken) != 3 {
		t.Errorf("woken %d times", len(woken))
	}
	for i := range limit.HooksKept + 10 {
		h.fresh([]byte{byte(i), byte(i >> 8), 1})
	}
	if len(h.known) > limit.HooksKept || len(h.order) > limit.HooksKept {
		t.Errorf("%d are known", len(h.known))
	}
}

// TestPause: many webhooks at once cause one look now and one later, which the last of them is not too late for.
func TestPause(t *testing.T) {
	h, woken, _ := handler(t)
	h.pause = 50 * time.Millisecond
	for range 20 {
		ask(h, http.MethodPost, strings.NewReader("x"), "X-Gitlab-Token", secret)
	}
	<-woken
	<-woken
	if len(woken) > 1 { // a slow machine may have had time for a third
		t.Errorf("woken %d times more", len(woken))
	}
}

// TestSecret: a short one is refused at the start, and a new one counts without a restart.
func TestSecret(t *testing.T) {
	h, _, _ := handler(t)
	if err := os.WriteFile(h.secret, []byte("another-secret-of-some-length"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := ask(h, http.MethodPost, strings.NewReader("x"), "X-Gitlab-Token", secret); code != 401 {
		t.Errorf("the old secret is answered %d", code)
	}
	if err := os.WriteFile(h.secret, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := ask(h, http.MethodPost, strings.NewReader("x"), "X-Gitlab-Token", "short"); code != 500 {
		t.Errorf("a short secret is answered %d", code)
	}
	if _, err := New(h.secret, func() {}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "fewer than") {
		t.Errorf("a short secret: %v", err)
	}
}
