// Package server streams a sealed bundle to Envoy proxies over ADS, delta or state of the world. It knows nothing about
// meshes: a proxy's node leads to a class of the bundle, the class to resources, and their bytes go out as they lie in
// the bundle.
//
// What a proxy holds is kept as bitsets over numbered resources, so a change of bundle costs each proxy a few word
// operations, and sends exactly what differs. A bundle that cannot be read never replaces one that can.
//
// From a bundle to a proxy:
//
//  1. A bundle in service is a generation (generation.go): its resources numbered, what each class gets as a view, and its endpoints joined
//     with those that are live (joiner.go). An assignment (assignment.go) says which generation each node is led to; without a
//     rollout there is one for all.
//  2. A stream begins with authentication (authentication.go, identity.go, workloadapi.go): the node, who it is by its certificate, which
//     class it is of, and whether its identity may have that class (caller.go). What it may have is asked anew whenever it is given
//     something.
//  3. A session is the stream of one proxy (session.go): it feeds the state machine of package ads with requests and changes, under one lock,
//     and one goroutine at a time sends what the machine answers.
//  4. Changes come from the source of bundles (watch.go, source.go), from live endpoints (endpointsource.go), from secrets
//     (secrets.go, package secret), from weights (weights.go) and from rollouts and rollbacks (rollout.go, package waves). Each makes a
//     new immutable value, under the lock turn, so that there is one order of changes; then every session is led to it.
//  5. What a refusal, an acknowledgement or a pause of a proxy means for a rollout is decided by package waves (rolloutloop.go).
//
// Beside that there are health, metrics, the status page and commands on a port of their own (admin.go, health.go, metrics.go, command.go), and
// bounds on what callers can cost (limits.go).
package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"crypto/tls"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/server/ads"
	kubecluster "github.com/meshc/meshc/server/cluster"
	"github.com/meshc/meshc/server/kube"
	"github.com/meshc/meshc/server/observe"
	"github.com/meshc/meshc/server/secret"
	"github.com/meshc/meshc/server/token"
	"github.com/meshc/meshc/server/watch"
	"github.com/meshc/meshc/server/waves"
)

// Options say what to serve and where.
type Options struct {
	BundlePath   string   // directory or tar.gz
	XDSAddress   string   // host:port of ADS; default 127.0.0.1:18000
	AdminAddress string   // host:port of health, metrics and status; default 127.0.0.1:18001; "-": none
	AdminNames   []string // by which the admin address may be asked, besides localhost and any address
	Watch        bool     // take a new bundle at the path into service
	Source       Source   // brings bundles in the place of the path; nil: there is none
	// Wake has something in it when the source is to be looked at before its time; nil: it never is.
	Wake <-chan struct{}
	// Admit is asked before a bundle at the path is taken into service; nil: it may be.
	Admit func(*bundle.Bundle) error
	// Store keeps what was served; nil: nothing is, and a restart begins with what the source brings. With a store, and no
	// source, bundles at the path are read whole, so that Admit can keep them.
	Store BundleStore
	// AdminToken is a file with the token that who changes anything by the admin address has to show; "": nobody may.
	AdminToken string

	TLSCert, TLSKey, TLSCA        string   // files of the server's certificate and key, and of the CA of the proxies
	SPIFFESocket                  string   // socket of a SPIFFE agent, as unix:///PATH or a path, in place of the files; see workloadAPI
	TokenKeys                     string   // file or folder of public keys of API servers, by which tokens of service accounts are verified; "": none are
	TokenReview                   bool     // tokens are verified by asking the API server
	TokenAudiences, TokenIssuers  []string // of tokens that are taken; default DefaultAudience, and any issuer
	StatusNamespaces              []string // whose accounts are told of all proxies over ADS, as istioctl asks; others of those of their own; default DefaultStatusNamespace
	TrustDomains                  []string // of the proxies, all of them during a migration; none: whatever the CA signs, or with an agent that of the server
	InsecurePlaintextOnAnyAddress bool     // serve configuration without TLS beyond loopback
	InsecureAdminOnAnyAddress     bool     // serve health, metrics and the names of proxies beyond loopback

	Endpoints           string // file or folder of EndpointSlices and Pods, followed while serving; "": the endpoints of the bundle
	KubernetesEndpoints bool   // they come from the API server
	// Watches see them, where others follow the API server, too; nil: the server watches for itself.
	Watches *kubecluster.Watches

	SecretsDir string // SDS from files; "": none; see secret.Dir for the layout
	// KubernetesSecrets has credentials come from Secrets and ConfigMaps of the API server, and none of them from the
	// directory. See kube.Options for how the API server is found.
	KubernetesSecrets       bool
	Kubeconfig, KubeContext string
	MaxSecretWatches        int           // objects of the API server watched at a time; default 1000; negative: any number
	kubeRetry               time.Duration // first wait after a failure there
	// InsecureSecretsWithoutTLS hands secrets to whoever connects and says it is the workload.
	InsecureSecretsWithoutTLS bool

	MaxStreams int // open at a time, of all proxies; default 20,000; negative: any number
	// MaxStreamsPerIdentity bounds those that callers with one SPIFFE ID have open, so that one certificate cannot keep all
	// others out; default half of MaxStreams; negative: any number. Without TLS nobody has an identity, and it does not count.
	MaxStreamsPerIdentity int

	RequestRate float64 // requests per second that are read of one stream, ten times as many at once; default 200; negative: any

	Grace      time.Duration // how long a cluster that is gone stays; default 5 s; negative: none
	AckTimeout time.Duration // how long dependent changes wait for an acknowledgement; default 15 s
	Poll       time.Duration // how often the path is looked at besides notifications; default 2 s
	Drain      time.Duration // how long connections may go on after the end; default DefaultDrain

	Log *slog.Logger // default: none

	open openers // default: files

	// Ready is called with the addresses once both are open.
	Ready func(xds, admin net.Addr)
}

