package server

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/internal/show"
	"github.com/meshc/meshc/server/ads"
	"github.com/meshc/meshc/server/secret"
	"github.com/meshc/meshc/server/watch"
	"github.com/meshc/meshc/server/waves"
)

// Status is what /status shows.
type Status struct {
	Bundle   string `json:"bundle"`             // digest in service
	Revision string `json:"revision,omitempty"` // of the source, as the bundle that was read last says
	Dirty    bool   `json:"dirty,omitempty"`    // with uncommitted changes
	Warning  string `json:"warning,omitempty"`  // why a newer bundle is not in service

	Rollout  *waves.Status     `json:"rollout,omitempty"`  // under way
	Held     *waves.Held       `json:"held,omitempty"`     // by a rollback: what arrives waits until it is released
	Newest   string            `json:"newest,omitempty"`   // digest that the source brought last, where that is not in service
	Failed   []waves.Failure   `json:"failed,omitempty"`   // bundles that went back
	Channels []rollout.Channel `json:"channels,omitempty"` // that hold proxies on a bundle

	Live []LiveStatus `json:"live,omitempty"` // routes with weights that are set while the mesh runs

	Requirements []string        `json:"requirements"`        // of the bundle, beyond the extensions of Envoy
	Watches      []watch.Status  `json:"watches,omitempty"`   // what is read again and again: the bundle, endpoints, secrets, the server's identity
	Identity     *IdentityStatus `json:"identity,omitempty"`  // the server's own; without TLS none
	Endpoints    *EndpointStatus `json:"endpoints,omitempty"` // where live endpoints come from
	Nodes        []NodeStatus    `json:"nodes"`
	Refused      []RefusedStatus `json:"refused"`           // the latest
	Secrets      []secret.Status `json:"secrets,omitempty"` // of the API server

	Expiring []secret.Expiry `json:"expiring,omitempty"` // certificates that are handed out, the soonest to expire, a few
}

// NodeStatus is one connected proxy.
type NodeStatus struct {
	ID      string     `json:"id"`
	Class   string     `json:"class"`
	Bundle  string     `json:"bundle"`            // digest it is being led to
	Channel string     `json:"channel,omitempty"` // that holds it there
	Mode    string     `json:"mode"`              // delta or sotw
	Synced  bool       `json:"synced"`            // all of the bundle was sent and acknowledged
	Since   time.Time  `json:"since"`
	Expires *time.Time `json:"expires,omitempty"` // when the certificate or the token does that it has connected with; it comes back with a newer one
	NACKs   []ads.NACK `json:"nacks"`
	Kept    string     `json:"kept,omitempty"` // why it keeps an older bundle's configuration

	Lacks []string `json:"lacks,omitempty"` // what its class needs, as far as its node does not say that it has it

	MissingSecrets map[string]string `json:"missing_secrets,omitempty"` // a few, and why; of some the proxy may have an older version
}

// IdentityStatus is what the server shows to proxies.
type IdentityStatus struct {
	ID      string    `json:"id,omitempty"`      // SPIFFE ID
	Expires time.Time `json:"expires,omitzero"`  // when its certificate does
	Warning string    `json:"warning,omitempty"` // why there is none, or no newer one
}

