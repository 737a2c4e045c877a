package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/policies"
)

func newTest(a *app) *cobra.Command {
	var in input
	var files []string
	var output string
	var update bool
	c := &cobra.Command{
		Use:   "test SOURCE...|BUNDLE",
		Short: "Follow the requests in *.calls files and compare where they end; run the tests of policies",
		Long: `test runs the tests of policies, rules test_NAME in *_test.rego of the folders that a check would read. It then compiles the sources in memory, follows each request of the *.calls files in them, and compares its ends with those
that the file wants. It asks no proxy: see meshc route.

A file of calls:
  # jason tries the new version
  GET http://reviews/ from shop/web -H end-user=jason
    allowed at shop/reviews-v2
  GET http://reviews/ from shop/web
    80% allowed at shop/reviews-v1:8080
    20% allowed at shop/reviews-v2:8080
  DELETE http://reviews/ from "gateway ingress/public" --claims '{"iss":"https://id.example","sub":"a"}'
    denied 403 at shop/reviews-v1 by shop/reviews rule 0

An indented line is an end: [CHANCE%] VERDICT [STATUS] [at WHERE[:PORT]] [by TEXT]. What is left out is not compared.
VERDICT is allowed, denied, answered, failed or depends. TEXT is a part of the reason, or FILE:LINE of what decided.
Calls take -H, --claims, --identity, --alpn, --source-ip and --address as meshc route does.`,
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
			t := &tester{Results: []testResult{}}
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
				t.world = trace.New(b)
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
	formatFlag(c, &output, "text", "json")
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
	world   *trace.World
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
	_, o, settings, l, err := in.settle(ctx, a, args)
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
	Call string   `json:"call"`
	OK   bool     `json:"ok"`
	Ends []string `json:"ends"`
	Want []string `json:"want"`
	Why  string   `json:"why,omitempty"`
}

func (t *tester) file(name string) error {
	text, err := regular.ReadFile(name, limit.TextBytes)
	if err != nil {
		return err
	}
	if t.put != nil {
		changed, err := trace.UpdateCalls(string(text), func(e trace.Expectation) ([]string, error) {
			r, err := t.world.Walk(e.Request)
			if err != nil {
				return nil, err
			}
			return r.Ends(), nil
		})
		if err != nil {
			return err
		}
		if changed != string(text) {
			if err := t.put(func() error { return replaceFile(name, []byte(changed)) }); err != nil {
				return err
			}
		}
		text = []byte(changed)
	}
	calls, err := trace.ParseCalls(string(text))
	if err != nil {
		return err
	}
	for _, e := range calls {
		out := testResult{File: name, Line: e.Line, Call: e.Call, Ends: []string{}, Want: e.Want}
		if r, err := t.world.Walk(e.Request); err != nil {
			out.Why = err.Error()
		} else {
			out.Ends, out.Why = r.Ends(), e.Check(r)
		}
		out.OK = out.Why == ""
		t.Results = append(t.Results, out)
	}
	return nil
}

func (t *tester) report(a *app, output string) error {
	failed := 0
	for _, r := range t.Results {
		if !r.OK {
			failed++
		}
	}
	if output == "json" {
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
