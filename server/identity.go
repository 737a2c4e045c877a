package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/server/watch"
)

// ownIdentity is what the server makes a connection with: its certificate, and the roots it holds the caller to.
type ownIdentity struct {
	tls  *tls.Config
	leaf *x509.Certificate
}

// spiffe is the SPIFFE ID in the server's own certificate; "" if it has none.
func (o *ownIdentity) spiffe() string {
	if len(o.leaf.URIs) == 0 {
		return ""
	}
	return o.leaf.URIs[0].String()
}

// trusts holds a chain of certificates of a caller, its own first, to the roots that connections are made with.
func (o *ownIdentity) trusts(chain []*x509.Certificate) error {
	links := x509.NewCertPool()
	for _, c := range chain[1:] {
		links.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: o.tls.ClientCAs, Intermediates: links, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil && o.tls.VerifyConnection != nil {
		err = o.tls.VerifyConnection(tls.ConnectionState{PeerCertificates: chain})
	}
	return err
}

// watchIdentity has streams held to the server's identity, and to the keys that vouch for tokens, when these are others.
func (srv *Server) watchIdentity(ctx context.Context) {
	tick := time.NewTicker(srv.opts.Poll)
	defer tick.Stop()
	before, vouching := srv.own.latest(), srv.tokenKeys()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		keys := srv.tokenKeys()
		if now, err := srv.own.current(); err == nil && now != before || keys != vouching {
			before, vouching = srv.own.latest(), keys
			srv.reprove()
		}
	}
}

// identitySource is where the server has its identity from.
type identitySource interface {
	// start readies the source, and has it follow what changes until the context ends. It fails if waiting would not help.
	start(ctx context.Context) error
	// current is the identity for a new connection, or why there is none.
	current() (*ownIdentity, error)
	// latest is what current returned last, without looking anywhere; nil: none.
	latest() *ownIdentity
	// admits tells whether callers of a trust domain may be let in, or why not.
	admits(trustDomain string) error
	// status tells how the source goes.
	status() watch.Status
}

// secured tells whether ADS is served over mutual TLS: callers show certificates, and so does the server.
func (o *Options) secured() bool { return o.TLSCert != "" || o.SPIFFESocket != "" }

// checkIdentity holds the options against each other: there is one source or none, and half of one is none too few.
func (o *Options) checkIdentity() error {
	files := 0
	for _, f := range []string{o.TLSCert, o.TLSKey, o.TLSCA} {
		if f != "" {
			files++
		}
	}
	switch {
	case files > 0 && o.SPIFFESocket != "":
		return errors.New("the server has its identity from files or from an agent, not both: leave out --spiffe-socket, or --tls-cert, --tls-key and --tls-ca")
	case files == 2 && o.TLSCA == "" && o.tokens(): // nobody has to show a certificate
	case files > 0 && files < 3:
		return errors.New("a certificate, its key and the CA of the proxies go together: give --tls-cert, --tls-key and --tls-ca, all three; with --token-keys or --token-review the CA may be left out")
	case o.SPIFFESocket != "":
		return checkAgent(o)
	}
	return nil
}

func newIdentitySource(o *Options) identitySource {
	switch {
	case o.SPIFFESocket != "":
		return &workloadAPI{socket: o.SPIFFESocket, trusted: o.TrustDomains, callers: o.callers(), log: o.Log}
	case o.TLSCert != "":
		return &identityFiles{cert: o.TLSCert, key: o.TLSKey, ca: o.TLSCA, callers: o.callers(), trusted: o.TrustDomains, every: min(identityPoll, o.Poll), open: o.open.identity,
			monitor: watch.Monitor{Name: "identity", Path: o.TLSCert, StallAfter: o.open.stall}}
	}
	return nil
}

// ownIdentity is the identity that a connection may be made with now.
func (srv *Server) ownIdentity() (*ownIdentity, error) {
	o, err := srv.own.current()
	if err != nil {
		return nil, err
	}
	if now := time.Now(); now.After(o.leaf.NotAfter) {
		return nil, fmt.Errorf("the server's certificate expired at %s: %s", o.leaf.NotAfter.UTC().Format(time.RFC3339), cmp.Or(srv.own.status().Problem(), "there is no newer one"))
	}
	return o, nil
}

