package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/compiler/replay"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/internal/suggest"
)

// unusedLines is what --fail-on calls lines that could not be used.
const unusedLines = "unused"

func newReplay(a *app) *cobra.Command {
	var in input
	var o replay.Options
	var output, callers string
	var exitCode bool
	var failOn []string
	kinds := append(change.Kinds(), unusedLines)
	c := &cobra.Command{
		Use:   "replay LOG BASE HEAD",
		Short: "Say how many requests of an access log a change would have met",
		Long: `replay reads access logs of Envoy, in Istio's default text format or as JSON with Istio's default fields, follows the requests in them
through two states of a mesh as meshc route does, and says how many of them each difference would have met, by route, with examples.
Lines that cannot be used are counted by reason. LOG is a file, or - for standard input; it may be compressed by gzip, and may be
longer than fits into memory.

BASE is what ran when the log was written, HEAD what is to run. Both are bundles, or anything that compile reads.
Who sent a request is told by the address of the workload or gateway in BASE, by the prefix that kubectl logs --prefix writes, by a table
of addresses (--callers), or for the whole log by --from.

Exit codes: 0, with --exit-code 1 if requests differ, with --fail-on 1 for the kinds named; 2 if no line could be used.`,
		Example: `  kubectl logs -n istio-system deploy/istio-ingressgateway --since 24h | meshc replay - '.git#ref=origin/main,subdir=mesh' mesh/
  meshc replay yesterday.log.gz old.bundle new.bundle -o markdown > comment.md
  meshc replay access.log old.bundle new.bundle --from "gateway ingress/public" --fail-on closed`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 3 {
				return fmt.Errorf("name LOG, BASE and HEAD; there are %d arguments", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			for _, k := range failOn {
				if !slices.Contains(kinds, k) {
					return fmt.Errorf("--fail-on %s: name %s%s", k, strings.Join(kinds, ", "), meant(k, kinds))
				}
			}
			r, err := a.replay(c, &in, args, callers, o)
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
			switch {
			case err != nil:
				return err
			case !r.Used():
				return fmt.Errorf("no line of %s could be used: %d read", args[0], r.Lines)
			case exitCode && r.Same < r.Requests, slices.ContainsFunc(failOn, func(k string) bool { return r.Has(k) || k == unusedLines && len(r.Unused) > 0 }):
				return errFindings
			}
			return nil
		},
	}
	in.flags(c)
	formatFlag(c, &output, "text", "markdown", "json")
	c.Flags().StringVar(&o.From, "from", "", "who sent all requests of the log: NAMESPACE/NAME, \"gateway NAMESPACE/NAME\" or \"outside\"")
	c.Flags().StringVar(&callers, "callers", "", "file with a line IP NAMESPACE POD for each pod, as kubectl get pods -A -o custom-columns=IP:.status.podIP,NS:.metadata.namespace,NAME:.metadata.name --no-headers prints it")
	c.Flags().BoolVar(&o.ServerLogs, "server-logs", false, "the log has no lines of the proxies of clients: use those of servers for calls inside of the mesh, too")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit code 1 when requests differ")
	c.Flags().StringSliceVar(&failOn, "fail-on", nil, "exit code 1 when requests differ in these ways: "+strings.Join(kinds, ", "))
	_ = c.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("from", completeSenders)
	return c
}

// completeSenders completes who sent a request, when BASE is named.
func completeSenders(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) < 2 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeClients(c, args[1:2], prefix)
}

// meant guesses which word was meant.
func meant(word string, words []string) string {
	if n := suggest.Word(word, words); n != "" {
		return "; did you mean " + n + "?"
	}
	return ""
}

// replay opens what the arguments name and runs the replay.
func (a *app) replay(c *cobra.Command, in *input, args []string, callers string, o replay.Options) (*replay.Report, error) {
	if args[0] == "-" && slices.Contains(args[1:], "-") {
		return nil, errors.New("standard input can be read once, for LOG or for a side")
	}
	if callers != "" {
		table, err := readCallers(callers)
		if err != nil {
			return nil, fmt.Errorf("--callers %s: %w", callers, err)
		}
		o.Callers = table
	}
	log := a.stdin
	if args[0] != "-" {
		f, err := regular.Open(args[0])
		if err != nil {
			return nil, err
		}
		defer f.Close()
		log = f
	}
	base, err := a.bundleOf(c.Context(), in, args[1:2])
	if err != nil {
		return nil, uncompared("BASE", err)
	}
	head, err := a.bundleOf(c.Context(), in, args[2:])
	if err != nil {
		return nil, uncompared("HEAD", err)
	}
	return replay.Replay(cancelled{c.Context().Err, log}, base, head, o)
}

func readCallers(name string) (map[netip.Addr]string, error) {
	f, err := regular.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return replay.ReadCallers(f)
}

// cancelled reads until a verb is interrupted.
type cancelled struct {
	interrupted func() error
	io.Reader
}

// Read reads, or says that the verb was interrupted.
func (r cancelled) Read(p []byte) (int, error) {
	if err := r.interrupted(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
