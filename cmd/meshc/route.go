package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// routeFlags are the flags that describe a request.
type routeFlags struct {
	from, to, method string
	headers          []string
	token, claims    string
	source, address  string
	identity         string
	alpn             []string
}

func newRoute(a *app) *cobra.Command {
	var in input
	var weights liveFlag
	var f routeFlags
	var output string
	c := &cobra.Command{
		Use:   "route SOURCE|BUNDLE --from CLIENT --to URL",
		Short: "Follow one request, with the source line behind each step",
		Long: `route says what the proxies do with one request: listener, filter chain, route, cluster, endpoint, and the same at the
server, with its access policies; for each step the file and line that made it. It reads the Envoy configuration in the
bundle and runs nothing. Where that cannot decide (weights, percentages, external authorizers, load balancing) it shows
each branch, with its probability where that is known.

SOURCE|BUNDLE is a bundle, a path or oci://HOST/REPOSITORY:TAG, or anything that compile reads, which is then compiled in memory.
CLIENT is a workload as NAMESPACE/NAME, the id of a class (meshc bundle inspect lists both), "gateway NAMESPACE/NAME" for
a client outside that calls a gateway, named by its Gateway or its workload, or "outside" for a client without a proxy.
URL has the scheme http, https, grpc, tcp or tls.

Exit code: 0 when every branch is allowed or answered, 1 when one is denied or fails, 2 when the sources do not compile.`,
		Example: `  meshc route mesh.bundle --from shop/web-v1 --to http://cart:8080/items
  meshc route mesh/ --from "gateway ingress/public" --to https://shop.example.com/ --header end-user=jason
  meshc route mesh.bundle --from shop/web-v1 --to http://cart:8080/items -X POST --claims '{"iss":"https://id.example.com","sub":"a"}'
  meshc route mesh.bundle --from shop/web-v1 --to tcp://db:5432 -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no SOURCE or BUNDLE")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			req, err := f.request()
			if err != nil {
				return err
			}
			b, err := a.bundleOf(c.Context(), &in, args)
			if err != nil {
				return err
			}
			if err := weights.apply(c.Context(), a, b); err != nil {
				return err
			}
			r, err := trace.New(b).Walk(req)
			if err != nil {
				return err
			}
			if output == "json" {
				err = r.JSON(a.stdout)
			} else {
				err = r.Print(a.stdout)
			}
			if err != nil {
				return err
			}
			for _, l := range r.Path.Leaves() {
				if v := l.Outcome.Verdict; v == trace.Denied || v == trace.Failed {
					return errFindings
				}
			}
			return nil
		},
	}
	in.flags(c)
	weights.flags(c.Flags())
	f.add(c)
	formatFlag(c, &output, "text", "json")
	_ = c.RegisterFlagCompletionFunc("from", completeClients)
	return c
}

func (f *routeFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.from, "from", "", "the client: NAMESPACE/NAME of a workload, a class, \"gateway NAMESPACE/NAME\" or \"outside\"")
	fl.StringVar(&f.to, "to", "", "the URL")
	fl.StringVarP(&f.method, "method", "X", "", "method (default GET, POST for grpc)")
	fl.StringArrayVarP(&f.headers, "header", "H", nil, "header as NAME=VALUE or NAME: VALUE; may be repeated")
	fl.StringVar(&f.token, "token", "", "bearer token, or @FILE; its signature counts as good")
	fl.StringVar(&f.claims, "claims", "", "claims of a bearer token as JSON, or @FILE; its signature counts as good")
	fl.StringVar(&f.source, "source-ip", "", "address of the client")
	fl.StringVar(&f.address, "address", "", "address that the name in the URL resolves to")
	fl.StringVar(&f.identity, "identity", "", "identity in the certificate of a client outside, as spiffe://…")
	fl.StringSliceVar(&f.alpn, "alpn", nil, "protocols that the client's own TLS offers (default h2,http/1.1 for https)")
	c.MarkFlagsMutuallyExclusive("token", "claims")
}

// completeClients offers the workloads, classes and gateways of the bundle that is named.
func completeClients(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 || !isBundle(args[0]) || registry.IsReference(args[0]) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	b, err := bundle.Read(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	add := func(s string) {
		if strings.HasPrefix(s, prefix) {
			out = append(out, s)
		}
	}
	for _, w := range b.Workloads {
		add(w.Namespace + "/" + w.Name)
	}
	for _, k := range b.Classes {
		add(k.ID)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// request turns the flags into a request.
func (f *routeFlags) request() (trace.Request, error) {
	r := trace.Request{From: f.from, Method: strings.ToUpper(f.method), URL: f.to, Identity: f.identity, ALPN: f.alpn}
	if f.from == "" {
		return r, errors.New("no client: say --from NAMESPACE/NAME, --from \"gateway NAMESPACE/NAME\" or --from outside")
	}
	if f.to == "" {
		return r, errors.New("no destination: say --to URL")
	}
	for _, h := range f.headers {
		if err := r.AddHeader(h); err != nil {
			return r, fmt.Errorf("--header: %w", err)
		}
	}
	for _, x := range []struct {
		flag, value string
		into        *netip.Addr
	}{{"source-ip", f.source, &r.Source}, {"address", f.address, &r.Address}} {
		if x.value == "" {
			continue
		}
		ip, err := netip.ParseAddr(x.value)
		if err != nil {
			return r, fmt.Errorf("--%s %s is no IP address", x.flag, x.value)
		}
		*x.into = ip
	}
	return r, f.addToken(&r)
}

func (f *routeFlags) addToken(r *trace.Request) error {
	switch {
	case f.claims != "":
		text, err := fileOrText(f.claims)
		if err != nil {
			return err
		}
		return r.AddClaims(text)
	case f.token != "":
		text, err := fileOrText(f.token)
		if err != nil {
			return err
		}
		t, err := trace.ParseToken(text)
		if err != nil {
			return fmt.Errorf("--token: %w", err)
		}
		r.AddToken(text, t)
	}
	return nil
}

// fileOrText reads @FILE.
func fileOrText(s string) (string, error) {
	name, ok := strings.CutPrefix(s, "@")
	if !ok {
		return s, nil
	}
	b, err := regular.ReadFile(name, limit.TextBytes)
	return strings.TrimSpace(string(b)), err
}

// isBundle tells a bundle from a source.
func isBundle(path string) bool {
	if registry.IsReference(path) || strings.HasSuffix(path, ".tar.gz") || strings.HasSuffix(path, ".tgz") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "manifest.json"))
	return err == nil
}

// isSourceArchive tells an archive of sources from one that is a bundle.
func isSourceArchive(path string) bool {
	_, err := bundle.Read(path)
	refused := (*bundle.Error)(nil)
	return errors.As(err, &refused) && refused.Code == bundle.CodeForeign
}

// bundleOf reads a bundle, or compiles sources to one in memory.
func (a *app) bundleOf(ctx context.Context, in *input, args []string) (*bundle.Bundle, error) {
	if len(args) == 1 && isBundle(args[0]) {
		b, err := a.readBundle(ctx, args[0])
		// An archive that holds other files is one of sources.
		if refused := (*bundle.Error)(nil); !errors.As(err, &refused) || refused.Code != bundle.CodeForeign {
			return b, err
		}
	}
	res, l, err := in.compile(ctx, a, args, false)
	if err != nil {
		return nil, err
	}
	if l.HasErrors() || !a.quiet {
		if err := a.print(a.stderr, "text", l, res); err != nil {
			return nil, err
		}
		a.sayBy()
	}
	if l.HasErrors() || res.Bundle == nil {
		return nil, errNotRun // there is nothing to ask
	}
	res.Bundle.RenameFiles(res.Display)
	return res.Bundle, nil
}
