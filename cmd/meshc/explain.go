package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/suggest"
)

func newExplain(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "explain CODE...",
		Short: "Say what a finding means and what to do",
		Long: `explain prints what is known about a kind of finding: what is wrong, an example, what to do, and its usual severity.
What a rule of your own means stands in its METADATA.`,
		Example: `  meshc explain IST0101
  meshc explain MESHC1210 MESHC-P001 -o json`,
		ValidArgsFunction: completeCodes,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("no CODE: name one, as IST0101")
			}
			var found []diag.Code
			for _, id := range args {
				c, err := codeNamed(id)
				if err != nil {
					return err
				}
				found = append(found, c)
			}
			if output == "json" {
				return explainJSON(a.stdout, found)
			}
			return explainText(a.stdout, found)
		},
	}
	formatFlag(c, &output, "text", "json")
	return c
}

// codeNamed finds the declaration of a code, in upper or lower case.
func codeNamed(id string) (diag.Code, error) {
	if c, ok := codes.Find(strings.ToUpper(id)); ok {
		return c, nil
	}
	message := fmt.Sprintf("there is no code %s", id)
	if n := suggest.Word(strings.ToUpper(id), codeIDs()); n != "" {
		message += "; did you mean " + n + "?"
	}
	return diag.Code{}, fmt.Errorf("%s\nA code of a policy of your own is explained by its METADATA", message)
}

// codeIDs lists all codes.
func codeIDs() []string {
	all, err := codes.All()
	if err != nil {
		return nil // a fault of the build, which every compile reports
	}
	out := make([]string, 0, len(all))
	for _, c := range all {
		out = append(out, c.ID)
	}
	return out
}

// completeCodes offers codes, each with what it means.
func completeCodes(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	all, err := codes.All()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, c := range all {
		if strings.HasPrefix(c.ID, strings.ToUpper(prefix)) {
			out = append(out, c.ID+"\t"+c.Means)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func explainText(w io.Writer, found []diag.Code) error {
	var b strings.Builder
	for i, c := range found {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s (%s)\n", c.ID, severityWords(c))
		b.WriteString(c.Sentence() + "\n")
		if c.Detail != "" {
			b.WriteString(c.Detail + "\n")
		}
		if c.Example != "" {
			b.WriteString("\n  for example: " + c.Example + "\n")
		}
		fmt.Fprintf(&b, "\n  help: %s\n", c.Remedy)
		if c.FailsClosed {
			b.WriteString("\nIt stays an error under --lenient.\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func severityWords(c diag.Code) string {
	var words []string
	for _, s := range c.Severities() {
		words = append(words, s.String())
	}
	return strings.Join(words, " or ")
}

type jsonCode struct {
	Code        string   `json:"code"`
	Severities  []string `json:"severities"` // the usual one first
	FailsClosed bool     `json:"failsClosed"`
	Means       string   `json:"means"`
	Detail      string   `json:"detail"`
	Example     string   `json:"example"`
	Help        string   `json:"help"`
}

func explainJSON(w io.Writer, found []diag.Code) error {
	out := struct {
		Codes []jsonCode `json:"codes"`
	}{}
	for _, c := range found {
		j := jsonCode{Code: c.ID, FailsClosed: c.FailsClosed, Means: c.Means, Detail: c.Detail, Example: c.Example, Help: c.Remedy}
		for _, s := range c.Severities() {
			j.Severities = append(j.Severities, s.String())
		}
		out.Codes = append(out.Codes, j)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}
