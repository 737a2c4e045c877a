package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/manifest"
)

func newExportKubernetes(a *app) *cobra.Command {
	var in input
	var o manifest.Options
	var wait manifest.Wait
	var timeout time.Duration
	var keep bool
	c := &cobra.Command{
		Use:   "kubernetes SOURCE...|BUNDLE",
		Short: "Print the Kubernetes objects that deliver a bundle",
		Long: `kubernetes compiles the sources, or reads a bundle, and prints the objects that bring it to the servers of a cluster, for
Argo CD, kubectl apply and the like: a ConfigMap with the archive, which servers mount as a folder. Findings go to standard
error; if one is an error nothing is printed.

With --wait HOST:PORT and --image, a Job beside it ends well when all proxies of the server at that admin address have
acknowledged the bundle. For Argo CD it is a PostSync hook: a sync is done when the proxies have it.

The commit is left out, unless --revision is said: a commit that does not touch the mesh changes nothing then.`,
		Example: `  meshc export kubernetes overlays/prod --target-namespace mesh-system | kubectl apply --server-side -f -
  meshc export kubernetes mesh.tar.gz --wait meshc.mesh-system:18001 --image registry.example.com/meshc:v1`,
		Args: in.sources,
		RunE: func(c *cobra.Command, args []string) error {
			if (wait.Admin == "") != (wait.Image == "") {
				return errors.New("--wait and --image go together: a Job asks the server at the one, with the program in the other")
			}
			if wait.Admin != "" {
				wait.Timeout, o.Wait = timeout.String(), &wait
			}
			b, err := a.bundleOf(c.Context(), &in, args)
			if err != nil {
				return err
			}
			if !keep {
				if err := b.SetSource(bundle.SourceInfo{}); err != nil {
					return err
				}
			}
			text, err := manifest.Objects(b, o)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	in.flags(c)
	f := c.Flags()
	f.StringVar(&o.Name, "name", "mesh-bundle", "name of the ConfigMap")
	f.StringVar(&o.Namespace, "target-namespace", "", "namespace of the objects (default: where they are applied)")
	f.StringVar(&wait.Admin, "wait", "", "HOST:PORT of the admin address of the server to wait for")
	f.StringVar(&wait.Image, "image", "", "image with meshc as its entry point, for --wait")
	f.DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for the proxies")
	f.BoolVar(&keep, "revision", false, "say the commit in the bundle, so that each commit is a change")
	return c
}