// DefaultDrain is how long connections may go on after the end, unless the options say otherwise.
const DefaultDrain = 2 * time.Second

func (o *Options) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Grace, 5*time.Second)
	set(&o.AckTimeout, 15*time.Second)
	set(&o.Poll, 2*time.Second)
	set(&o.Drain, DefaultDrain)
	if o.MaxStreams == 0 {
		o.MaxStreams = limit.Streams
	}
	if o.MaxStreamsPerIdentity == 0 && o.MaxStreams > 0 {
		o.MaxStreamsPerIdentity = max(1, o.MaxStreams/2)
	}
	if o.RequestRate == 0 {
		o.RequestRate = limit.RequestRate
	}
	if o.MaxSecretWatches == 0 {
		o.MaxSecretWatches = limit.SecretWatches
	}
	if o.StatusNamespaces == nil {
		o.StatusNamespaces = []string{DefaultStatusNamespace}
	}
	if o.XDSAddress == "" {
		o.XDSAddress = "127.0.0.1:18000"
	}
	if o.AdminAddress == "" {
		o.AdminAddress = "127.0.0.1:18001"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.open.defaults(o.Store != nil && o.Source == nil)
}

// checkAPI holds the options about the API server against the others.
func (o *Options) checkAPI() error {
	switch {
	case o.Endpoints != "" && o.KubernetesEndpoints:
		return errors.New("endpoints come from files or from the API server, not both: leave out --endpoints or --kubernetes-endpoints")
	case (o.Kubeconfig != "" || o.KubeContext != "") && !o.KubernetesSecrets && !o.KubernetesEndpoints && !o.TokenReview:
		return errors.New("--kubeconfig and --context name an API server, and nothing is read from one; add --kubernetes-secrets, --kubernetes-endpoints or --token-review")
	}
	return nil
}

// connect makes ready to ask the API server, once for all that is read from it.
func (srv *Server) connect() (*kube.Client, error) {
	if srv.api != nil {
		return srv.api, nil
	}
	o := srv.opts
	c, err := kube.Connect(kube.Options{Kubeconfig: o.Kubeconfig, Context: o.KubeContext, Log: srv.log, MinRetry: o.kubeRetry, MaxRetry: 20 * o.kubeRetry,
		Failed: func(reason string) { srv.metrics.apiErrors.WithLabelValues(reason).Inc() }})
	srv.api = c
	return c, err
}

// Server is a running server.
type Server struct {
	opts      Options
	log       *slog.Logger
	metrics   *metrics
	assigned  atomic.Pointer[assignment]
	refusals  refusalLog
	doings    logGate           // of proxies that were let in
	turn      sync.Mutex        // bundles and endpoints change one at a time
	endpoints *endpointSnapshot // what the source of endpoints saw last; nil: there is no source
	source    sourceState
	own       identitySource // nil: no TLS
	tokens    token.Verifier // nil: none are taken
	keys      *token.Keys    // that verify them; nil: none do

	brought  *bundle.Bundle // what the source brought last
	unsaved  error          // why the state of the rollout is not on disk
	stuck    string         // why a rollout under way does not go on; "": it does
	answered chan struct{}  // proxies may have answered
	observer *observe.Observer

	extensions extensionLists // of the Envoys that have connected

	api          *kube.Client // nil: not connected
	secrets      *secret.Dir
	credentials  *secret.API
	secretsHeard chan struct{} // credentials may be others
	unused       ads.Bitset    // secrets that no stream was to have when rotate last looked
	unusedIn     *ads.Registry // where they are numbered

	mu       sync.Mutex
	streams  map[*session]struct{}
	total    int            // streams, open and opening
	opened   map[string]int // of them by SPIFFE ID, "" without one; those included that have not sent their node yet
	draining bool

	bundleWatch, endpointWatch *watch.Monitor
}

