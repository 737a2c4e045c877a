package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/assert"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/policies"
)

const testHelp = `test runs the tests of policies, rules test_NAME in *_test.rego of the folders that a check would read. It then compiles the sources
in memory, follows each request of the *.calls files in them, compares its ends with those that the file wants, and decides the statements in
them. It asks no proxy: see meshc route.

A file of calls:
  # jason tries the new version
  jason: GET http://reviews/ from shop/web -H end-user=jason
    allowed at shop/reviews-v2
    with timeout 5s
  GET http://reviews/ from shop/*
    80% allowed at shop/reviews-v1:8080
    20% allowed at shop/reviews-v2:8080
  DELETE http://reviews/ from "gateway ingress/public" --claims '{"iss":"https://id.example","sub":"a"}'
    denied 403 at shop/reviews-v1 by shop/reviews rule 0
  only payments/* may POST /refund* at billing

An indented line is an end: [CHANCE%] VERDICT [STATUS] [at WHERE[:PORT]] [by TEXT]. What is left out is not compared.
VERDICT is allowed, denied, answered, failed or depends. TEXT is a part of the reason, or FILE:LINE of what decided.
Calls take -H, --claims, --identity, --alpn, --source-ip and --address as meshc route does.

What is done on the way is a line "with" or "without", then timeout, retries, per-try-timeout, path, host, location, request header, response
header, delay, mirror, hash, mutual TLS, TLS or plain text, and a value.

A statement is about all calls, and is proven, refuted with a call that shows it, or undecided, which fails too:
  only CALLERS may [METHODS] [PATH] at SERVERS
  only CALLERS reach SERVERS
  nobody [CALLERS] reaches SERVERS
  nobody [CALLERS] may [METHODS] [PATH] at SERVERS
  every call [from CALLERS] [to SERVERS] [between namespaces] is mutual TLS
  no retry on METHODS [from CALLERS] [to SERVERS]
  nothing [from CALLERS] leaves the mesh [but to HOSTS]
CALLERS are NAMESPACE/NAME with stars, "gateway NAMESPACE/NAME" or outside; SERVERS are workloads or services. A name before a call or statement
is for --run and for reports.`

func newTest(a *app) *cobra.Command {
	var in input
	var files []string
	var output string
	var update bool
	var run string
	var budget int
	c := &cobra.Command{
		Use:   "test SOURCE...|BUNDLE",
		Short: "Follow the requests in *.calls files and compare where they end; run the tests of policies",
		Long:  testHelp,
		Example: `  meshc test mesh/
  meshc test mesh.bundle --calls checks/reviews.calls
  meshc test mesh/ --update`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no SOURCE or BUNDLE")
			}
			found, err := callFiles(args)
			if err != nil {
				return err
			}
			t := &tester{Results: []testResult{}, budget: budget}
			if run != "" {
				if t.only, err = regexp.Compile(run); err != nil {
					return fmt.Errorf("--run: %w", err)
				}
			}
			if err := t.policies(c.Context(), a, &in, args); err != nil {
				return err
			}
			if files = append(files, found...); len(files) == 0 && len(t.Results) == 0 {
				return fmt.Errorf("no *.calls file and no *_test.rego in %s: write one, or name a file of calls with --calls", strings.Join(args, ", "))
			}
			if len(files) > 0 {
				b, err := a.bundleOf(c.Context(), &in, args)
				if err != nil {
					return err
				}
				t.tracer, t.bundle = trace.New(b), b
			}
			if update {
				t.put = func(write func() error) error { return a.end.write(c.Context(), write) }
			}
			for _, f := range files {
				if err := t.file(f); err != nil {
					return fmt.Errorf("%s: %w", f, err)
				}
			}
			return t.report(a, output)
		},
	}
	in.flags(c)
	c.Flags().StringArrayVar(&files, "calls", nil, "a file of calls besides those in the sources; may be repeated")
	c.Flags().BoolVar(&update, "update", false, "write the ends that the calls have into the files")
	c.Flags().StringVar(&run, "run", "", "only calls and statements whose name or text matches a regular expression")
	c.Flags().IntVar(&budget, "budget", assert.DefaultBudget, "how many requests one statement may need before it is undecided")
	formatFlag(c, &output, "text", "json", "junit")
	return c
}

