package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/suggest"
)

// formatFlag adds -o with the formats that a verb has, the first by default: no other is taken, and the shell completes them.
func formatFlag(c *cobra.Command, value *string, formats ...string) {
	*value = formats[0]
	list := strings.Join(formats[:len(formats)-1], ", ") + " or " + formats[len(formats)-1]
	c.Flags().VarP(&choice{value, "output format", formats}, "output", "o", list)
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// choice is the value of a flag that takes a few words.
type choice struct {
	value   *string
	noun    string // what the words are
	allowed []string
}

func (c *choice) String() string { return *c.value }

// Type is the word that help has for the value.
func (c *choice) Type() string { return c.noun[strings.LastIndexByte(c.noun, ' ')+1:] }

// Set takes one of the words.
func (c *choice) Set(s string) error {
	if name, err := diag.Format(s); err == nil { // findings have a second name for some
		s = name
	}
	if slices.Contains(c.allowed, s) {
		*c.value = s
		return nil
	}
	hint := "use one of " + strings.Join(c.allowed, ", ")
	if n := suggest.Word(s, c.allowed); n != "" {
		hint = "did you mean " + n + "? " + hint
	}
	return fmt.Errorf("unknown %s %q: %s", c.noun, s, hint)
}
