package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/delivery/admission"
	"github.com/meshc/meshc/delivery/build"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/server/kube"
)

// webhook is what flags say of a webhook, and what it knows.
type webhook struct {
	inject     injectFlags
	opts       admission.Options
	address    string
	kubernetes bool
	api        kube.Options

	around atomic.Pointer[compiler.Surroundings]
	turn   sync.Mutex // held while what is around pods changes: new mesh sources know the Namespaces of now

	mu         sync.Mutex
	namespaces map[string]*corev1.Namespace // nil: not heard yet
}

func newWebhook(a *app) *cobra.Command {
	var w webhook
	c := &cobra.Command{
		Use:   "webhook --mesh SOURCE --tls-cert FILE --tls-key FILE",
		Short: "Give pods their proxy when an API server admits them",
		Long: `webhook answers an API server that asks about pods (AdmissionReview v1, POST /inject): each comes back with its proxy, exactly as
meshc inject gives it to the same pod in a manifest, with the same flags. It is a process of its own, beside meshc serve, since it
needs other rights, and pods cannot start without it.

Labels of Namespaces come from --mesh, and with --kubernetes from the API server, which must let it list and watch namespaces.
--mesh is read again when it changes. What stands against injection, such as an annotation that a stock Envoy cannot do, refuses
the pod with the reason; with --fail-open the pod is let in without a proxy, with a warning. What the API server does when nobody
answers is the failurePolicy of its MutatingWebhookConfiguration: see docs/guides/webhook.md.

The certificate is read again when its files change. /healthz and /readyz are for probes. SIGINT and SIGTERM finish what is under way.`,
		Example: `  meshc webhook --mesh mesh/ --tls-cert tls.crt --tls-key tls.key --kubernetes`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return w.run(c.Context(), a) },
	}
	w.inject.add(c)
	f := c.Flags()
	f.StringVar(&w.address, "address", ":9443", "address that takes reviews")
	f.StringVar(&w.opts.Cert, "tls-cert", "", "certificate, read again when it changes")
	f.StringVar(&w.opts.Key, "tls-key", "", "its key")
	f.BoolVar(&w.opts.Open, "fail-open", false, "a pod that something stands against is let in without a proxy, with a warning")
	f.BoolVar(&w.kubernetes, "kubernetes", false, "follow the Namespaces of the API server; those of --mesh count where it has none")
	f.StringVar(&w.api.Kubeconfig, "kubeconfig", "", "how to reach the API server (default: $KUBECONFIG, else as the pod's service account, else ~/.kube/config)")
	f.StringVar(&w.api.Context, "context", "", "context of the kubeconfig (default: its current one)")
	return c
}

// webhookPoll is how often mesh sources are looked at.
const webhookPoll = 5 * time.Second

func (w *webhook) run(ctx context.Context, a *app) error {
	if w.opts.Cert == "" || w.opts.Key == "" {
		return errors.New("an API server asks over TLS only: give --tls-cert and --tls-key")
	}
	level := slog.LevelInfo
	if a.quiet {
		level = slog.LevelWarn
	}
	w.opts.Log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	w.inject.Classic = !w.inject.native
	if err := w.inject.readTemplates(); err != nil {
		return err
	}
	stamp, err := w.look(ctx)
	if err != nil {
		return err
	}
	if w.kubernetes {
		if err := w.follow(ctx); err != nil {
			return err
		}
	}
	w.opts.Ready = w.ready
	h, err := admission.New(w.opts, w.one)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", w.address)
	if err != nil {
		return err
	}
	a.end.later(10 * time.Second)
	go w.watch(ctx, stamp)
	if _, err := fmt.Fprintf(a.stdout, "webhook %s\n", l.Addr()); err != nil {
		return err
	}
	if err := a.stdout.Flush(); err != nil {
		return err
	}
	return h.Serve(ctx, l)
}

// stamp changes when mesh sources may have.
func (w *webhook) stamp() (string, error) {
	paths := make([]string, 0, len(w.inject.mesh))
	for _, s := range w.inject.mesh {
		path, err := load.Watched(s)
		if err != nil {
			return "", err
		}
		paths = append(paths, path)
	}
	return build.Stamp(paths...)
}

