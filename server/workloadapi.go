package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshc/meshc/server/watch"
)

// How soon an agent that fails is asked again: twice as long each time.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// workloadAPI has the server's identity from an agent, as SPIRE's, by the SPIFFE Workload API: the first X.509-SVID, and
// the bundles of the trust domains that callers may be of. The agent pushes both when they change. What it pushed last
// stays in use when it falls silent, but not when it says that the server has no identity.
type workloadAPI struct {
	socket  string
	callers tls.ClientAuthType
	log     *slog.Logger
	done    <-chan struct{} // closed when the server ends

	mu      sync.Mutex
	trusted []string     // trust domains; that of the first identity, if none is named
	now     *ownIdentity // nil: none yet, or taken away
	updated time.Time    // when the agent last pushed one
	trouble string       // what the agent last failed with; "": nothing
	state   string       // which kind of trouble was logged
	lacking string       // trust domains that the agent has no bundle of
}

// agentTarget is the address of the agent's socket, given as unix:///PATH or as a path.
func agentTarget(socket string) (string, error) {
	path := socket
	if u, err := url.Parse(socket); err == nil && u.Scheme != "" {
		if u.Scheme != "unix" || u.Host != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return "", fmt.Errorf("spiffe socket %q: only a socket on this host is taken, as unix:///PATH or as a path", socket)
		}
		path = u.Path
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("spiffe socket %q is not an absolute path, such as unix:///run/spire/agent-sockets/spire-agent.sock", socket)
	}
	return (&url.URL{Scheme: "unix", Path: path}).String(), nil
}

// checkAgent finds what no agent would mend.
func checkAgent(o *Options) error {
	for _, name := range o.TrustDomains {
		if td, err := spiffeid.TrustDomainFromString(name); err != nil || td.Name() != name {
			return fmt.Errorf("trust domain %q is not the name of one, such as cluster.local: no certificate of an agent could be of it", name)
		}
	}
	_, err := agentTarget(o.SPIFFESocket)
	return err
}

// start follows the agent, whether it is there yet or not.
func (w *workloadAPI) start(ctx context.Context) error {
	target, err := agentTarget(w.socket)
	if err != nil {
		return err
	}
	again := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: firstRetry, Multiplier: 2, Jitter: 0.2, MaxDelay: lastRetry}, MinConnectTimeout: lastRetry}
	c, err := workloadapi.New(ctx, workloadapi.WithAddr(target), workloadapi.WithBackoffStrategy(retries{}), workloadapi.WithDialOptions(grpc.WithConnectParams(again)))
	if err != nil {
		return fmt.Errorf("spiffe socket %q: %w", w.socket, err)
	}
	w.done = ctx.Done()
	w.log.Info("waiting for an identity", "agent", w.socket)
	go func() {
		defer func() { _ = c.Close() }()
		for ctx.Err() == nil {
			_ = c.WatchX509Context(ctx, w) // it gives up for codes that an agent may end with, too; w has the error
			select {
			case <-ctx.Done():
			case <-time.After(firstRetry):
			}
		}
	}()
	return nil
}

// retries is a workloadapi.BackoffStrategy.
type retries struct{}

// NewBackoff implements workloadapi.BackoffStrategy.
func (retries) NewBackoff() workloadapi.Backoff { return &retry{} }

type retry struct{ after time.Duration }

// Next implements workloadapi.Backoff.
func (r *retry) Next() time.Duration {
	r.after = min(max(2*r.after, firstRetry), lastRetry)
	return r.after
}

// Reset implements workloadapi.Backoff.
func (r *retry) Reset() { r.after = 0 }

func (w *workloadAPI) admits(trustDomain string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Contains(w.trusted, trustDomain) {
		return nil
	}
	return notTrusted(trustDomain, w.trusted)
}