// callers tells whether callers have to show a certificate: those that have a token need none.
func (o *Options) callers() tls.ClientAuthType {
	switch {
	case !o.tokens():
		return tls.RequireAndVerifyClientCert
	case o.SPIFFESocket == "" && o.TLSCA == "":
		return tls.NoClientCert
	}
	return tls.VerifyClientCertIfGiven
}

// mutual is how the ADS address speaks TLS. Sessions that are resumed are held to these roots, too, by crypto/tls.
func mutual(cert tls.Certificate, roots *x509.CertPool, callers tls.ClientAuthType) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: roots, ClientAuth: callers, MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2"}}
}

func notTrusted(trustDomain string, trusted []string) error {
	return fmt.Errorf("trust domain %q is not one of this server: %s", trustDomain, strings.Join(trusted, ", "))
}

// identityFiles are the server's certificate, key and CA. They are read again when they change, both at once, by a goroutine
// of their own: connections are made with what was read last.
type identityFiles struct {
	cert, key, ca string // the CA "": nobody shows a certificate
	callers       tls.ClientAuthType
	trusted       []string // trust domains; none: whatever the CA signs
	every         time.Duration
	open          func(path string, most int64) ([]byte, error)
	monitor       watch.Monitor

	now   atomic.Pointer[ownIdentity]
	look  sync.Mutex // held while looking; nothing else is
	stamp string     // of what was read last
}

// identityPoll is how often the files are looked at, or more often where other files are.
const identityPoll = time.Second

func (f *identityFiles) start(ctx context.Context) error {
	if _, err := watch.Aside(ctx, func() (struct{}, error) { return struct{}{}, f.refresh() }); err != nil {
		return err
	}
	go func() {
		tick := time.NewTicker(f.every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = f.refresh() // the monitor keeps the error; the old files stay in use
			}
		}
	}()
	return nil
}

func (f *identityFiles) admits(trustDomain string) error {
	if len(f.trusted) == 0 || slices.Contains(f.trusted, trustDomain) {
		return nil
	}
	return notTrusted(trustDomain, f.trusted)
}

func (f *identityFiles) status() watch.Status { return f.monitor.Status() }

func (f *identityFiles) latest() *ownIdentity { return f.now.Load() }

func (f *identityFiles) current() (*ownIdentity, error) {
	if now := f.now.Load(); now != nil {
		return now, nil
	}
	return nil, errors.New("the server has no identity: its files were not read yet")
}

// refresh reads the files if they are others, or were no good: half a rotation leaves the old ones in use.
func (f *identityFiles) refresh() error {
	f.look.Lock()
	defer f.look.Unlock()
	return f.monitor.Do(func() error {
		files := []string{f.cert, f.key}
		if f.ca != "" {
			files = append(files, f.ca)
		}
		stamp := watch.Stamps(files...)
		if stamp == f.stamp {
			return nil
		}
		fresh, err := f.load()
		if err != nil {
			return err
		}
		f.now.Store(fresh)
		f.stamp = stamp
		return nil
	})
}

func (f *identityFiles) load() (*ownIdentity, error) {
	crt, err := f.open(f.cert, limit.SecretBytes)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	key, err := f.open(f.key, limit.SecretBytes)
	if err != nil {
		return nil, fmt.Errorf("server key: %w", err)
	}
	cert, err := tls.X509KeyPair(crt, key)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	pool, err := f.roots()
	if err != nil {
		return nil, err
	}
	return &ownIdentity{tls: mutual(cert, pool, f.callers), leaf: cert.Leaf}, nil
}

// roots reads the CA of the proxies.
func (f *identityFiles) roots() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if f.ca == "" {
		return pool, nil
	}
	text, err := f.open(f.ca, limit.SecretBytes)
	if err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("client CA: %s holds no certificate", f.ca)
	}
	return pool, nil
}
