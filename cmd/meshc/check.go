package main

import (
	"github.com/spf13/cobra"

	"github.com/meshc/meshc/internal/diag"
)

func newCheck(a *app) *cobra.Command {
	var in input
	var also reports
	var output string
	var failOnWarn bool
	c := &cobra.Command{
		Use:   "check SOURCE...",
		Short: "Report what is wrong with the sources",
		Long: `check runs all phases of the compiler and prints the findings. Nothing is written.

SOURCE is a file, a directory, a kustomization, - for standard input, or PATH/.git#ref=REV,subdir=DIR.`,
		Example: `  meshc check mesh/
  meshc check mesh/ -o sarif > meshc.sarif
  helm template shop | meshc check - -n shop`,
		Args: in.sources,
		RunE: func(c *cobra.Command, args []string) error {
			if err := also.check(); err != nil {
				return err
			}
			res, l, err := in.compile(c.Context(), a, args, true)
			if err != nil {
				return err
			}
			if err := a.print(a.stdout, output, l, res); err != nil {
				return err
			}
			if err := also.write(c.Context(), a, l, res); err != nil {
				return err
			}
			a.summary(res)
			if l.HasErrors() || failOnWarn && l.Count(diag.Warning) > 0 {
				return ended(l)
			}
			return nil
		},
	}
	in.flags(c)
	also.flags(c)
	formatFlag(c, &output, diag.Formats()...)
	c.Flags().BoolVar(&failOnWarn, "fail-on-warn", false, "warnings too end with exit code 1")
	return c
}
