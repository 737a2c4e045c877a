package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/internal/credential"
	"github.com/meshc/meshc/server/ads"
	"github.com/meshc/meshc/server/secret"
)

// maxSecretWarnings bounds what is logged of the missing secrets of one session.
const maxSecretWarnings = 20

// lookUp returns secrets as the caller may have them now. Call with mu held.
func (s *session) lookUp(names []string) map[string]ads.Secret {
	if len(names) == 0 {
		return nil
	}
	gen := s.srv.of(s.caller)
	j := s.srv.judge(gen.bundle, s.caller)
	out := make(map[string]ads.Secret, len(names))
	for _, name := range names {
		if _, done := out[name]; done {
			continue
		}
		b, err := s.srv.secret(gen, j, s.caller, name)
		x := ads.Secret{Message: b}
		if err != nil {
			wait := secret.Waiting("")
			x.Missing, x.Waiting = err.Error(), errors.As(err, &wait)
		}
		out[name] = x
	}
	return out
}

// missSecret counts and logs a secret that the proxy does not get. Call with mu held.
func (s *session) missSecret(name, reason string) {
	s.srv.metrics.refused.WithLabelValues("secret").Inc()
	if s.secretWarnings++; s.secretWarnings > maxSecretWarnings {
		return
	}
	if len(name) > 300 {
		name = name[:300] + "…"
	}
	s.srv.report(slog.LevelWarn, s.node.ID, "secret not available", name+reason, "secret", name, "reason", reason)
}

// awaitSecrets has files read that the stream asks for and that nobody has read yet, so that it need not ask again. It
// waits for them, and so does nobody else: call without any lock.
func (s *session) awaitSecrets(names []string) {
	srv := s.srv
	if srv.secrets == nil || len(names) == 0 {
		return
	}
	gen := srv.of(s.caller)
	j := srv.judge(gen.bundle, s.caller)
	wanted := map[string]credential.Reference{}
	for _, name := range names {
		ref, err := j.permitted(gen, s.caller, name)
		if err != nil || len(ref.Names) == 0 {
			continue
		}
		if from, err := srv.sourceOf(ref); err == nil && from == secret.Source(srv.secrets) {
			wanted[name] = ref
		}
	}
	srv.secrets.Await(s.done, wanted)
}

// permitted is what a name leads to, if a caller who was judged so may be given that.
func (j *judgement) permitted(gen *generation, c *caller, name string) (credential.Reference, error) {
	ref, err := credential.Refer(c.node, c.account, name)
	if err != nil {
		return credential.Reference{}, err
	}
	return ref, j.mayBeGiven(gen, name)
}

var errNotNamed = errors.New("the configuration of this proxy does not name the secret")

// secret returns a Secret message, or why a caller who was judged so has none of the name.
func (srv *Server) secret(gen *generation, j *judgement, c *caller, name string) ([]byte, error) {
	ref, err := j.permitted(gen, c, name)
	if err != nil {
		return nil, err
	}
	if m := ref.Remote(name); m != nil {
		return proto.MarshalOptions{Deterministic: true}.Marshal(m)
	}
	from, err := srv.sourceOf(ref)
	if err != nil {
		return nil, err
	}
	return from.Load(ref, name)
}

// sourceOf resolves which source has the reference: of credentials the API server, where it is asked at all, and else the
// directory. There is no falling back: what was meant to be read in one place is not to come from another.
func (srv *Server) sourceOf(ref credential.Reference) (secret.Source, error) {
	switch {
	case srv.credentials != nil && ref.Holder != "":
		return srv.credentials, nil
	case srv.secrets != nil:
		return srv.secrets, nil
	case ref.Holder == "":
		return nil, errors.New("this server hands out no identities; give the proxy one by meshc bootstrap --identity, or the server a directory of them by --secrets")
	}
	return nil, errors.New("this server hands out no secrets; see --secrets and --kubernetes-secrets")
}

// expiring lists the certificates that are handed out, the soonest to expire first.
func (srv *Server) expiring() (list []secret.Expiry) {
	if srv.secrets != nil {
		list = srv.secrets.Expiring()
	}
	if srv.credentials != nil {
		list = append(list, srv.credentials.Expiring()...)
		slices.SortStableFunc(list, func(a, b secret.Expiry) int { return a.Expires.Compare(b.Expires) })
	}
	return list
}

// openSecrets makes ready to ask the API server, if the options say so. What it returns ends that.
func (srv *Server) openSecrets() (end func(), err error) {
	o := srv.opts
	if !o.KubernetesSecrets {
		return func() {}, nil
	}
	client, err := srv.connect()
	if err != nil {
		return nil, err
	}
	srv.credentials = secret.NewAPI(client, o.MaxSecretWatches, o.idle(), srv.hearSecrets)
	srv.log.Info("credentials are read from the API server", "api", client.Address())
	return srv.credentials.Close, nil
}

// hearSecrets has sessions look at their secrets again.
func (srv *Server) hearSecrets() {
	select {
	case srv.secretsHeard <- struct{}{}:
	default:
	}
}

// watchSecrets looks for rotated files, and for what was heard from files that were slow and from the API server.
func (srv *Server) watchSecrets(ctx context.Context) {
	tick := time.NewTicker(srv.opts.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-srv.secretsHeard:
			time.Sleep(20 * time.Millisecond) // where one changes, others do
			for _, s := range srv.snapshot() {
				s.lookAgain()
			}
		case <-tick.C:
			srv.rotate()
		}
	}
}

// lookAgain sends secrets that have changed, and returns those that the proxy is to have.
func (s *session) lookAgain() (*ads.Registry, ads.Bitset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ads.NeedsSecrets(ads.SecretChange{})) > 0 {
		_ = s.step(ads.SecretChange{}) // it ends no stream
	}
	return s.ads.SecretsInUse()
}

// rotate has every stream look at its secrets again, and forgets those that none is to have any more. What was found
// unused is kept for one more round, for the streams that opened in the meantime.
func (srv *Server) rotate() {
	if srv.secrets != nil {
		srv.secrets.Refresh()
	}
	reg := srv.base().reg
	var used ads.Bitset
	for _, s := range srv.snapshot() {
		if in, has := s.lookAgain(); in == reg {
			used.Or(has)
		}
	}
	if srv.credentials != nil {
		srv.credentials.Sweep(time.Now())
	}
	unused := reg.Unused(ads.Secrets, used)
	if srv.unusedIn == reg {
		reg.Forget(ads.Secrets, unused.And(srv.unused))
	}
	srv.unused, srv.unusedIn = unused, reg
}