// callFiles finds the files of calls below the sources that are folders.
func callFiles(sources []string) ([]string, error) {
	var out []string
	for _, s := range sources {
		root := localPath(s)
		if st, err := os.Stat(root); err != nil || !st.IsDir() || isBundle(root) || s == "-" {
			continue
		}
		seen := 0
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if seen++; seen > limit.SourceEntries {
				return fmt.Errorf("%s holds more than %d files and folders: name those with calls, by --calls", root, limit.SourceEntries)
			}
			switch {
			case err != nil:
				return err
			case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
				return filepath.SkipDir
			case !d.IsDir() && strings.HasSuffix(path, ".calls") && !slices.Contains(out, path):
				out = append(out, path)
				return regular.Check(path, d.Type()) // a link may lead out of the sources
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tester runs files of calls against one bundle.
type tester struct {
	tracer  *trace.Tracer
	bundle  *bundle.Bundle
	only    *regexp.Regexp                 // nil: all
	budget  int                            // of a statement, in requests
	put     func(write func() error) error // calls what writes a file of calls; nil: none is written
	rego    int                            // how many of the results are of policies
	Results []testResult                   `json:"results"`
}

// policies runs the tests of the policies that judge the sources.
func (t *tester) policies(ctx context.Context, a *app, in *input, args []string) error {
	if len(args) == 1 && isBundle(args[0]) && !isSourceArchive(args[0]) {
		return nil // which has none
	}
	defer in.close()
	_, o, settings, l, err := in.resolve(ctx, a, args)
	if err != nil {
		return err
	}
	var results []policies.TestResult
	if !l.HasErrors() {
		if results, l, err = policies.Test(ctx, policies.Options{Folders: o.Policies}); err != nil {
			return err
		}
	}
	if l.HasErrors() {
		res := &compiler.Result{Text: func(shown string) (string, bool) { return settings.Text, shown == settings.File }}
		if err := a.print(a.stderr, "text", l, res); err != nil {
			return err
		}
		return errNotRun
	}
	for _, r := range results {
		t.Results = append(t.Results, testResult{File: r.File, Line: r.Line, Call: r.Name, OK: r.OK, Ends: []string{}, Want: []string{}, Why: r.Why})
		t.rego++
	}
	return nil
}

// testResult is the outcome of one call, or of one test of a policy.
type testResult struct {
	File string   `json:"file"`
	Line int      `json:"line"`
	Name string   `json:"name,omitempty"`
	Call string   `json:"call"`
	OK   bool     `json:"ok"`
	Ends []string `json:"ends"`
	Want []string `json:"want"`
	Why  string   `json:"why,omitempty"`

	// Of statements.
	Verdict        string `json:"verdict,omitempty"` // proven, refuted or undecided
	Tried          int    `json:"tried,omitempty"`   // requests
	Counterexample string `json:"counterexample,omitempty"`
}

func (t *tester) file(name string) error {
	text, err := regular.ReadFile(name, limit.TextBytes)
	if err != nil {
		return err
	}
	if t.put != nil {
		changed, err := trace.UpdateCalls(string(text), func(e trace.Expectation) ([]string, error) {
			return t.ends(e)
		})
		if err != nil {
			return err
		}
		if changed != string(text) {
			if err := t.put(func() error { return bundle.ReplaceFile(name, []byte(changed)) }); err != nil {
				return err
			}
		}
		text = []byte(changed)
	}
	parsed, err := trace.ParseCallsFile(string(text))
	if err != nil {
		return err
	}
	for _, e := range parsed.Calls {
		t.call(name, e)
	}
	for _, s := range parsed.Statements {
		if err := t.statement(name, s); err != nil {
			return fmt.Errorf("line %d: %w", s.Line, err)
		}
	}
	return nil
}

// ends are those that a call has, from all clients that it names.
func (t *tester) ends(e trace.Expectation) ([]string, error) {
	requests, err := t.tracer.Callers(e.Request)
	if err != nil {
		return nil, err
	}
	var all []string
	for i, req := range requests {
		r, err := t.tracer.Walk(req)
		if err != nil {
			return nil, err
		}
		if ends := r.Ends(); i == 0 {
			all = ends
		} else if !slices.Equal(ends, all) {
			return nil, fmt.Errorf("calls from %s and %s end differently: write two", requests[0].From, req.From)
		}
	}
	return all, nil
}

// call follows a call, from each client that it names.
func (t *tester) call(file string, e trace.Expectation) {
	if !t.wanted(e.Name, e.Call) {
		return
	}
	out := testResult{File: file, Line: e.Line, Name: e.Name, Call: e.Call, Ends: []string{}, Want: slices.Concat([]string{}, e.Want, e.Effects)}
	requests, err := t.tracer.Callers(e.Request)
	if err != nil {
		out.Why = err.Error()
	}
	for _, req := range requests {
		r, err := t.tracer.Walk(req)
		why := ""
		if err != nil {
			why = err.Error()
		} else {
			out.Ends, why = r.Ends(), e.Check(r)
		}
		if why == "" {
			continue
		}
		if len(requests) > 1 {
			why = "from " + req.From + ": " + why
		}
		out.Why = why
		break
	}
	out.OK = out.Why == ""
	t.Results = append(t.Results, out)
}

// statement decides a statement about all calls.
func (t *tester) statement(file string, s trace.Statement) error {
	if !t.wanted(s.Name, s.Text) {
		return nil
	}
	r, err := assert.Prove(t.bundle, t.tracer, s.Text, t.budget)
	if err != nil {
		return err
	}
	out := testResult{File: file, Line: s.Line, Name: s.Name, Call: s.Text, OK: r.Verdict == assert.Proven, Ends: []string{}, Want: []string{}, Verdict: r.Verdict, Tried: r.Tried, Counterexample: r.Call}
	if !out.OK {
		out.Why = r.Verdict + ": " + r.Why
	}
	if r.Call != "" {
		out.Why += "\n  " + r.Call
		for _, l := range r.Walk.Lines() {
			out.Why += "\n    " + l
		}
	}
	t.Results = append(t.Results, out)
	return nil
}

// wanted tells whether a call or statement is one of those that -run names.
func (t *tester) wanted(name, text string) bool {
	return t.only == nil || t.only.MatchString(name) || t.only.MatchString(text)
}

func (t *tester) report(a *app, output string) error {
	failed := 0
	for _, r := range t.Results {
		if !r.OK {
			failed++
		}
	}
	if output == "junit" {
		if err := t.junit(a.stdout); err != nil {
			return err
		}
	} else if output == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(t); err != nil {
			return err
		}
	} else {
		for _, r := range t.Results {
			if !r.OK {
				fmt.Fprintf(a.stdout, "%s:%d: %s\n  %s\n", r.File, r.Line, r.Call, strings.ReplaceAll(r.Why, "\n", "\n  "))
			}
		}
		what := "calls"
		switch t.rego {
		case 0:
		case len(t.Results):
			what = "tests of policies"
		default:
			what = "calls and tests of policies"
		}
		fmt.Fprintf(a.stdout, "%d %s as expected, %d not\n", len(t.Results)-failed, what, failed)
	}
	if failed > 0 {
		return errFindings
	}
	return nil
}
