package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/internal/show"
	"github.com/meshc/meshc/server/waves"
)

// shortestToken is how many characters a token has to have, so that nobody guesses it.
const shortestToken = 16

// RollbackRequest is what POST /rollback takes.
type RollbackRequest struct {
	// Bundle is the digest of the bundle to go back to; "": the base in the place of a rollout under way, else the base before.
	Bundle string `json:"bundle,omitempty"`
}

// CommandReply is what a command answers.
type CommandReply struct {
	Bundle string `json:"bundle"`           // digest in service
	Before string `json:"before,omitempty"` // digest that was, or that was on its way
}

// refusedCommand is a command that is understood and not done.
type refusedCommand struct {
	code int
	why  string
}

func (e refusedCommand) Error() string { return e.why }

// commands serves what changes anything. Each asks for the token.
func (srv *Server) commands(mux *http.ServeMux) {
	mux.HandleFunc("POST /rollback", srv.command(func(r *http.Request) (any, error) {
		var req RollbackRequest
		if err := body(r, &req); err != nil {
			return nil, err
		}
		return srv.RollBack(req.Bundle)
	}))
	mux.HandleFunc("POST /release", srv.command(func(*http.Request) (any, error) { return srv.Release() }))
	mux.HandleFunc("PUT /weights", srv.command(func(r *http.Request) (any, error) {
		var req WeightsRequest
		if err := body(r, &req); err != nil {
			return nil, err
		}
		return srv.SetWeights(req)
	}))
	mux.HandleFunc("GET /weights", func(w http.ResponseWriter, _ *http.Request) { answer(w, srv.Weights()) })
	mux.HandleFunc("GET /bundles", func(w http.ResponseWriter, _ *http.Request) {
		if srv.opts.Store == nil {
			reply(w, http.StatusNotFound, "no bundle is kept: start the server with --keep DIR\n")
			return
		}
		list, err := srv.opts.Store.List()
		if err != nil {
			reply(w, http.StatusInternalServerError, err.Error()+"\n")
			return
		}
		answer(w, list)
	})
}

// command is the handler of one that only those may give who have the token.
func (srv *Server) command(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit.CommandBytes)
		out, err := any(nil), srv.authorized(r)
		if err == nil {
			out, err = do(r)
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		var refused refusedCommand
		switch {
		case err == nil:
			srv.metrics.commands.WithLabelValues("done").Inc()
			srv.log.Info("command", "name", name, "from", r.RemoteAddr)
			answer(w, out)
		case errors.As(err, &refused):
			srv.metrics.commands.WithLabelValues("refused").Inc()
			if ok, left := srv.doings.pass("command"+name+refused.why, time.Now()); ok {
				srv.log.Warn("command refused", append([]any{"name", name, "from", r.RemoteAddr, "reason", refused.why}, left...)...)
			}
			reply(w, refused.code, refused.why+"\n")
		default:
			srv.metrics.commands.WithLabelValues("failed").Inc()
			srv.log.Error("command failed", "name", name, "from", r.RemoteAddr, "error", err.Error())
			reply(w, http.StatusInternalServerError, err.Error()+"\n")
		}
	}
}

// authorized wants the token of the file, which is read each time, so that it can be renewed.
func (srv *Server) authorized(r *http.Request) error {
	if srv.opts.AdminToken == "" {
		return refusedCommand{http.StatusForbidden, "nobody may change anything here: start the server with --admin-token FILE"}
	}
	text, err := regular.ReadFile(srv.opts.AdminToken, limit.CommandBytes)
	if err != nil {
		return fmt.Errorf("the token of the server cannot be read: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < shortestToken {
		return fmt.Errorf("the token of the server has fewer than %d characters", shortestToken)
	}
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(shown))
	if !ok || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return refusedCommand{http.StatusUnauthorized, "the token is not that of the server's --admin-token"}
	}
	return nil
}

// body reads the JSON of a request. An empty one leaves what it is read into.
func body(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return refusedCommand{http.StatusBadRequest, "the request cannot be read: " + err.Error()}
	}
	return nil
}

// answer writes JSON.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	out := show.NewWriter(w) // proxies tell what they refused in words of their own
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	_ = errors.Join(e.Encode(v), out.Flush()) // the reader went away
}

// RollBack leads everybody to an earlier bundle and holds it until Release. "" is the base in the place of a rollout that is
// under way, else the base before.
func (srv *Server) RollBack(to string) (CommandReply, error) {
	srv.turn.Lock()
	defer srv.turn.Unlock()
	state := srv.assigned.Load().state
	before := state.Base
	if state.Run != nil {
		before = state.Run.Bundle
	}
	switch {
	case to != "":
	case state.Run != nil:
		to = state.Base
	case len(state.Before) > 0:
		to = state.Before[0]
	default:
		return CommandReply{}, refusedCommand{http.StatusConflict, "this server has served no other bundle before: name one of those that it keeps (meshc rollback --list)"}
	}
	b, err := srv.find(to)
	if err != nil {
		return CommandReply{}, err
	}
	if b == nil {
		return CommandReply{}, refusedCommand{http.StatusNotFound, "the bundle " + to + " is not kept: " + errNotKept.Error()}
	}
	if served := srv.base().bundle; b.TrustDomain != served.TrustDomain {
		return CommandReply{}, refusedCommand{http.StatusConflict, "the bundle " + to + " is of another mesh: its trust domain is " + b.TrustDomain + ", that of the bundle in service " + served.TrustDomain}
	}
	if err := srv.advance(waves.RolledBack{Now: time.Now(), To: to}, b); err != nil {
		return CommandReply{}, err
	}
	return CommandReply{Bundle: to, Before: before}, nil
}

// Release takes what the source brought last into service, be it held back by a rollback or have it gone back before.
func (srv *Server) Release() (CommandReply, error) {
	srv.turn.Lock()
	defer srv.turn.Unlock()
	state := srv.assigned.Load().state
	b, err := srv.find(state.Newest)
	if err != nil {
		return CommandReply{}, err
	}
	if b == nil {
		return CommandReply{}, refusedCommand{http.StatusConflict, "the bundle " + state.Newest + " that the source brought last is not kept any more"}
	}
	plan := planOf(b)
	if err := srv.known(state.Newest, plan); err != nil {
		return CommandReply{}, refusedCommand{http.StatusConflict, err.Error()}
	}
	if err := srv.advance(waves.Released{Now: time.Now(), Plan: plan}, b); err != nil {
		return CommandReply{}, err
	}
	return CommandReply{Bundle: state.Newest, Before: state.Base}, nil
}
