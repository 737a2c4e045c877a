package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
)

func newCompile(a *app) *cobra.Command {
	var in input
	var also reports
	var output string
	var ifChanged bool
	c := &cobra.Command{
		Use:   "compile SOURCE... -o BUNDLE",
		Short: "Compile the sources to a bundle",
		Long: `compile runs all phases of the compiler. If no finding is an error it writes the bundle, in one step, and prints its
digest; else nothing is written and an older bundle of that name stays as it is. The digest is that of the configuration:
lines that move, and commits that change something else, do not change it. With --if-changed a bundle that has it already
stays as it is, with the commit that it was compiled from.

SOURCE is a file, a directory, a kustomization, - for standard input, or PATH/.git#ref=REV,subdir=DIR.
Where the mesh spans several Kubernetes clusters, --cluster NAME=SOURCE names what is applied to each (SOURCE... counts
for all); services of one namespace and name are one service, and a proxy is told by its metadata CLUSTER_ID which
cluster it is in. meshc.yaml can hold the same as clusters: {NAME: [SOURCE]}.

BUNDLE is a directory, an archive if it ends in .tar.gz or .tgz, or oci://HOST/REPOSITORY:TAG, to which it is pushed when it
is compiled, with the credentials in docker's config.json; helpers for credentials are programs, and no compile starts one.`,
		Example: `  meshc compile mesh/ -o mesh.bundle
  meshc compile .git#ref=v1.4,subdir=mesh -o mesh.tar.gz
  meshc compile base/ --cluster east=clusters/east --cluster west=clusters/west -o mesh.bundle`,
		Args: in.sources,
		RunE: func(c *cobra.Command, args []string) error {
			if err := bundlePath(output); err != nil {
				return err
			}
			if err := also.check(); err != nil {
				return err
			}
			res, l, err := in.compile(c.Context(), a, args, false)
			if err != nil {
				return err
			}
			if err := a.print(a.stderr, "text", l, res); err != nil {
				return err
			}
			if err := also.write(c.Context(), a, l, res); err != nil {
				return err
			}
			a.summary(res)
			if l.HasErrors() || res.Bundle == nil {
				a.note("no bundle was written")
				return ended(l)
			}
			if ifChanged && a.isAt(c.Context(), res.Bundle, output) {
				a.note("%s has this configuration already", output)
			} else if err := a.put(c.Context(), res.Bundle, output); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s  %s\n", res.Bundle.Digest, output)
			return err
		},
	}
	in.flags(c)
	also.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "", "the bundle to write")
	c.Flags().BoolVar(&ifChanged, "if-changed", false, "leave a bundle alone that has the same configuration")
	return c
}

func bundlePath(p string) error {
	switch {
	case p == "":
		return errors.New("no bundle to write: say -o DIRECTORY, -o FILE.tar.gz or -o oci://HOST/REPOSITORY:TAG")
	case registry.IsReference(p):
		_, err := registry.Parse(p)
		return err
	case strings.Contains(p, "://"):
		return fmt.Errorf("-o %s: a bundle is a directory, a .tar.gz file or oci://HOST/REPOSITORY:TAG", p)
	}
	return nil
}

// isAt tells whether a bundle with this configuration is where it would go.
func (a *app) isAt(ctx context.Context, b *bundle.Bundle, output string) bool {
	r, err := registry.Parse(output)
	if err != nil {
		old, err := bundle.Read(output)
		return err == nil && old.Digest == b.Digest
	}
	digest, err := a.registry(false).Bundle(ctx, r)
	return err == nil && digest == b.Digest.String()
}

// put writes a bundle to where it goes.
func (a *app) put(ctx context.Context, b *bundle.Bundle, output string) error {
	r, err := registry.Parse(output)
	if err != nil {
		return a.end.write(ctx, func() error { return write(b, output) })
	}
	p, err := a.registry(false).Push(ctx, r, b, registry.About{})
	if err != nil {
		return err
	}
	a.notePushed(p)
	a.note("pushed %s", p.Ref)
	return nil
}

func write(b *bundle.Bundle, path string) error {
	if strings.HasSuffix(path, ".tar.gz") || strings.HasSuffix(path, ".tgz") {
		return b.WriteTarGz(path)
	}
	return b.WriteDir(path)
}