// Run serves until the context ends, then drains.
func Run(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	o.open.defaults(o.Store != nil && o.Source == nil)
	b, stamp, err := readBundle(ctx, &o)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // reading leaves more behind than the bundle itself
	srv := New(b, o)
	if err := srv.begin(b); err != nil {
		return err
	}
	endSecrets, err := srv.openSecrets()
	if err != nil {
		return err
	}
	defer endSecrets()
	if err := adminMayListen(srv.opts); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if srv.own != nil {
		if err := srv.own.start(ctx); err != nil {
			return err
		}
	}
	if err := srv.openTokens(ctx); err != nil {
		return err
	}
	if err := srv.startEndpoints(ctx); err != nil {
		return err
	}
	lis, err := listen(srv.opts)
	if err != nil {
		return err
	}
	g := srv.GRPC()
	web, admin, err := srv.openAdmin()
	if err != nil {
		_ = lis.Close()
		return err
	}
	srv.follow(ctx, stamp)
	failed := make(chan error, 1)
	go func() { failed <- g.Serve(lis) }()
	srv.log.Info("serving", "bundle", b.Digest.String(), "xds", lis.Addr().String(), "classes", len(b.Classes), "resources", len(b.Resources))
	if srv.opts.Ready != nil {
		srv.opts.Ready(lis.Addr(), admin)
	}
	select {
	case err := <-failed:
		_ = web.Close()
		return err
	case <-ctx.Done():
	}
	srv.drain(g, web)
	return nil
}

// check refuses options that exclude each other.
func (o *Options) check() error {
	if err := o.checkIdentity(); err != nil {
		return err
	}
	if err := o.checkTokens(); err != nil {
		return err
	}
	if err := o.checkAPI(); err != nil {
		return err
	}
	if (o.SecretsDir != "" || o.KubernetesSecrets) && !o.secured() && !o.InsecureSecretsWithoutTLS {
		return errors.New("secrets are handed out over TLS only, to proxies with a certificate: give --tls-cert, --tls-key and --tls-ca, --spiffe-socket, or --insecure-secrets-without-tls to give them to whoever asks")
	}
	return nil
}

// follow takes in, until the context ends, what changes besides the proxies: the bundle, the identity of the server, secrets.
func (srv *Server) follow(ctx context.Context, stamp string) {
	switch {
	case srv.opts.Watch && srv.opts.Source != nil:
		go srv.followSource(ctx)
	case srv.opts.Watch:
		go srv.watchBundle(ctx, stamp)
	}
	if srv.own != nil {
		go srv.watchIdentity(ctx)
	}
	if srv.secrets != nil || srv.credentials != nil {
		go srv.watchSecrets(ctx)
	}
	go srv.reportStalls(ctx)
	go srv.followRollout(ctx)
	go srv.observe(ctx)
}

// openAdmin serves health, metrics and status; the address is nil where nobody wants them.
func (srv *Server) openAdmin() (*http.Server, net.Addr, error) {
	web := &http.Server{Handler: srv.misdirected(srv.Admin()), ReadHeaderTimeout: limit.AdminHeaderTime, ReadTimeout: limit.AdminTime, MaxHeaderBytes: limit.AdminHeaderBytes}
	if srv.opts.AdminAddress == "-" {
		return web, nil, nil
	}
	admin, err := net.Listen("tcp", srv.opts.AdminAddress)
	if err != nil {
		return nil, nil, err
	}
	go func() { _ = web.Serve(admin) }()
	return web, admin.Addr(), nil
}

// drain tells proxies to go elsewhere, lets them for a while, and ends.
func (srv *Server) drain(g *grpc.Server, web *http.Server) {
	srv.mu.Lock()
	srv.draining = true
	n := len(srv.streams)
	srv.mu.Unlock()
	srv.log.Info("draining", "proxies", n)
	stopped := make(chan struct{})
	go func() { g.GracefulStop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(srv.opts.Drain):
		g.Stop()
	}
	_ = web.Close()
}

