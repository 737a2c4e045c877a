package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// starter is what init writes: a small mesh with a policy, calls and the files of CI systems.
//
//go:embed starter
var starter embed.FS

// Systems that init writes a pipeline for.
const (
	ciGitHub = "github"
	ciGitLab = "gitlab"
	ciNone   = "none"
)

// placed is where a file of the starter goes that cannot have its name there; "" leaves it out.
func placed(name, ci string) string {
	switch name {
	case "gitignore":
		return ".gitignore"
	case "pre-commit.yaml":
		return ".pre-commit-config.yaml"
	case "github/mesh.yaml":
		if ci == ciGitHub {
			return ".github/workflows/mesh.yaml"
		}
		return ""
	case "gitlab/gitlab-ci.yml":
		if ci == ciGitLab {
			return ".gitlab-ci.yml"
		}
		return ""
	}
	return name
}

func newInit(a *app) *cobra.Command {
	ci := ciGitHub
	c := &cobra.Command{
		Use:   "init [DIRECTORY]",
		Short: "Begin a repository for a mesh",
		Long: `init writes a repository that works as it stands: a small mesh under strict mutual TLS, a policy with its tests, calls and
statements that meshc test holds, settings, a pipeline and a pre-commit hook. No file that is there is touched: a README.md and a
.gitignore stay as they are, and if another of these names is taken, nothing is written.`,
		Example: "  meshc init mesh-config && cd mesh-config && meshc check mesh && meshc test mesh\n  meshc init --ci gitlab",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return a.begin(dir, ci)
		},
	}
	words := []string{ciGitHub, ciGitLab, ciNone}
	c.Flags().Var(&choice{&ci, "pipeline", words}, "ci", "pipeline to write: "+strings.Join(words, ", "))
	_ = c.RegisterFlagCompletionFunc("ci", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// begin writes the starter.
func (a *app) begin(dir, ci string) error {
	files := map[string][]byte{}
	err := fs.WalkDir(starter, "starter", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := placed(strings.TrimPrefix(name, "starter/"), ci)
		if to == "" {
			return nil
		}
		files[to], err = starter.ReadFile(name)
		return err
	})
	if err != nil {
		return err
	}
	var names, taken, kept []string
	for name := range files {
		switch _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); {
		case err == nil && (name == "README.md" || name == ".gitignore"): // as a repository begins with
			kept = append(kept, name)
		case err == nil:
			taken = append(taken, name)
		case errors.Is(err, fs.ErrNotExist):
			names = append(names, name)
		default:
			return err
		}
	}
	slices.Sort(names)
	slices.Sort(taken)
	slices.Sort(kept)
	if len(taken) > 0 {
		return fmt.Errorf("nothing was written: %s has %s already; name another DIRECTORY, or move what is there", dir, strings.Join(taken, ", "))
	}
	for _, name := range names {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, files[name], 0o644); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.stdout, path.Join(filepath.ToSlash(dir), name)); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		a.note("left as it was: %s", strings.Join(kept, ", "))
	}
	there := ""
	if filepath.Clean(dir) != "." {
		there = "cd " + shellWord(dir) + " && "
	}
	a.note("next: %smeshc check mesh && meshc test mesh", there)
	return nil
}

// shellWord is a path as one word of a shell's command line.
func shellWord(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("./_-+,:@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
