package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/fault"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/show"
	"github.com/meshc/meshc/internal/suggest"
)

// Exit codes of every verb.
const (
	exitClean    = 0
	exitFindings = 1
	exitFailure  = 2
)

// What ends a verb whose findings are already printed: findings, or that it could not run because of them.
var (
	errFindings = errors.New("findings")
	errNotRun   = errors.New("could not run")
)

// ended is how a verb ends after findings that are errors.
func ended(l diag.List) error {
	if codes.Failed(l) {
		return errNotRun
	}
	return errFindings
}

// app is what every verb shares: the streams and the flags of the root command. What goes to the streams is fit to be shown:
// no verb has to think of secrets.
type app struct {
	stdin          io.Reader
	stdout, stderr *show.Writer
	raw            io.Writer // behind stderr
	quiet          bool
	silent         atomic.Bool // quiet, once flags are read
	hear           func()      // waits for what libraries have said; nil: nobody listens
	by             string      // settings and policies of the last run
	end            ending
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newApp(stdin, stdout, stderr).run(ctx, args)
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{stdin: stdin, stdout: show.NewWriter(stdout), stderr: show.NewWriter(stderr), raw: stderr}
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := a.end.of(ctx, func() error { return root.ExecuteContext(ctx) })
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(a.raw, "meshc: interrupted") // not by way of the app: what was left behind may be stuck in its streams
		return exitFailure
	}
	if broken := a.stdout.Flush(); err == nil {
		err = broken
	}
	if a.hear != nil {
		a.hear()
	}
	code := report(a.stderr, err)
	_ = a.stderr.Flush() // there is nobody left to tell
	return code
}

// report writes an error that ended a verb and returns the exit code.
func report(stderr io.Writer, err error) int {
	var caught *fault.Error
	switch {
	case err == nil:
		return exitClean
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, errNotRun):
		return exitFailure
	case errors.As(err, &caught):
		fmt.Fprintf(stderr, "meshc: %v\nThis is a fault of meshc, not of the input. Please report it with what follows.\n\n%s", caught, caught.Stack)
		return exitFailure
	default:
		fmt.Fprintf(stderr, "meshc: %s\n", strings.TrimSpace(err.Error()))
		return exitFailure
	}
}

func (a *app) root() *cobra.Command {
	c := &cobra.Command{
		Use:   "meshc",
		Short: "Compile mesh configuration in Git to sealed bundles of Envoy configuration",
		Long: `meshc reads Istio's API and Kubernetes manifests, reports what is wrong with them by file and line, and compiles
them to configuration for stock Envoy. The result is a bundle that a small server streams.

Exit codes of all verbs: 0 clean, 1 findings, 2 misuse, or what could not run: a source that cannot be read, one of diff, route or
test that does not compile. SIGINT and SIGTERM end a verb (exit code 2) and leave no
half of a file; a second one kills. serve drains first.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       versionLine(),
		Args:          noVerb,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },

		PersistentPreRun: func(*cobra.Command, []string) { a.silent.Store(a.quiet) },
	}
	c.PersistentFlags().BoolVar(&a.quiet, "quiet", false, "print findings and results only")
	c.CompletionOptions.HiddenDefaultCmd = false
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w\nSee '%s --help'", err, c.CommandPath())
	})
	c.SetVersionTemplate("{{.Version}}\n")
	c.AddCommand(newBootstrap(a))
	c.AddCommand(newCompile(a), newCheck(a), newBundle(a), newDiff(a), newExplain(a), newExport(a), newIdentities(a), newReplay(a), newRollback(a), newRoute(a), newServe(a), newStatus(a), newTest(a), newVersion(a), newWait(a), newWeights(a))
	c.AddCommand(newFn(a), newSchema(a), newInit(a), newInject(a), newIntercept(a), newMan(a), newWebhook(a))
	return c
}

// noVerb refuses what is none of the verbs of a command, and guesses which one was meant.
func noVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var verbs []string
	for _, v := range c.Commands() {
		if v.IsAvailableCommand() {
			verbs = append(verbs, v.Name())
		}
	}
	message := fmt.Sprintf("%s has no verb %s", c.CommandPath(), args[0])
	if n := suggest.Word(args[0], verbs); n != "" {
		message += "; did you mean " + n + "?"
	}
	return fmt.Errorf("%s\nSee '%s --help'", message, c.CommandPath())
}

// note tells the user something that is no result.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// print writes findings to w in a format. Their lines are of the texts that were read: no file is opened because a
// finding names it.
func (a *app) print(out *show.Writer, format string, l diag.List, res *compiler.Result) error {
	w, err := out.Direct() // printers see to it themselves, each value by the rules of its format
	if err != nil {
		return err
	}
	text, silenced := res.Text, res.Silenced
	if diag.FromRoot(format) {
		l, text = fromRoot(l, res)
		silenced, _ = fromRoot(silenced, res)
	}
	return diag.Print(w, format, l, diag.Options{Color: colorful(w), Quiet: a.quiet, Version: version(), Source: text, Code: res.Code, Silenced: silenced})
}

// fromRoot names the files of findings from the root of their repository.
func fromRoot(l diag.List, res *compiler.Result) (diag.List, func(file string) (string, bool)) {
	typed := map[string]string{}
	l = l.Renamed(func(shown string) string {
		if shown == "" {
			return ""
		}
		name := res.Repository(shown)
		typed[name] = shown
		return name
	})
	return l, func(name string) (string, bool) { return res.Text(typed[name]) }
}

// colorful tells whether w is a terminal whose user wants colour.
func colorful(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// batch sets the garbage collector for a process that ends soon: a compile allocates much and keeps most of it. The limit
// is far above what the collector would use by itself for thousands of services: near a limit it would collect all the
// time, and the compile would grow with the square of the mesh. What the environment says wins.
func batch() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit.CompileMemory) // soft: a larger mesh collects more often, it does not fail
	}
}
