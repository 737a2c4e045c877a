package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshc/meshc/delivery/build"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/server"
)

// serving is what flags say of a server.
type serving struct {
	o        server.Options
	from     sourceFlags
	compiles compileFlags
	hooks    hookFlags
}

func newServe(a *app) *cobra.Command {
	var v serving
	c := &cobra.Command{
		Use:   "serve BUNDLE|oci://HOST/REPOSITORY:TAG|--compile SOURCE...",
		Short: "Stream a bundle to proxies over ADS",
		Long: `serve answers proxies over ADS, delta and state of the world, with the resources of a bundle, and takes a new bundle
into service when one is put in its place. A bundle that cannot be read never replaces one that can.

BUNDLE may be oci://HOST/REPOSITORY:TAG: the tag is looked at every --poll, and what it names is fetched when that is another
digest. A registry that fails is asked less often, up to 5 minutes, or when it says; the last good bundle stays in service. With
--keep DIR that bundle is on disk, too, and is what a restarted server begins with, whether or not the registry is there. The
folder keeps the 20 that came last, of a path as of a registry, for meshc rollback, and how far a rollout is.

With --compile the server makes its bundles itself: of SOURCE..., which are those of meshc compile, with its flags, and besides
https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH, each with #ref=REV,subdir=DIR for a remote repository. They are looked at
every --poll, and compiled by a process of its own when something has changed; what does not compile leaves the bundle before in
service and is told in the log. With --kubernetes the compiles see what the API server has of Namespaces, Nodes, Services,
EndpointSlices and Pods, so that the source need hold no address. With --webhook-address a push causes a look at once.

A bundle whose source has a MeshRollout is taken into service wave by wave: see docs/guides/rollout.md.

With --trust a bundle is served only if a key of the trust file has signed it (meshc bundle sign, cosign), also at a path, where
the signature is the file BUNDLE.sigstore.json. From a registry, and with --trust, a bundle that is older than the one in service,
by the time of its commit, is refused unless --allow-older or the reference names its digest; so is one of another trust domain.

With --endpoints the server follows the Pods of a cluster: it takes the endpoints of every service that is seen there
from what is there now, and those of the bundle for the others. A file that cannot be read leaves those before in use.
With --kubernetes-endpoints it follows EndpointSlices, Pods and Nodes of the API server instead; it must be allowed to list
and watch them in all namespaces, and lets proxies in once it has heard them.

Beyond loopback the server wants TLS: --tls-cert, --tls-key and the CA of the proxies, --tls-ca; or --spiffe-socket, and
it has all of them from a SPIFFE agent, such as SPIRE's. Both are renewed while it runs. A proxy then gets the
configuration and the secrets of the SPIFFE ID in its certificate, whatever else it says.

Without any of these flags and --insecure-plaintext-on-any-address, SPIFFE_ENDPOINT_SOCKET in the environment names the
agent's socket. As long as no agent gives the server an identity, no proxy is let in and /readyz says why.

Secrets come from two places. --secrets is a directory of identities and credentials. --kubernetes-secrets reads the
credentials, and no identities, from Secrets and ConfigMaps of the proxy's namespace, each when a proxy needs it: the server
must be allowed to list and watch those by name. With both, identities are the directory's and credentials the API
server's. It is the one of --kubeconfig, $KUBECONFIG, the pod's service account or ~/.kube/config, in this order.`,
		Example: `  meshc serve mesh.bundle
  meshc serve oci://registry.example.com/mesh:main --trust trust.yaml --keep /var/lib/meshc
  meshc serve --compile mesh/ --watch
  meshc serve --compile https://git.example.com/mesh.git#ref=main,subdir=prod --git-token token --kubernetes --keep /var/lib/meshc`,
		Args: v.sources,
		RunE: func(c *cobra.Command, args []string) error { return v.run(c, a, args) },
	}
	v.from.add(c.Flags())
	addServeFlags(c.Flags(), &v.o)
	v.hooks.add(c.Flags())
	v.compiles.add(c)
	return c
}

// sources checks what is served.
func (v *serving) sources(c *cobra.Command, args []string) error {
	if v.compiles.on {
		return v.compiles.in.sources(c, args)
	}
	return oneBundle(c, args)
}

func (v *serving) run(c *cobra.Command, a *app, args []string) error {
	o := &v.o
	if o.TLSCert+o.TLSKey+o.TLSCA+o.SPIFFESocket == "" && !o.InsecurePlaintextOnAnyAddress {
		o.SPIFFESocket = os.Getenv("SPIFFE_ENDPOINT_SOCKET")
	}
	if err := v.compiles.check(c); err != nil {
		return err
	}
	o.BundlePath, v.from.poll = strings.Join(args, " "), o.Poll
	switch {
	case o.Poll != 0:
	case v.compiles.on:
		v.from.poll = compilePoll
	case registry.IsReference(args[0]):
		v.from.poll = 30 * time.Second
	}
	level := slog.LevelInfo
	if a.quiet {
		level = slog.LevelWarn
	}
	o.Log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	cleanup, err := v.source(c, a, args)
	defer cleanup()
	if err != nil {
		return err
	}
	a.end.later(max(o.Drain, server.DefaultDrain) + time.Second)
	o.Ready = func(xds, admin net.Addr) {
		_, _ = fmt.Fprintf(a.stdout, "xds %s\n", xds)
		if admin != nil {
			_, _ = fmt.Fprintf(a.stdout, "admin %s\n", admin)
		}
	}
	return server.Run(c.Context(), *o)
}

