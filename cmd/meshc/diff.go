package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/internal/suggest"
)

func newDiff(a *app) *cobra.Command {
	var in input
	var output string
	var weights liveFlag
	var gate diffGate
	c := &cobra.Command{
		Use:   "diff BASE HEAD",
		Short: "Say which requests two states of a mesh treat differently",
		Long: `diff compares two bundles by what they do, and accounts for all that differs between them: each resource and workload
is proven equal in effect, has a request that shows the difference, or is undecided, with the reason. Differences are grouped
by what causes them, the gravest first: opened (was refused, is let through), closed, moved, changed, tuned.

BASE and HEAD are bundles (paths or oci://HOST/REPOSITORY:TAG), or anything that compile reads. Lines that only move, and comments, are no difference.`,
		Example: `  meshc diff '.git#ref=origin/main,subdir=mesh' mesh/
  meshc diff old.bundle new.bundle -o markdown > comment.md
  meshc diff oci://registry.example.com/mesh:production mesh/ --exit-code
  meshc diff old.bundle new.bundle --fail-on access-widened,encryption --waivers mesh/waivers.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("name BASE and HEAD; there are %d arguments", len(args))
			}
			return gate.check()
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
			if err := weights.apply(c.Context(), a, base, head); err != nil {
				return err
			}
			r, err := change.Compare(base, head)
			if err != nil {
				return err
			}
			if err := gate.waive(r); err != nil {
				return err
			}
			if err := a.printReport(r, output); err != nil {
				return err
			}
			return gate.judge(r)
		},
	}
	in.flags(c)
	weights.flags(c.Flags())
	formatFlag(c, &output, "text", "markdown", "json", "github", "sarif", "junit")
	gate.flags(c)
	return c
}

func (a *app) printReport(r *change.Report, output string) error {
	switch output {
	case "json":
		return r.JSON(a.stdout)
	case "markdown":
		return r.Markdown(a.stdout)
	case "text":
		return r.Print(a.stdout)
	}
	w, err := a.stdout.Direct() // printers see to it themselves, each value by the rules of its format
	if err != nil {
		return err
	}
	return diag.Print(w, output, r.Findings(), diag.Options{Version: version(), Code: codes.Find})
}

// diffGate says which differences end a comparison with exit code 1.
type diffGate struct {
	exitCode bool
	failOn   []string
	waivers  []string
}

func (g *diffGate) flags(c *cobra.Command) {
	c.Flags().BoolVar(&g.exitCode, "exit-code", false, "exit code 1 when there are differences, new or lost workloads, or what could not be decided")
	c.Flags().StringSliceVar(&g.failOn, "fail-on", nil, "exit code 1 when there are differences of these categories ("+strings.Join(change.Categories(), ", ")+"), or what could not be decided")
	c.Flags().StringArrayVar(&g.waivers, "waivers", nil, "file with differences that are accepted, each with a reason")
	_ = c.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions(change.Categories(), cobra.ShellCompDirectiveNoFileComp))
}

func (g *diffGate) check() error {
	for _, x := range g.failOn {
		if !slices.Contains(change.Categories(), x) {
			hint := "use some of " + strings.Join(change.Categories(), ", ")
			if n := suggest.Word(x, change.Categories()); n != "" {
				hint = "did you mean " + n + "? " + hint
			}
			return fmt.Errorf("--fail-on %s: there is no such category: %s", x, hint)
		}
	}
	return nil
}

func (g *diffGate) waive(r *change.Report) error {
	var all []change.Waiver
	for _, name := range g.waivers {
		data, err := regular.ReadFile(name, limit.SettingsBytes)
		if err != nil {
			return fmt.Errorf("--waivers: %w", err)
		}
		list, err := change.ParseWaivers(name, data)
		if err != nil {
			return fmt.Errorf("--waivers: %w", err)
		}
		all = append(all, list...)
	}
	r.Waive(all)
	return nil
}

// judge is the exit code. A waiver for nothing counts as what is not accepted.
func (g *diffGate) judge(r *change.Report) error {
	if g.exitCode && (r.Differs() || len(r.Stale) > 0) || len(g.failOn) > 0 && (r.Fails(g.failOn) || len(r.Stale) > 0) {
		return errFindings
	}
	return nil
}

// uncompared is the error of a side that does not compile: that is no difference, which has an exit code of its own.
func uncompared(side string, err error) error {
	if errors.Is(err, errNotRun) {
		return fmt.Errorf("%s does not compile, so there is nothing to compare", side)
	}
	return err
}
