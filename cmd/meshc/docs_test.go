package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestCommandsOfTheDocs: each command of meshc in a block of a page is one of verbs and flags that there are. What the shell makes
// of a command is left out.
func TestCommandsOfTheDocs(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	end := regexp.MustCompile(`\s(\||>|#|&&|&|…|\)|;|2>&1)(\s|$)|\)"|…$|\\$`)
	block := regexp.MustCompile("(?s)\n```[a-z]*\n(.*?)\n```")
	seen := 0
	for _, page := range pages {
		for _, b := range block.FindAllStringSubmatch(contents(t, page), -1) {
			for _, line := range strings.Split(b[1], "\n") {
				line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
				line = strings.TrimPrefix(strings.TrimPrefix(line, "- "), "run: ")
				for _, command := range strings.Split(line, " && ") {
					rest, ours := strings.CutPrefix(strings.TrimSpace(command), "meshc ")
					if !ours {
						continue
					}
					if at := end.FindStringIndex(rest); at != nil {
						rest = rest[:at[0]]
					}
					seen++
					if err := known(strings.Fields(strings.NewReplacer(`"`, "", "'", "").Replace(rest))); err != "" {
						t.Errorf("%s: %s: %s", page, line, err)
					}
				}
			}
		}
	}
	if seen < 70 {
		t.Errorf("only %d commands were found", seen)
	}
}

// known says what is wrong with a command line: a verb or a flag that there is not, or a flag without its value.
func known(args []string) string {
	a := newApp(strings.NewReader(""), nil, nil)
	root := a.root()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	root.InitDefaultVersionFlag()
	verb, rest, err := root.Find(args)
	if err != nil {
		return err.Error()
	}
	if verb == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return "no verb " + rest[0]
	}
	verb.InitDefaultHelpFlag()
	flags := verb.Flags()
	flags.AddFlagSet(verb.InheritedFlags())
	for i := 0; i < len(rest); i++ {
		name, long := strings.CutPrefix(rest[i], "--")
		if !long || name == "" {
			continue
		}
		name, _, with := strings.Cut(name, "=")
		f := flags.Lookup(name)
		switch {
		case f == nil:
			return "no flag --" + name
		case !with && f.NoOptDefVal == "" && !boolean(f):
			if i++; i == len(rest) {
				return "--" + name + " wants a value"
			}
		}
	}
	return ""
}

func boolean(f *pflag.Flag) bool { return f.Value.Type() == "bool" }
