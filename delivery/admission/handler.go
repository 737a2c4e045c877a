package admission

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// Options say how reviews are taken.
type Options struct {
	Cert, Key string // files, read again when they change
	Open      bool   // what stands against injection lets a pod in without a proxy
	Log       *slog.Logger

	// Ready tells why reviews cannot be answered yet; nil: they can.
	Ready func() error
}

// Handler takes reviews.
type Handler struct {
	opts   Options
	inject Injector

	mu      sync.Mutex
	at      time.Time // when the certificate was read
	current *tls.Certificate
}

// New makes a handler. It fails if there is no certificate.
func New(o Options, inject Injector) (*Handler, error) {
	h := &Handler{opts: o, inject: inject}
	_, err := h.certificate(nil)
	return h, err
}

// certificateAge is how old the certificate may be before its files are read again.
const certificateAge = 10 * time.Second

// certificate is that of the files, which a rotation replaces. One that cannot be read leaves the last that could in use.
func (h *Handler) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current != nil && time.Since(h.at) < certificateAge {
		return h.current, nil
	}
	next, err := h.readCertificate()
	h.at = time.Now()
	switch {
	case err == nil:
		h.current = next
	case h.current == nil:
		return nil, err
	default:
		h.opts.Log.Error("the certificate cannot be read, the one before stays in use", "error", err.Error())
	}
	return h.current, nil
}

func (h *Handler) readCertificate() (*tls.Certificate, error) {
	crt, err := regular.ReadFile(h.opts.Cert, limit.SecretBytes)
	if err != nil {
		return nil, err
	}
	key, err := regular.ReadFile(h.opts.Key, limit.SecretBytes)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(crt, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", h.opts.Cert, h.opts.Key, err)
	}
	return &pair, nil
}

// Serve takes reviews at a listener until the context ends, and then finishes those under way.
func (h *Handler) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /inject", h.review)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: limit.AdminHeaderTime, ReadTimeout: limit.AdminTime, WriteTimeout: limit.ReviewTime, MaxHeaderBytes: limit.AdminHeaderBytes,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: h.certificate}, ErrorLog: slog.NewLogLogger(h.opts.Log.Handler(), slog.LevelDebug)}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		soon, cancel := context.WithTimeout(context.Background(), limit.AdminTime)
		defer cancel()
		_ = s.Shutdown(soon)
	})
	if err := s.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	<-ended
	return nil
}

func (h *Handler) ready() error {
	if h.opts.Ready == nil {
		return nil
	}
	return h.opts.Ready()
}

// review reads a review and answers it. What is no review is answered by a status of HTTP, which the failurePolicy of the
// configuration then decides about.
func (h *Handler) review(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit.ReviewBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var in admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &in); err != nil || in.Request == nil {
		http.Error(w, "this is no AdmissionReview with a request", http.StatusBadRequest)
		return
	}
	if in.APIVersion != admissionv1.SchemeGroupVersion.String() || in.Kind != "AdmissionReview" {
		http.Error(w, fmt.Sprintf("this is a %q of %q: set admissionReviewVersions: [v1] in the MutatingWebhookConfiguration", in.Kind, in.APIVersion), http.StatusBadRequest)
		return
	}
	if err := h.ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	begun := time.Now()
	out, err := h.answer(in.Request)
	if err != nil {
		out = h.against(out, []string{err.Error()})
	}
	h.tell(in.Request, out, time.Since(begun))
	answer := admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: in.APIVersion, Kind: in.Kind}, Response: out}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the API server went away
}

// tell logs what became of a pod.
func (h *Handler) tell(req *admissionv1.AdmissionRequest, out *admissionv1.AdmissionResponse, took time.Duration) {
	args := []any{"namespace", req.Namespace, "pod", req.Name, "took", took.Round(time.Millisecond).String()}
	switch {
	case !out.Allowed:
		h.opts.Log.Error("pod refused", append(args, "reason", out.Result.Message)...)
	case len(out.Warnings) > 0:
		h.opts.Log.Warn("pod let in without a proxy", append(args, "reason", join(out.Warnings))...)
	case out.Patch != nil:
		h.opts.Log.Info("proxy added", args...)
	default:
		h.opts.Log.Info("no proxy", args...)
	}
}
