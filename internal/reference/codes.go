package main

import (
	"fmt"
	"strings"

	"github.com/meshc/meshc/internal/diag"
)

const codesIntro = `# Codes
What each finding means. This page is written by ` + "`" + `make docs` + "`" + ` from the declarations beside the checks; ` + "`" + `meshc explain CODE` + "`" + ` prints one of them.

Each finding has a code, a severity, file, line, column, object, field, message, help and related places. ` + "`" + `meshc check -o` + "`" + ` prints them as text, json,
sarif, github, junit or gitlab. JSON is
` + "`" + `{"diagnostics":[{"code","severity","file","line","column","object":{"kind","namespace","name"},"field","message","help","related":[]}]}` + "`" + `.

Nothing that is printed holds a private key, a bearer token or a password of the Basic scheme, wherever in the input it stands: ` + "`" + `(private key)` + "`" + ` or
` + "`" + `(credential)` + "`" + ` is in its place, and the lines of the source that hold one, or belong to a Secret, are not shown. Control characters, and those that turn the
direction of writing, are printed as ` + "`" + `\u001b` + "`" + `.

- **Error** stops the bundle: nothing is written, and an older bundle keeps serving. **Warning** and **info** do not; ` + "`" + `check --fail-on-warn` + "`" + ` makes
  warnings count.
- ` + "`" + `--lenient` + "`" + ` turns errors of linking and lowering (MESHC12xx to MESHC15xx, IST0xxx but IST0106) into warnings and compiles to Istio's outcome.
  Not so the ones marked *stays*: they would leave something open that was meant to be shut.
- ` + "`" + `severity: {CODE: error|warning|info|"off"}` + "`" + ` in ` + "`" + `meshc.yaml` + "`" + `, or ` + "`" + `--severity CODE=…` + "`" + `, has the last word.

Codes IST0xxx are those of ` + "`" + `istioctl analyze` + "`" + `, where the meaning is the same. A code keeps its meaning for ever.

`

// A section of the page has the codes that begin with one of the prefixes.
type section struct {
	title    string
	prefixes []string
	before   string
	after    string
}

var sections = []section{
	{title: "What Istio calls it", prefixes: []string{"IST"}, after: `Of what ` + "`" + `istioctl analyze` + "`" + ` says, meshc leaves out what is about an installation of Istio (webhooks, images of the proxy, CRDs, versions) or a running cluster.
`},
	{title: "Reading the sources", prefixes: []string{"MESHC10"}},
	{title: "Shape", prefixes: []string{"MESHC11"}},
	{title: "Links between objects", prefixes: []string{"MESHC12", "MESHC13"}},
	{title: "Lowering to Envoy", prefixes: []string{"MESHC14", "MESHC15"}},
	{title: "Bundles", prefixes: []string{"MESHC16"}, before: `` + "`" + `bundle` + "`" + `, ` + "`" + `route` + "`" + ` and ` + "`" + `serve` + "`" + ` refuse a bundle with exit code 2. From ` + "`" + `check` + "`" + ` and ` + "`" + `compile` + "`" + ` MESHC1606, MESHC1607 and MESHC1610 are
findings with a place like others.
`},
	{title: "Injection", prefixes: []string{"MESHC19"}, before: "`inject` and `fn` raise these; `check` and `compile` do not.\n"},
	{title: "Policies and settings", prefixes: []string{"MESHC17", "MESHC18"}},
	{title: "The built-in pack", prefixes: []string{"MESHC-P"}, before: `These are about a mesh that works; [policies](policies.md) says how to add your own.
`},
}

// codesPage says of each code what it means and what to do.
func codesPage(all []diag.Code) string {
	var b strings.Builder
	b.WriteString(codesIntro)
	for i, s := range sections {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "## %s\n", s.title)
		if s.before != "" {
			b.WriteString(s.before + "\n")
		}
		b.WriteString("| Code | | Meaning | Example | What to do |\n|---|---|---|---|---|\n")
		for _, c := range all {
			if s.has(c) {
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.ID, severities(c), cell(meaning(c)), cell(c.Example), cell(c.Remedy))
			}
		}
		if s.after != "" {
			b.WriteString("\n" + s.after)
		}
	}
	return b.String()
}

func (s section) has(c diag.Code) bool {
	for _, p := range s.prefixes {
		if strings.HasPrefix(c.ID, p) {
			return true
		}
	}
	return false
}

func severities(c diag.Code) string {
	var parts []string
	for _, s := range c.Severities() {
		parts = append(parts, s.String())
	}
	if c.FailsClosed {
		parts = append(parts, "*stays*")
	}
	return strings.Join(parts, ", ")
}

func meaning(c diag.Code) string {
	if c.Detail == "" {
		return c.Means
	}
	return c.Means + ". " + c.Detail
}