// look reads mesh sources.
func (w *webhook) look(ctx context.Context) (stamp string, err error) {
	if stamp, err = w.stamp(); err != nil {
		return "", err
	}
	next, findings, err := compiler.Surround(ctx, w.inject.mesh, compiler.Options{Namespace: w.inject.namespace})
	if err != nil {
		return "", err
	}
	if findings.HasErrors() {
		return "", errors.New("--mesh: " + told(findings)[0])
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	if err := w.see(ctx, next); err != nil {
		return "", err
	}
	w.around.Store(next)
	return stamp, nil
}

// watch reads mesh sources again when they change. What cannot be read leaves what was.
func (w *webhook) watch(ctx context.Context, stamp string) {
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(webhookPoll):
		}
		now, err := w.stamp()
		if err == nil && now == stamp {
			continue
		}
		if err == nil {
			stamp = now
			_, err = w.look(ctx)
		}
		switch {
		case err == nil:
			failed = ""
			w.opts.Log.Info("mesh sources were read again")
		case ctx.Err() == nil && err.Error() != failed:
			failed = err.Error()
			w.opts.Log.Error("mesh sources cannot be read, what they held before counts", "error", failed)
		}
	}
}

// follow keeps the Namespaces of the API server.
func (w *webhook) follow(ctx context.Context) error {
	w.api.Log = w.opts.Log
	api, err := kube.Connect(w.api)
	if err != nil {
		return err
	}
	change := func(do func()) {
		w.turn.Lock()
		defer w.turn.Unlock()
		w.mu.Lock()
		do()
		w.mu.Unlock()
		if err := w.see(ctx, w.around.Load()); err != nil && ctx.Err() == nil {
			w.opts.Log.Error("Namespaces of the API server cannot be read", "error", err.Error())
		}
	}
	go func() {
		defer api.Close()
		kube.Watch(ctx, api, kube.Query{}, kube.Sink[*corev1.Namespace]{
			Replace: func(all []*corev1.Namespace) {
				change(func() {
					w.namespaces = map[string]*corev1.Namespace{}
					for _, n := range all {
						w.namespaces[n.Name] = n
					}
				})
			},
			Put:    func(n *corev1.Namespace) { change(func() { w.namespaces[n.Name] = n }) },
			Delete: func(n *corev1.Namespace) { change(func() { delete(w.namespaces, n.Name) }) },
		})
	}()
	return nil
}

// see hands the Namespaces that were heard to what is around pods.
func (w *webhook) see(ctx context.Context, around *compiler.Surroundings) error {
	w.mu.Lock()
	list := map[string]any{"apiVersion": "v1", "kind": "List"}
	items := make([]any, 0, len(w.namespaces))
	for _, n := range w.namespaces {
		items = append(items, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": n.Name, "labels": n.Labels, "annotations": n.Annotations}})
	}
	heard := w.namespaces != nil
	w.mu.Unlock()
	if !heard {
		return nil
	}
	list["items"] = items
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return around.See(ctx, text)
}

// ready tells why nothing can be answered yet.
func (w *webhook) ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kubernetes && w.namespaces == nil {
		return errors.New("the Namespaces of the API server are not known yet")
	}
	return nil
}

// one gives a pod its proxy.
func (w *webhook) one(pod []byte) (injected []byte, reasons []string, err error) {
	done, findings, err := w.around.Load().Inject(context.Background(), pod, compiler.Options{Namespace: w.inject.namespace, Lenient: true}, w.inject.Settings)
	if err != nil {
		return nil, nil, err
	}
	if findings.HasErrors() {
		return nil, told(findings), nil
	}
	injected, err = yaml.YAMLToJSON(bytes.TrimPrefix(done.Text, []byte("---\n")))
	return injected, nil, err
}

// told are errors in a line each, with what to do.
func told(findings diag.List) (out []string) {
	for _, d := range findings {
		if d.Severity == diag.Error {
			text := d.Code + " " + d.Message
			if d.Help != "" {
				text += " (" + d.Help + ")"
			}
			out = append(out, text)
		}
	}
	return out
}