// New makes a server for a bundle. Run does all else; tests use it alone.
func New(b *bundle.Bundle, o Options) *Server {
	o.defaults()
	srv := &Server{opts: o, log: o.Log, streams: map[*session]struct{}{}, opened: map[string]int{}, secretsHeard: make(chan struct{}, 1)}
	switch {
	case o.Endpoints != "":
		srv.endpoints, srv.source.st.Source = &endpointSnapshot{}, "files "+o.Endpoints
	case o.KubernetesEndpoints:
		srv.endpoints, srv.source.st.Source = &endpointSnapshot{}, "API server"
	}
	srv.bundleWatch = &watch.Monitor{Name: "bundle", Path: o.BundlePath, StallAfter: o.open.stall}
	srv.endpointWatch = &watch.Monitor{Name: "endpoints", Path: o.Endpoints, StallAfter: o.open.stall}
	digest := b.Digest.String()
	b.Detach(nil)
	base := newGeneration(b, ads.NewRegistry(), srv.endpoints, nil)
	srv.brought, srv.answered, srv.observer = b, make(chan struct{}, 1), observe.New()
	srv.assigned.Store(&assignment{state: waves.State{Base: digest, Newest: digest}, base: base, by: map[string]*generation{digest: base}})
	srv.metrics = newMetrics(srv)
	for _, g := range []*logGate{&srv.refusals.gate, &srv.doings} {
		g.every, g.burst, g.count = limit.CallersEvery, limit.CallersBurst, srv.metrics.unlogged.Inc
	}
	srv.own = newIdentitySource(&o)
	if o.SecretsDir != "" {
		srv.secrets = secret.NewDir(secret.Options{Root: o.SecretsDir, Open: o.open.secrets, Changed: srv.hearSecrets, Idle: o.idle(), Stall: o.open.stall})
	}
	return srv
}

// GRPC returns the gRPC server with the aggregated discovery service, and nothing else.
func (srv *Server) GRPC() *grpc.Server {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
		grpc.MaxConcurrentStreams(limit.ConnStreams), grpc.MaxRecvMsgSize(limit.MessageBytes),
		grpc.ReadBufferSize(4 << 10), grpc.WriteBufferSize(32 << 10),
		grpc.MaxHeaderListSize(limit.HeaderBytes), grpc.ConnectionTimeout(limit.Handshake),
	}
	if srv.own != nil {
		opts = append(opts, grpc.Creds(expiring{credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				o, err := srv.ownIdentity()
				if err != nil {
					return nil, err
				}
				return o.tls, nil
			}}), srv.unproven}))
	}
	g := grpc.NewServer(opts...)
	g.RegisterService(&grpc.ServiceDesc{ServiceName: "envoy.service.discovery.v3.AggregatedDiscoveryService", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			{StreamName: "DeltaAggregatedResources", Handler: srv.serveDelta, ServerStreams: true, ClientStreams: true},
			{StreamName: "StreamAggregatedResources", Handler: srv.serveSotW, ServerStreams: true, ClientStreams: true},
		}}, srv)
	return g
}

// join files the stream, unless other bundles are in service since the stream looked at them.
func (srv *Server) join(s *session, assigned *assignment) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.assigned.Load() != assigned {
		return false
	}
	srv.streams[s] = struct{}{}
	return true
}

func (srv *Server) leave(s *session) {
	srv.mu.Lock()
	delete(srv.streams, s)
	srv.mu.Unlock()
	s.end()
	srv.lookSoon()
	srv.report(slog.LevelInfo, s.node.ID, "proxy gone", "")
}

// assign has new streams go by an assignment and returns those that are open.
func (srv *Server) assign(assigned *assignment) []*session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.assigned.Store(assigned)
	return slices.Collect(maps.Keys(srv.streams))
}

// forEach works on streams side by side.
func forEach(streams []*session, f func(*session)) {
	work := make(chan *session)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for s := range work {
				f(s)
			}
		})
	}
	for _, s := range streams {
		work <- s
	}
	close(work)
	wg.Wait()
}

func (srv *Server) move(s *session, gen *generation) {
	if err := srv.lead(s, gen, s.retarget); err != nil {
		srv.metrics.refused.WithLabelValues("update").Inc()
		srv.report(slog.LevelWarn, s.node.ID, "proxy keeps its last configuration: the new bundle has none for it", err.Error(), "reason", err.Error())
		s.mu.Lock()
		s.lost = err.Error()
		s.mu.Unlock()
	}
}
