package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
)

func newCompile(a *app) *cobra.Command {
	var in input
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

BUNDLE is a directory, or an archive if it ends in .tar.gz or .tgz.`,
		Example: `  meshc compile mesh/ -o mesh.bundle
  meshc compile .git#ref=v1.4,subdir=mesh -o mesh.tar.gz
  meshc compile base/ --cluster east=clusters/east --cluster west=clusters/west -o mesh.bundle`,
		Args: in.sources,
		RunE: func(c *cobra.Command, args []string) error {
			if err := bundlePath(output); err != nil {
				return err
			}
			res, l, err := in.compile(c.Context(), a, args, false)
			if err != nil {
				return err
			}
			if err := a.print(a.stderr, "text", l, res); err != nil {
				return err
			}
			a.summary(res)
			if l.HasErrors() || res.Bundle == nil {
				a.note("no bundle was written")
				return ended(l)
			}
			if old, err := bundle.Read(output); ifChanged && err == nil && old.Digest == res.Bundle.Digest {
				a.note("%s has this configuration already", output)
			} else if err := a.end.write(c.Context(), func() error { return write(res.Bundle, output) }); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s  %s\n", res.Bundle.Digest, output)
			return err
		},
	}
	in.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "", "the bundle to write")
	c.Flags().BoolVar(&ifChanged, "if-changed", false, "leave a bundle alone that has the same configuration")
	return c
}

func bundlePath(p string) error {
	switch {
	case p == "":
		return errors.New("no bundle to write: say -o DIRECTORY or -o FILE.tar.gz")
	case strings.Contains(p, "://"):
		return fmt.Errorf("-o %s: a bundle is a directory or a .tar.gz file", p)
	}
	return nil
}

func write(b *bundle.Bundle, path string) error {
	if strings.HasSuffix(path, ".tar.gz") || strings.HasSuffix(path, ".tgz") {
		return b.WriteTarGz(path)
	}
	return b.WriteDir(path)
}
