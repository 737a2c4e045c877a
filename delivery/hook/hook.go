// Package hook takes the webhooks by which forges and registries say that something was pushed, and wakes whoever follows them.
//
// A webhook is a hint and no more: nothing of what it says is used, and what it causes is one look at what is followed anyway. So
// all that matters is who may cause one, and how often. A request counts if it is signed with the secret (GitHub, Gitea, Forgejo,
// Bitbucket), or shows it (GitLab, Harbor, registries); one that was signed and comes again is known and causes nothing; and
// looks are some seconds apart, of which the last is never lost.
package hook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// shortestSecret is how many characters a secret has to have, so that nobody guesses it.
const shortestSecret = 16

// Handler takes webhooks.
type Handler struct {
	secret string // file
	log    *slog.Logger
	wake   func()
	pause  time.Duration

	mu    sync.Mutex
	known map[[sha256.Size]byte]bool
	order [][sha256.Size]byte // of the known, the oldest first
	last  time.Time           // when somebody was woken
	timer bool                // somebody will be
	told  time.Time           // when a refusal was logged
}

// New makes a handler that calls wake when there is a reason to look. The file with the secret is read for each webhook, so that it can be renewed.
func New(secretFile string, wake func(), log *slog.Logger) (*Handler, error) {
	h := &Handler{secret: secretFile, log: log, wake: wake, pause: limit.HookPause, known: map[[sha256.Size]byte]bool{}}
	_, err := h.read()
	return h, err
}

func (h *Handler) read() ([]byte, error) {
	text, err := regular.ReadFile(h.secret, limit.CommandBytes)
	if err != nil {
		return nil, err
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < shortestSecret {
		return nil, fmt.Errorf("the secret in %s has fewer than %d characters", h.secret, shortestSecret)
	}
	return []byte(secret), nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply := func(code int, text string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text+"\n")
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		reply(http.StatusMethodNotAllowed, "a webhook is a POST")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit.HookBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		reply(http.StatusRequestEntityTooLarge, fmt.Sprintf("a webhook has at most %d bytes", limit.HookBytes))
		return
	case err != nil:
		reply(http.StatusBadRequest, "the request was cut short")
		return
	}
	secret, err := h.read()
	if err != nil {
		h.log.Error("the secret of webhooks cannot be read", "error", err.Error())
		reply(http.StatusInternalServerError, "the secret cannot be read")
		return
	}
	signed, ok := proven(r.Header, body, secret)
	if !ok {
		h.refused(r)
		reply(http.StatusUnauthorized, "the webhook is not signed with the secret, and does not show it")
		return
	}
	if signed && !h.fresh(body) {
		reply(http.StatusOK, "known already")
		return
	}
	h.soon()
	reply(http.StatusAccepted, "there will be a look")
}

// signatures are the headers with the HMAC of the body, by what goes before the hexadecimal digits.
var signatures = [...]struct{ header, before string }{
	{"X-Hub-Signature-256", "sha256="}, // GitHub, Gitea, Forgejo
	{"X-Hub-Signature", "sha256="},     // Bitbucket
	{"X-Gitea-Signature", ""},
	{"X-Forgejo-Signature", ""},
	{"X-Gogs-Signature", ""},
}

// proven tells whether whoever sent a webhook has the secret, and whether the body is signed with it.
func proven(header http.Header, body, secret []byte) (signed, ok bool) {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write(body)
	want := mac.Sum(nil)
	for _, s := range signatures {
		digits, has := strings.CutPrefix(header.Get(s.header), s.before)
		if got, err := hex.DecodeString(digits); has && err == nil && hmac.Equal(got, want) {
			return true, true
		}
	}
	shown := sha256.Sum256(secret) // digests are alike long, so that the time tells nothing of the secret's length
	for _, v := range [...]string{header.Get("X-Gitlab-Token"), strings.TrimPrefix(header.Get("Authorization"), "Bearer ")} {
		if got := sha256.Sum256([]byte(v)); subtle.ConstantTimeCompare(got[:], shown[:]) == 1 {
			return false, true
		}
	}
	return false, false
}

// fresh tells whether a body was not seen before, as far as is known.
func (h *Handler) fresh(body []byte) bool {
	sum := sha256.Sum256(body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known[sum] {
		return false
	}
	h.known[sum] = true
	if h.order = append(h.order, sum); len(h.order) > limit.HooksKept {
		delete(h.known, h.order[0])
		h.order = h.order[1:]
	}
	return true
}

// soon wakes now, or when the pause since the last time is over.
func (h *Handler) soon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer {
		return
	}
	rest := h.pause - time.Since(h.last)
	if rest <= 0 {
		h.last = time.Now()
		h.wake()
		return
	}
	h.timer = true
	time.AfterFunc(rest, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.timer, h.last = false, time.Now()
		h.wake()
	})
}

// refused logs one refusal in a while: anybody may send them.
func (h *Handler) refused(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.told) < h.pause {
		return
	}
	h.told = time.Now()
	h.log.Warn("webhook refused: it is not signed with the secret, and does not show it", "from", r.RemoteAddr)
}

// Serve takes webhooks at a listener until the context ends.
func (h *Handler) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: h, MaxHeaderBytes: limit.AdminHeaderBytes, ReadHeaderTimeout: limit.AdminHeaderTime,
		ReadTimeout: limit.HookTime, WriteTimeout: limit.HookTime, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
