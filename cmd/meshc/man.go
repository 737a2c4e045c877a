package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan(*app) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write manual pages of all verbs",
		Long: `man writes a manual page for meshc and for each of its verbs, as man reads them. They say what --help says. What is in the way
of a page is replaced; nothing else in DIRECTORY is touched.`,
		Example: "  meshc man /usr/local/share/man/man1 && man meshc-diff",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			undated(c.Root())
			return doc.GenManTreeFromOpts(c.Root(), doc.GenManTreeOptions{
				Header: &doc.GenManHeader{Section: "1", Source: "meshc", Manual: "meshc"}, Path: args[0], CommandSeparator: "-"})
		},
	}
}

// undated has one version give the same pages whenever they are written.
func undated(c *cobra.Command) {
	c.DisableAutoGenTag = true
	for _, below := range c.Commands() {
		undated(below)
	}
}
