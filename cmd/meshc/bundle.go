package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

func newBundle(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "bundle",
		Short: "Look into a bundle, carry it to and from registries, sign it and verify it",
		Args:  noVerb,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBundleXDS(a), newBundleInspect(a), newBundlePush(a), newBundlePull(a), newBundleCopy(a), newBundleTag(a), newBundleSign(a), newBundleVerify(a))
	c.AddCommand(newBundleExport(a), newBundleImport(a))
	return c
}

func newBundleXDS(a *app) *cobra.Command {
	var node string
	c := &cobra.Command{
		Use:   "xds BUNDLE --node NODE.json",
		Short: "Print what one proxy gets, as JSON",
		Long: `xds finds the class of a node and prints its resources as the server would send them, virtual hosts inlined:
{"listeners":[],"routes":[],"clusters":[],"endpoints":[]}. NODE.json is the node of an Envoy bootstrap, - is standard input.`,
		Args: oneBundle,
		RunE: func(c *cobra.Command, args []string) error {
			if node == "" {
				return fmt.Errorf("no node: say --node NODE.json")
			}
			b, err := a.readBundle(c.Context(), args[0])
			if err != nil {
				return err
			}
			text, err := a.readFile(node)
			if err != nil {
				return err
			}
			n, err := bundle.NodeFromJSON(text)
			if err != nil {
				return fmt.Errorf("%s: %w", node, err)
			}
			class, err := b.ClassOf(n)
			if err != nil {
				return err
			}
			out, err := b.XDS(class)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s\n", out)
			return err
		},
	}
	c.Flags().StringVar(&node, "node", "", "file with the node")
	return c
}

func newBundleInspect(a *app) *cobra.Command {
	var output string
	var access bool
	c := &cobra.Command{
		Use:   "inspect BUNDLE",
		Short: "Print what a bundle holds: classes, resources, sizes, origins; or who may reach what",
		Long: `inspect prints what a bundle holds. With --access it lists instead, for each server and port, the mutual TLS mode and
the rules about who may do what, in the order in which they are asked, with the source line of each.`,
		Example: `  meshc bundle inspect mesh.bundle
  meshc bundle inspect mesh.bundle --access`,
		Args: oneBundle,
		RunE: func(c *cobra.Command, args []string) error {
			b, err := a.readBundle(c.Context(), args[0])
			if err != nil {
				return err
			}
			if access {
				rows, err := trace.New(b).Access()
				switch {
				case err != nil:
					return err
				case output == "json":
					return trace.AccessJSON(a.stdout, rows)
				}
				return trace.PrintAccess(a.stdout, rows)
			}
			if output == "json" {
				return b.InspectJSON(a.stdout)
			}
			return b.Inspect(a.stdout)
		},
	}
	formatFlag(c, &output, "text", "json")
	c.Flags().BoolVar(&access, "access", false, "who may reach what")
	return c
}

// oneBundle wants the path of a bundle.
func oneBundle(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one BUNDLE, a directory, a .tar.gz file or oci://HOST/REPOSITORY:TAG; there are %d arguments", len(args))
	}
	return nil
}

// readFile reads a small file that is neither a source nor a bundle, or standard input.
func (a *app) readFile(name string) ([]byte, error) {
	if name != "-" {
		return regular.ReadFile(name, limit.TextBytes)
	}
	b, err := io.ReadAll(io.LimitReader(a.stdin, limit.TextBytes+1))
	if err == nil && len(b) > limit.TextBytes {
		err = fmt.Errorf("standard input is larger than %d bytes", limit.TextBytes)
	}
	return b, err
}
