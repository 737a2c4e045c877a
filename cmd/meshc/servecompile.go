package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/delivery/build"
	"github.com/meshc/meshc/delivery/clone"
	"github.com/meshc/meshc/delivery/hook"
	"github.com/meshc/meshc/delivery/source"
	"github.com/meshc/meshc/delivery/store"
	"github.com/meshc/meshc/server"
	"github.com/meshc/meshc/server/cluster"
	"github.com/meshc/meshc/server/kube"
)

// compileFlags have a server compile what it serves.
type compileFlags struct {
	on         bool
	kubernetes bool
	several    []string // NAME=KUBECONFIG
	work       string
	git        clone.Options
	in         input
	names      map[string]bool // of the flags of a compile
}

func (f *compileFlags) add(c *cobra.Command) {
	before := map[string]bool{}
	c.Flags().VisitAll(func(p *pflag.Flag) { before[p.Name] = true })
	f.in.flags(c)
	f.names = map[string]bool{}
	c.Flags().VisitAll(func(p *pflag.Flag) {
		if !before[p.Name] {
			f.names[p.Name] = true
		}
	})
	s := c.Flags()
	s.BoolVar(&f.on, "compile", false, "compile SOURCE... in the place of a bundle, and again whenever it changes")
	s.BoolVar(&f.kubernetes, "kubernetes", false, "with --compile, follow Namespaces, Nodes, Services, EndpointSlices and Pods of the API server and compile with what is there, as --observed does; includes --kubernetes-endpoints")
	s.StringArrayVar(&f.several, "kubernetes-cluster", nil, "NAME=KUBECONFIG: the same for one of several clusters, by the current context of a kubeconfig, or without one as the pod's service account; may be repeated")
	s.StringVar(&f.work, "work", "", "folder for copies of remote repositories and for what is being compiled (default: with --keep a folder in it, else a temporary one)")
	s.StringVar(&f.git.TokenFile, "git-token", "", "file with the token, or password, for remote repositories by https")
	s.StringVar(&f.git.SSHKey, "git-ssh-key", "", "file with the private key for remote repositories by ssh (default: the agent of SSH_AUTH_SOCK)")
	s.StringVar(&f.git.KnownHosts, "git-known-hosts", "", "file with the keys of hosts, for ssh (default: ~/.ssh/known_hosts and the system's)")
	s.StringVar(&f.git.Keyring, "git-keyring", "", "file with armored OpenPGP keys: commits of remote repositories that none of them has signed are not compiled")
}

// check refuses flags that do nothing without another.
func (f *compileFlags) check(c *cobra.Command) error {
	if f.on {
		if f.kubernetes && (len(f.in.clusters) > 0 || len(f.several) > 0) {
			return errors.New("--kubernetes follows the one cluster of the API server; where the mesh has several, write --kubernetes-cluster NAME=KUBECONFIG for each")
		}
		_, err := f.clusters()
		return err
	}
	var alone error
	c.Flags().Visit(func(p *pflag.Flag) {
		switch p.Name {
		case "kubernetes", "kubernetes-cluster", "work", "git-token", "git-ssh-key", "git-known-hosts", "git-keyring":
		default:
			if !f.names[p.Name] {
				return
			}
		}
		alone = fmt.Errorf("--%s is about compiling: it counts with --compile only", p.Name)
	})
	return alone
}

// followed is a cluster of the mesh whose API server is followed.
type followed struct{ name, kubeconfig string }

// clusters are those of --kubernetes-cluster.
func (f *compileFlags) clusters() ([]followed, error) {
	var out []followed
	for _, s := range f.several {
		name, kubeconfig, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--kubernetes-cluster %s: write NAME=KUBECONFIG", s)
		}
		if slices.ContainsFunc(out, func(c followed) bool { return c.name == name }) {
			return nil, fmt.Errorf("--kubernetes-cluster: two are called %s", name)
		}
		out = append(out, followed{name, kubeconfig})
	}
	return out, nil
}

// arguments are those of a compile with the flags that were given.
func (f *compileFlags) arguments(c *cobra.Command) []string {
	out := []string{"compile", "--quiet"}
	c.Flags().Visit(func(p *pflag.Flag) {
		if !f.names[p.Name] {
			return
		}
		if list, ok := p.Value.(pflag.SliceValue); ok {
			for _, v := range list.GetSlice() {
				out = append(out, "--"+p.Name+"="+v)
			}
			return
		}
		if p.Name == "severity" {
			for _, code := range slices.Sorted(maps.Keys(f.in.severity)) {
				out = append(out, "--severity="+code+"="+f.in.severity[code])
			}
			return
		}
		out = append(out, "--"+p.Name+"="+p.Value.String())
	})
	return out
}

// beside are the files and folders that count besides sources: what flags name, where there are clusters behind a name.
func (f *compileFlags) beside() ([]string, error) {
	out := slices.Clone(f.in.policies)
	if f.in.config != "" {
		out = append(out, f.in.config)
	}
	for _, file := range slices.Concat(f.in.addresses, f.in.observed) {
		if _, rest, named := strings.Cut(file, "="); named && len(f.in.clusters) > 0 {
			file = rest
		}
		out = append(out, file)
	}
	clusters, err := f.in.readClusters()
	if err != nil {
		return nil, err
	}
	for _, c := range clusters {
		for _, s := range c.Sources {
			path, err := load.Watched(s)
			if err != nil {
				return nil, fmt.Errorf("--cluster %s=%s: %w", c.Name, s, err)
			}
			out = append(out, path)
		}
	}
	return out, nil
}

