// Package kube is the server's way to the API server of a Kubernetes cluster: who to ask and as whom, and one primitive,
// Watch, which lists objects and then follows them; besides, ReviewToken asks whose a token is. It knows what is read, and
// nothing of what that is for.
//
// It is the only package that links k8s.io/client-go, and of that the REST client and the reflector alone: no clientset,
// no informer, no kind that is not read here.
package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshc/meshc/internal/regular"
)

// Options say which API server to ask, and as whom.
type Options struct {
	Kubeconfig string // file; "": those in $KUBECONFIG, else the service account of the pod, else ~/.kube/config
	Context    string // of the kubeconfig; "": its current one

	Log *slog.Logger // default: none

	// Failed is called for each request that fails, with one of the reasons that Problem has.
	Failed func(reason string)

	MinRetry, MaxRetry time.Duration // wait after a failure, doubled each time and up to twice as long by chance; default 800 ms and 30 s
}

// Client asks one API server. All of its watches share connections, a bound on requests per second and a log, in which
// what troubles many of them stands once.
type Client struct {
	opts    Options
	address string
	http    *http.Client
	groups  map[schema.GroupVersion]*rest.RESTClient
	params  runtime.ParameterCodec

	mu       sync.Mutex
	troubled map[string]int // text of a problem → watches that have it
}

// requestRate bounds the requests per second of a client, ten times as many at once. The API server has bounds of its
// own; this one keeps a restart with many watches from being a burst to it.
const requestRate = 50

// Connect reads the settings. It makes no request: an API server that is down delays what is read, and not the start.
func Connect(o Options) (*Client, error) {
	if o.MinRetry == 0 {
		o.MinRetry = 800 * time.Millisecond
	}
	if o.MaxRetry == 0 {
		o.MaxRetry = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Failed == nil {
		o.Failed = func(string) {}
	}
	cfg, err := settings(o)
	if err != nil {
		return nil, err
	}
	if err := private(cfg); err != nil {
		return nil, err
	}
	if err := pluggedIn(cfg); err != nil {
		return nil, err
	}
	if cfg.Insecure {
		o.Log.Warn("the kubeconfig says insecure-skip-tls-verify: whoever is in the middle can pass for the API server and read what is asked of it", "api", cfg.Host)
	}
	cfg.UserAgent, cfg.QPS, cfg.Burst = "meshc", requestRate, 10*requestRate
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	c := &Client{opts: o, address: cfg.Host, groups: map[schema.GroupVersion]*rest.RESTClient{}, troubled: map[string]int{}}
	if c.http, err = rest.HTTPClientFor(cfg); err != nil {
		return nil, fmt.Errorf("settings for the API server %s: %w", cfg.Host, err)
	}
	scheme := runtime.NewScheme()
	for gv, add := range map[schema.GroupVersion]func(*runtime.Scheme) error{
		corev1.SchemeGroupVersion: corev1.AddToScheme, discoveryv1.SchemeGroupVersion: discoveryv1.AddToScheme, authenticationv1.SchemeGroupVersion: authenticationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
		if c.groups[gv], err = c.group(*cfg, gv, scheme); err != nil {
			return nil, fmt.Errorf("settings for the API server %s: %w", cfg.Host, err)
		}
	}
	c.params = runtime.NewParameterCodec(scheme)
	return c, nil
}

func (c *Client) group(cfg rest.Config, gv schema.GroupVersion, scheme *runtime.Scheme) (*rest.RESTClient, error) {
	cfg.GroupVersion, cfg.APIPath = &gv, "/apis"
	if gv.Group == "" {
		cfg.APIPath = "/api"
	}
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	cfg.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return rest.RESTClientForConfigAndClient(&cfg, c.http)
}

// Address is that of the API server, for messages.
func (c *Client) Address() string { return c.address }

// Close lets go of connections that are idle. Watches end with their contexts.
func (c *Client) Close() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }

// settings finds the API server as kubectl does, except that inside a pod its service account comes before a file in the
// home directory.
func settings(o Options) (*rest.Config, error) {
	if o.Kubeconfig == "" && o.Context == "" && os.Getenv(clientcmd.RecommendedConfigPathEnvVar) == "" {
		cfg, err := rest.InClusterConfig()
		if err == nil {
			return cfg, nil
		}
		if !errors.Is(err, rest.ErrNotInCluster) {
			return nil, fmt.Errorf("the service account of this pod cannot be used: %w; mount it (automountServiceAccountToken), or give --kubeconfig", err)
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	rules.Warner = func(err error) { o.Log.Warn("kubeconfig", "problem", err.Error()) }
	for _, file := range rules.GetLoadingPrecedence() { // those that are not there are left to the rules
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			if err := regular.Check(file, info.Mode()); err != nil {
				return nil, fmt.Errorf("kubeconfig: %w", err)
			}
		}
	}
	raw, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if len(raw.Clusters) == 0 {
		return nil, errors.New("no API server to ask: this is not a pod of a cluster, and there is no kubeconfig; give --kubeconfig FILE or set KUBECONFIG")
	}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*raw, o.Context, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return cfg, nil
}

// private refuses to ask in the clear over a network: keys and tokens would be there for all to read.
func private(cfg *rest.Config) error {
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return fmt.Errorf("address of the API server %.200q: %w", cfg.Host, err)
	}
	if base.Scheme == "https" || loopback(base) {
		return nil
	}
	return fmt.Errorf("the API server %s is asked without TLS, and is not on this host: keys would cross the network for all to read; name it by https:// in the kubeconfig", cfg.Host)
}

// pluggedIn tells whether the program is there that a kubeconfig gets its credentials from, as those of clouds do. In an image with
// nothing but meshc there is none, and no request would ever get through.
func pluggedIn(cfg *rest.Config) error {
	if cfg.ExecProvider == nil {
		return nil
	}
	if _, err := exec.LookPath(cfg.ExecProvider.Command); err != nil {
		return fmt.Errorf("the kubeconfig for %s gets its credentials by running %.200q, which cannot be run here (%w): put the program there, or use a kubeconfig with a token (tokenFile is read again when it changes) or a certificate", cfg.Host, cfg.ExecProvider.Command, err)
	}
	return nil
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
