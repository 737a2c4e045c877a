package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/files"
	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/regular"
)

// exportFlags are the flags of meshc export envoy.
type exportFlags struct {
	bootstrapFlags
	secrets string
	settle  time.Duration
}

func newExportEnvoy(a *app) *cobra.Command {
	f := &exportFlags{}
	c := &cobra.Command{
		Use:   "envoy BUNDLE --workload NAMESPACE/NAME -o DIR",
		Short: "Write what one proxy gets as files that Envoy reads without a server",
		Long: `envoy writes into DIR, on the host of the proxy, all that one proxy gets from a bundle: its bootstrap, DIR/envoy.json, and
listeners, routes, clusters and endpoints that the bootstrap leads to. Start the proxy with envoy --config-path DIR/envoy.json.

Another export into the same DIR changes a proxy that runs, without a restart: first clusters of both states are put in
place, then the new routes and listeners, then what is left of the old is taken away, each by one rename that Envoy watches
for, --settle apart. What is killed in between leaves a whole state in force, and the next export goes on from there.

Endpoints are those that the bundle has; what a server would fill in from a cluster, nobody does here.

--identity says where the proxy's certificate comes from:
  none    nowhere
  files   --cert, --key and --roots; Envoy watches them
  spire   from SPIRE's agent at --agent-socket
Credentials of gateways are files below --secrets DIR, laid out as for serve --secrets.`,
		Example: `  meshc export envoy mesh.tar.gz --workload shop/gateway --ip 10.0.0.7 -o /etc/envoy/mesh
  envoy --config-path /etc/envoy/mesh/envoy.json`,
		Args: oneBundle,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c.Context(), a, args[0]) },
	}
	p := c.Flags()
	f.proxyFlags(p)
	p.StringVar(&f.identity, "identity", identityNone, "none, files or spire")
	p.StringVar(&f.secrets, "secrets", "", "directory with credentials, on the host of the proxy")
	p.DurationVar(&f.settle, "settle", 5*time.Second, "how long each step of a change gets to take effect")
	p.StringVarP(&f.output, "output", "o", "", "directory to write")
	return c
}

func (f *exportFlags) run(ctx context.Context, a *app, name string) error {
	if f.output == "" {
		return errors.New("say which directory the proxy reads, -o DIR")
	}
	if f.settle < 0 {
		return errors.New("--settle is negative")
	}
	b, err := a.readBundle(ctx, name)
	if err != nil {
		return err
	}
	if err := f.fill(b); err != nil {
		return err
	}
	if err := f.identify(); err != nil {
		return err
	}
	class, node, err := f.class(b)
	if err != nil {
		return err
	}
	directory, err := filepath.Abs(f.output)
	if err != nil {
		return err
	}
	at := files.Place{Directory: directory, Secrets: f.secrets, Node: node, Account: f.ServiceAccount}
	set, err := files.New(b, class, at)
	if err != nil {
		return err
	}
	hollow, err := files.Hollow(class)
	if err != nil {
		return err
	}
	if len(hollow) > 0 {
		a.note("%d of the clusters have no endpoints in the bundle, and requests to them are answered with 503: %s", len(hollow), strings.Join(hollow, ", "))
	}
	f.Files = at.Bootstrap()
	boot, err := bootstrap.New(f.Options)
	if err != nil {
		return err
	}
	text, err := bootstrap.JSON(boot)
	if err != nil {
		return err
	}
	return f.put(ctx, a, b, set, directory, append(text, '\n'))
}

// put writes the set and the bootstrap, and says what is left to do.
func (f *exportFlags) put(ctx context.Context, a *app, b *bundle.Bundle, set files.Set, directory string, boot []byte) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	steps, err := files.Put(ctx, directory, set, f.settle)
	if err != nil {
		return fmt.Errorf("%s: %w", directory, err)
	}
	file := filepath.Join(directory, files.BootstrapFile)
	old, err := regular.ReadFile(file, int64(len(boot))+1)
	fresh := errors.Is(err, os.ErrNotExist)
	if same := err == nil && string(old) == string(boot); !same {
		if err := a.end.write(ctx, func() error { return bundle.ReplaceFile(file, boot) }); err != nil {
			return err
		}
		if !fresh {
			a.note("the bootstrap is another: start Envoy anew to have it read %s", file)
		}
	}
	if steps == 0 {
		a.note("%s has all of it already", directory)
	}
	_, err = fmt.Fprintf(a.stdout, "%s  %s\n", b.Digest, directory)
	return err
}

// identify resolves where the proxy has its certificate.
func (f *exportFlags) identify() error {
	if f.secrets != "" && !filepath.IsAbs(f.secrets) {
		return errors.New("--secrets is not an absolute path on the host of the proxy")
	}
	switch f.identity {
	case identityNone:
		f.AgentSocket = ""
		return nil
	case identityServer:
		return errors.New("--identity server needs a server: say files or spire")
	}
	if err := f.keysFrom(); err != nil {
		return err
	}
	f.sayFiles()
	return nil
}