func (w *workloadAPI) latest() *ownIdentity {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *workloadAPI) current() (*ownIdentity, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.now != nil:
		return w.now, nil
	case w.trouble != "":
		return nil, errors.New("the server has no identity: " + w.trouble)
	}
	return nil, fmt.Errorf("the server has no identity: the agent at %s has not answered yet", w.socket)
}

func (w *workloadAPI) status() watch.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := watch.Status{Name: "identity", Path: w.socket, Error: w.trouble}
	if w.trouble == "" && w.lacking != "" {
		s.Error = "the agent has no bundle of trust domain " + w.lacking + ": none of its proxies is let in"
	}
	if !w.updated.IsZero() {
		at := w.updated.UTC()
		s.LastSuccess = &at
	}
	return s
}

// OnX509ContextUpdate implements workloadapi.X509ContextWatcher.
func (w *workloadAPI) OnX509ContextUpdate(c *workloadapi.X509Context) {
	svid := c.DefaultSVID()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.trusted) == 0 {
		w.trusted = []string{svid.ID.TrustDomain().Name()}
	}
	var lacking []string
	roots := x509.NewCertPool()
	for _, name := range w.trusted {
		td, err := spiffeid.TrustDomainFromString(name)
		b, ok := c.Bundles.Get(td)
		if err != nil || !ok || b.Empty() {
			lacking = append(lacking, name)
			continue
		}
		for _, root := range b.X509Authorities() {
			roots.AddCert(root)
		}
	}
	cert := tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
	for _, link := range svid.Certificates {
		cert.Certificate = append(cert.Certificate, link.Raw)
	}
	conf := mutual(cert, roots, w.callers)
	conf.VerifyConnection = ofItsOwn(c, w.trusted)
	w.now, w.updated, w.trouble, w.state = &ownIdentity{tls: conf, leaf: cert.Leaf}, time.Now(), "", ""
	w.log.Info("identity from the agent", "id", svid.ID.String(), "expires", cert.Leaf.NotAfter.UTC(), "trust domains", strings.Join(w.trusted, ", "))
	if l := strings.Join(lacking, ", "); l != w.lacking {
		w.lacking = l
		if l != "" {
			w.log.Warn("the agent has no bundle of a trust domain, so none of its proxies is let in: federate with it, or take it out of --trust-domain", "trust domain", l)
		}
	}
}

// ofItsOwn holds a caller to the bundle of its own trust domain: what one trust domain signs says nothing about who is
// who in another. Callers of no trust domain of this server pass here, because authentication refuses them with a reason that
// is counted and logged.
func ofItsOwn(c *workloadapi.X509Context, trusted []string) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil // its token is what counts
		}
		td, _, _, err := workload(s.PeerCertificates[0])
		if err != nil || !slices.Contains(trusted, td) {
			return nil
		}
		_, _, err = x509svid.Verify(s.PeerCertificates, c.Bundles)
		return err
	}
}

// OnX509ContextWatchError implements workloadapi.X509ContextWatcher.
func (w *workloadAPI) OnX509ContextWatchError(err error) {
	select {
	case <-w.done:
		return
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	code, said := status.Code(err), status.Convert(err).Message()
	state := code.String()
	switch code {
	case codes.PermissionDenied:
		w.trouble = fmt.Sprintf("the agent at %s has none for this process; register it, it need not be started again: %s", w.socket, said)
		w.now = nil // by the standard, what is taken away is not used any more
	case codes.Unavailable:
		w.trouble = fmt.Sprintf("the agent at %s does not answer: %s", w.socket, said)
	case codes.Unknown:
		state = said
		fallthrough
	default:
		w.trouble = fmt.Sprintf("the agent at %s: %s", w.socket, said)
	}
	if state == w.state {
		return
	}
	w.state = state
	if w.now == nil {
		w.log.Warn("no identity, and no proxy is let in", "reason", w.trouble)
		return
	}
	w.log.Warn("no news from the agent; the last identity stays in use", "reason", w.trouble, "expires", w.now.leaf.NotAfter.UTC())
}