// RefusedStatus is a proxy that was not let in.
type RefusedStatus struct {
	ID     string    `json:"id"`
	Why    string    `json:"why"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// refusalLog keeps the latest refusals.
type refusalLog struct {
	mu   sync.Mutex
	list []RefusedStatus
	gate logGate
}

func (l *refusalLog) add(id, why, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 100 {
		l.list = slices.Delete(l.list, 0, 1)
	}
	if len(id) > 300 {
		id = id[:300]
	}
	l.list = append(l.list, RefusedStatus{ID: id, Why: why, Reason: reason, Time: time.Now().UTC()})
}

func (srv *Server) snapshot() []*session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return slices.Collect(maps.Keys(srv.streams))
}

// Status tells what is in service and what each proxy has of it.
func (srv *Server) Status() Status {
	gen := srv.base()
	source := gen.provenance().Source
	state := srv.assigned.Load().state
	st := Status{Bundle: gen.bundle.Digest.String(), Revision: source.Revision, Dirty: source.Dirty, Warning: srv.warning(), Watches: srv.watches(), Endpoints: srv.endpointStatus(), Nodes: []NodeStatus{}, Requirements: []string{}}
	for _, r := range gen.bundle.Requirements() {
		if r.Name != bundle.Extension {
			st.Requirements = append(st.Requirements, r.String())
		}
	}
	if srv.own != nil {
		st.Identity = &IdentityStatus{Warning: srv.own.status().Problem()}
		if o, err := srv.ownIdentity(); err != nil {
			st.Identity.Warning = err.Error()
		} else {
			st.Identity.ID, st.Identity.Expires = o.spiffe(), o.leaf.NotAfter.UTC()
		}
	}
	st.Held, st.Failed, st.Channels = state.Held, state.Failed, state.Plan.Channels
	if state.Newest != state.Base {
		st.Newest = state.Newest
	}
	for _, s := range srv.snapshot() {
		n := s.status()
		if c := state.Plan.Channel(s.node.Labels); c != nil {
			n.Channel = c.Name
		}
		st.Nodes = append(st.Nodes, n)
	}
	st.Live = slices.DeleteFunc(srv.Weights(), func(l LiveStatus) bool { return l.Since == nil })
	if state.Run != nil {
		st.Rollout = waves.StatusOf(state, srv.seen())
	}
	slices.SortFunc(st.Nodes, func(a, b NodeStatus) int { return cmp.Or(cmp.Compare(a.ID, b.ID), a.Since.Compare(b.Since)) })
	srv.refusals.mu.Lock()
	st.Refused = append([]RefusedStatus{}, srv.refusals.list...)
	srv.refusals.mu.Unlock()
	if srv.credentials != nil {
		st.Secrets = srv.credentials.Status()
	}
	st.Expiring = srv.expiring()
	st.Expiring = st.Expiring[:min(len(st.Expiring), maxSecretWarnings)]
	return st
}

// warning is why no newer bundle is in service, or why a rollout does not go on.
func (srv *Server) warning() string {
	if w := srv.bundleWatch.Status().Problem(); w != "" {
		return w
	}
	if err := srv.saved(); err != nil {
		return "the state of the rollout is not on disk: " + err.Error()
	}
	return ""
}

func (s *session) status() NodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.ads.View()
	n := NodeStatus{ID: s.node.ID, Class: v.Class.ID, Bundle: v.Bundle.Digest.String(), Mode: "sotw", Since: s.since.UTC(), NACKs: s.ads.NACKs(), Kept: s.lost,
		MissingSecrets: s.ads.MissingSecrets(maxSecretWarnings), Lacks: s.lackedBy(), Synced: !s.sending && s.lost == "" && s.ads.Synced()}
	if s.delta {
		n.Mode = "delta"
	}
	if at := s.provenUntil(); !at.IsZero() {
		n.Expires = &at
	}
	return n
}

// Admin serves health, metrics and status, by whatever name it is asked; Run answers to its own. It shows no configuration.
func (srv *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		code, body := srv.ready()
		reply(w, code, body)
	})
	mux.HandleFunc("GET /watchz", func(w http.ResponseWriter, _ *http.Request) {
		code, body := srv.following()
		reply(w, code, body)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(srv.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, srv.Status())
	})
	srv.commands(mux)
	return mux
}

// ready tells whether proxies may be sent here, and what is wrong though they may.
func (srv *Server) ready() (code int, body string) {
	srv.mu.Lock()
	draining := srv.draining
	srv.mu.Unlock()
	if draining {
		return http.StatusServiceUnavailable, "draining\n"
	}
	if err := srv.unheard(); err != nil {
		return http.StatusServiceUnavailable, err.Error() + "\n"
	}
	if srv.own != nil {
		if _, err := srv.ownIdentity(); err != nil {
			return http.StatusServiceUnavailable, err.Error() + "\n"
		}
	}
	return http.StatusOK, "ok\n" + srv.warnings()
}

// following tells whether all that the server follows can be read. What was read last is in service if it cannot.
func (srv *Server) following() (code int, body string) {
	if w := srv.warnings(); w != "" {
		return http.StatusServiceUnavailable, w
	}
	return http.StatusOK, "ok\n"
}

func reply(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(show.Text(body))) // the reader went away
}
