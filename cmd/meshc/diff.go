package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/change"
)

func newDiff(a *app) *cobra.Command {
	var in input
	var output string
	var exitCode bool
	c := &cobra.Command{
		Use:   "diff BASE HEAD",
		Short: "Say which requests two states of a mesh treat differently",
		Long: `diff compares two bundles by what they do. From the resources that differ it makes requests, follows each through both
as meshc route does, and shows those that end differently, the gravest first: opened (was refused, is let through),
closed, moved, changed. Each is a witness that meshc route and *.calls files take.

BASE and HEAD are bundles (paths or oci://HOST/REPOSITORY:TAG), or anything that compile reads. Lines that only move, and comments, are no difference.`,
		Example: `  meshc diff '.git#ref=origin/main,subdir=mesh' mesh/
  meshc diff old.bundle new.bundle -o markdown > comment.md
  meshc diff oci://registry.example.com/mesh:production mesh/ --exit-code`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("name BASE and HEAD; there are %d arguments", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			base, err := a.bundleOf(c.Context(), &in, args[:1])
			if err != nil {
				return uncompared("BASE", err)
			}
			head, err := a.bundleOf(c.Context(), &in, args[1:])
			if err != nil {
				return uncompared("HEAD", err)
			}
			r, err := change.Compare(base, head)
			if err != nil {
				return err
			}
			switch output {
			case "json":
				err = r.JSON(a.stdout)
			case "markdown":
				err = r.Markdown(a.stdout)
			default:
				err = r.Print(a.stdout)
			}
			if err == nil && exitCode && (len(r.Differences) > 0 || r.Blind()) {
				err = errFindings
			}
			return err
		},
	}
	in.flags(c)
	formatFlag(c, &output, "text", "markdown", "json")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit code 1 when there are differences, or what changed could not be followed")
	return c
}

// uncompared is the error of a side that does not compile: that is no difference, which has an exit code of its own.
func uncompared(side string, err error) error {
	if errors.Is(err, errFindings) {
		return fmt.Errorf("%s does not compile, so there is nothing to compare", side)
	}
	return err
}