// apply has the server take its bundles from sources. cleanup is called when it has ended.
func (f *compileFlags) apply(c *cobra.Command, from *sourceFlags, args []string, o *server.Options, wake func()) (cleanup func(), err error) {
	cleanup = func() {}
	if from.trust != "" {
		return cleanup, errors.New("--trust is about bundles that others have signed, and with --compile the server makes its own; --git-keyring says whose commits count")
	}
	var kept *store.Store
	if from.keep != "" {
		kept = store.New(from.keep)
		o.Store = source.Library{Store: kept}
	}
	work := f.work
	switch {
	case work != "":
	case from.keep != "":
		work = filepath.Join(from.keep, "work")
	default:
		if work, err = os.MkdirTemp("", "meshc-serve-"); err != nil {
			return cleanup, err
		}
		cleanup = func() { _ = os.RemoveAll(work) }
	}
	program, err := os.Executable()
	if err != nil {
		return cleanup, err
	}
	beside, err := f.beside()
	if err != nil {
		return cleanup, err
	}
	b := build.Options{Compile: append([]string{program}, f.arguments(c)...), Folder: filepath.Join(work, "compile"), Store: kept,
		Guard: &source.Guard{Allow: from.allowOlder}, Poll: from.poll, Log: o.Log, Beside: beside}
	for _, s := range args {
		p, err := f.part(s, work)
		if err != nil {
			return cleanup, err
		}
		b.Parts = append(b.Parts, p)
	}
	if b.Observed, err = f.observe(c.Context(), o, wake); err != nil {
		return cleanup, err
	}
	s := build.New(b)
	o.Source = s
	return cleanup, s.Clean()
}

// part is a source, remote or not.
func (f *compileFlags) part(arg, work string) (build.Part, error) {
	g, err := load.ParseGit(arg)
	if err != nil {
		return build.Part{}, err
	}
	if arg == "-" {
		return build.Part{}, errors.New("standard input does not change: compile it, and serve the bundle")
	}
	if !clone.Remote(g.Repository) {
		path, err := load.Watched(arg)
		return build.Part{Source: arg, Path: path}, err
	}
	o := f.git
	o.URL, o.Ref = g.Repository, g.Ref
	sum := sha256.Sum256([]byte(o.URL + " " + o.Ref))
	o.Folder = filepath.Join(work, "git-"+hex.EncodeToString(sum[:8]))
	copied, err := clone.New(o)
	if err != nil {
		return build.Part{}, err
	}
	return build.Part{Source: arg, Clone: copied, At: func(c clone.Commit) string {
		return load.GitSource{Repository: c.Repository, Ref: c.Hash, Subdir: g.Subdir}.String()
	}}, nil
}

// observe follows the clusters that the compiles are to see. Of a single one the server hears of endpoints by the same watches, which
// then do not wait for a compile.
func (f *compileFlags) observe(ctx context.Context, o *server.Options, wake func()) (out []build.Observed, err error) {
	if f.kubernetes {
		one, watches, err := follow(ctx, "", kube.Options{Kubeconfig: o.Kubeconfig, Context: o.KubeContext, Log: o.Log}, wake)
		o.KubernetesEndpoints, o.Watches = true, watches
		return []build.Observed{one}, err
	}
	all, err := f.clusters()
	for _, c := range all {
		if err != nil {
			break
		}
		var one build.Observed
		one, _, err = follow(ctx, c.name, kube.Options{Kubeconfig: c.kubeconfig, Log: o.Log.With("cluster", c.name)}, wake)
		out = append(out, one)
	}
	return out, err
}

// follow follows one cluster until the context ends.
func follow(ctx context.Context, name string, o kube.Options, wake func()) (build.Observed, *cluster.Watches, error) {
	watches := cluster.NewWatches()
	o.Failed = watches.Failed
	api, err := kube.Connect(o)
	if err != nil {
		if name != "" {
			err = fmt.Errorf("--kubernetes-cluster %s: %w", name, err)
		}
		return build.Observed{}, nil, err
	}
	seen := cluster.New(wake)
	seen.Follow(watches)
	go func() {
		watches.Run(ctx, api)
		api.Close()
	}()
	return build.Observed{Cluster: name, List: seen.List}, watches, nil
}

// hookFlags have webhooks wake whatever brings bundles.
type hookFlags struct{ address, secret string }

func (h *hookFlags) add(f *pflag.FlagSet) {
	f.StringVar(&h.address, "webhook-address", "", "address that takes webhooks of a forge or a registry, each of which causes a look at once; wants --webhook-secret")
	f.StringVar(&h.secret, "webhook-secret", "", "file with the secret that webhooks are signed with, or show, 16 characters at least")
}

// apply listens.
func (h *hookFlags) apply(ctx context.Context, a *app, o *server.Options, wake func()) error {
	switch {
	case h.address == "" && h.secret == "":
		return nil
	case h.address == "" || h.secret == "":
		return errors.New("webhooks want both --webhook-address and --webhook-secret")
	case o.Source == nil:
		return errors.New("--webhook-address is for bundles of a registry and for --compile; a path is looked at when it changes")
	}
	hooks, err := hook.New(h.secret, wake, o.Log)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", h.address)
	if err != nil {
		return err
	}
	go func() {
		if err := hooks.Serve(ctx, l); err != nil {
			o.Log.Error("webhooks are not taken any more", "error", err.Error())
		}
	}()
	_, err = fmt.Fprintf(a.stdout, "webhook %s\n", l.Addr())
	return err
}

// compilePoll is how often sources are looked at.
const compilePoll = 10 * time.Second
