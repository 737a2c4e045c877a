package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/show"
)

// reports are files that findings go to besides the terminal, each in a format of its own: one run makes what a person, a CI
// system and a code scanner read.
type reports struct{ named []string }

func (r *reports) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(&r.named, "report", nil, "FORMAT=FILE: write the findings to a file, too, as "+strings.Join(diag.Formats(), ", ")+"; may be repeated")
}

// check tells whether the files may be written, before anything is compiled.
func (r *reports) check() error {
	for _, n := range r.named {
		format, file, ok := strings.Cut(n, "=")
		if !ok || file == "" {
			return fmt.Errorf("--report %s: write FORMAT=FILE, as sarif=meshc.sarif", n)
		}
		if _, err := diag.Format(format); err != nil {
			return fmt.Errorf("--report %s: %w", n, err)
		}
		if st, err := os.Stat(filepath.Dir(file)); err != nil || !st.IsDir() {
			return fmt.Errorf("--report %s: there is no folder %s", n, filepath.Dir(file))
		}
		if st, err := os.Stat(file); err == nil && !st.Mode().IsRegular() {
			return fmt.Errorf("--report %s: %s is no regular file, which is replaced in one step", n, file)
		}
	}
	return nil
}

// write writes each file in one step.
func (r *reports) write(ctx context.Context, a *app, l diag.List, res *compiler.Result) error {
	for _, n := range r.named {
		format, file, _ := strings.Cut(n, "=")
		format, err := diag.Format(format)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		out := show.NewWriter(&text)
		if err := a.print(out, format, slices.Clone(l), res); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if err := a.end.write(ctx, func() error { return bundle.ReplaceFile(file, text.Bytes()) }); err != nil {
			return err
		}
	}
	return nil
}