// source settles where bundles come from, and what has the server look there before its time. cleanup is called at the end.
func (v *serving) source(c *cobra.Command, a *app, args []string) (cleanup func(), err error) {
	cleanup = func() {}
	wake := make(chan struct{}, 1)
	v.o.Wake = wake
	woken := func() {
		select {
		case wake <- struct{}{}:
		default: // it is known already
		}
	}
	if v.compiles.on {
		cleanup, err = v.compiles.apply(c, &v.from, args, &v.o, woken)
	} else {
		err = v.from.apply(a, &v.o)
	}
	if err != nil {
		return cleanup, err
	}
	pushed := woken
	if s, ok := v.o.Source.(*build.Source); ok {
		pushed = func() { s.Hint(); woken() }
	}
	return cleanup, v.hooks.apply(c.Context(), a, &v.o, pushed)
}

// addServeFlags adds the flags that are options of the server as they stand.
func addServeFlags(f *pflag.FlagSet, o *server.Options) {
	f.StringVar(&o.XDSAddress, "xds-address", "127.0.0.1:18000", "address of ADS")
	f.StringVar(&o.AdminAddress, "admin-address", "127.0.0.1:18001", "address of /healthz, /readyz, /watchz, /metrics and /status; - for none")
	f.StringSliceVar(&o.AdminNames, "admin-name", nil, "name by which the admin address may be asked, besides localhost and any IP address")
	f.StringVar(&o.AdminToken, "admin-token", "", "file with the token that meshc rollback has to show at the admin address, 16 characters at least; without it nobody may change anything there")
	f.BoolVar(&o.Watch, "watch", true, "take a new bundle at the path into service")
	f.StringVar(&o.TLSCert, "tls-cert", "", "certificate of the server, read again when it changes")
	f.StringVar(&o.TLSKey, "tls-key", "", "key of the server")
	f.StringVar(&o.TLSCA, "tls-ca", "", "CA that signs the proxies' certificates")
	f.StringVar(&o.SPIFFESocket, "spiffe-socket", "", "socket of a SPIFFE agent, unix:///PATH or a path, in place of the three files (default: SPIFFE_ENDPOINT_SOCKET of the environment)")
	f.StringVar(&o.TokenKeys, "token-keys", "", "file or folder of public keys of API servers (JSON Web Key Sets or PEM), read again when it changes: proxies may show a token of their service account that one of them has signed in place of a certificate")
	f.BoolVar(&o.TokenReview, "token-review", false, "ask the API server about such tokens instead (TokenReview), which knows whether the pod is still there")
	f.StringSliceVar(&o.TokenAudiences, "token-audience", nil, "audience of tokens that are taken (default "+server.DefaultAudience+")")
	f.StringSliceVar(&o.TokenIssuers, "token-issuer", nil, "issuer of tokens that are taken (default: any whose key is there)")
	f.StringSliceVar(&o.StatusNamespaces, "status-namespace", nil, "namespace whose accounts are told of all proxies when they ask over ADS as istioctl proxy-status does, those of others of the proxies of their own (default "+server.DefaultStatusNamespace+")")
	f.StringSliceVar(&o.TrustDomains, "trust-domain", nil, "trust domain of the proxies; several during a migration (default: whatever the CA signs; with an agent that of the server)")
	f.BoolVar(&o.InsecurePlaintextOnAnyAddress, "insecure-plaintext-on-any-address", false, "serve the mesh's configuration to anybody who can connect")
	f.BoolVar(&o.InsecureAdminOnAnyAddress, "insecure-admin-on-any-address", false, "serve health, metrics and the names of proxies to anybody who can connect")
	f.IntVar(&o.MaxStreams, "max-streams", 20000, "streams open at a time; -1 for any number")
	f.IntVar(&o.MaxStreamsPerIdentity, "max-streams-per-identity", 0, "of them, by callers with one SPIFFE ID; 0 for half of --max-streams, -1 for any number")
	f.Float64Var(&o.RequestRate, "max-request-rate", 200, "requests per second read from one proxy, ten times as many at once; -1 for any number")
	f.StringVar(&o.Endpoints, "endpoints", "", "file or folder of EndpointSlices, Pods and Nodes, as kubectl get -o yaml writes them, to follow")
	f.BoolVar(&o.KubernetesEndpoints, "kubernetes-endpoints", false, "follow EndpointSlices, Pods and Nodes of the API server")
	f.StringVar(&o.SecretsDir, "secrets", "", "directory of certificates and keys to hand out by SDS")
	f.BoolVar(&o.KubernetesSecrets, "kubernetes-secrets", false, "hand out credentials by SDS from Secrets and ConfigMaps of the API server")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "how to reach the API server (default: $KUBECONFIG, else as the pod's service account, else ~/.kube/config)")
	f.StringVar(&o.KubeContext, "context", "", "context of the kubeconfig (default: its current one)")
	f.IntVar(&o.MaxSecretWatches, "max-secret-watches", 1000, "objects of the API server that are watched at a time; -1 for any number")
	f.BoolVar(&o.InsecureSecretsWithoutTLS, "insecure-secrets-without-tls", false, "hand out private keys to anybody who can connect")
	f.DurationVar(&o.Poll, "poll", 0, "how often the bundle, besides notifications, and the secrets are looked at (default 2s; a registry 30s; sources 10s)")
	f.DurationVar(&o.Grace, "grace", 0, "how long a cluster that is gone stays with the proxies (default 5s)")
	f.DurationVar(&o.Drain, "drain", server.DefaultDrain, "how long connections may go on after the end")
}
