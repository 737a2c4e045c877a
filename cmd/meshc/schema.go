package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/internal/suggest"
	"github.com/meshc/meshc/schema"
)

func newSchema(a *app) *cobra.Command {
	var list []*kinds.Kind
	var names []string
	for _, k := range kinds.All() {
		if schema.HasJSONSchema(k) {
			list, names = append(list, k), append(names, k.Name)
		}
	}
	slices.Sort(names)
	return &cobra.Command{
		Use:   "schema [KIND...]",
		Short: "Print JSON Schemas of kinds, for editors",
		Long: `schema prints one JSON Schema (draft 2020-12) for documents of these kinds, or of all kinds of Istio and of meshc: fields, types and
values, from the definitions that meshc check uses. Documents of other kinds pass. Whether names resolve, and what a field does, is
for meshc check to say.

Editors with the YAML language server take it by a first line: # yaml-language-server: $schema=meshc.schema.json`,
		Example:   "  meshc schema > meshc.schema.json\n  meshc schema VirtualService",
		ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			wanted := list
			if len(args) > 0 {
				wanted = nil
			}
			for _, name := range args {
				i := slices.IndexFunc(list, func(k *kinds.Kind) bool { return strings.EqualFold(k.Name, name) })
				if i < 0 {
					message := "there is no schema of the kind " + name
					if n := suggest.Word(name, names); n != "" {
						message += "; did you mean " + n + "?"
					}
					return fmt.Errorf("%s There are: %s", message, strings.Join(names, ", "))
				}
				wanted = append(wanted, list[i])
			}
			text, err := schema.JSONSchema(wanted)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s\n", text)
			return err
		},
	}
}
