// Command reference writes the pages of the documentation that say of each field what becomes of it (fields.md, from the
// schema files), of each finding what it means (diagnostics.md, from the declarations beside the checks), and of each reader and
// evaluator what it takes (limits.md, from internal/limit).
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/schema"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(2)
	}
}

func write(dir string) error {
	made, err := pages()
	if err != nil {
		return err
	}
	for name, text := range made {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // a page for everybody
			return err
		}
	}
	return nil
}

// pages returns the text of each page by the name of its file.
func pages() (map[string]string, error) {
	refs, err := schema.References()
	if err != nil {
		return nil, err
	}
	all, err := codes.All()
	if err != nil {
		return nil, err
	}
	return map[string]string{"fields.md": fieldsPage(refs), "diagnostics.md": codesPage(all), "limits.md": limitsPage()}, nil
}
