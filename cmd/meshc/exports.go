package main

import "github.com/spf13/cobra"

func newExport(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Write a bundle for what does not know bundles: an Envoy without a server, a tool that applies objects",
		Args:  noVerb,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newExportEnvoy(a), newExportKubernetes(a))
	return c
}
