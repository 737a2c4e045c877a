package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/internal/config"
	"github.com/meshc/meshc/policies"
)

// maxNamed is how many files of a sort are named.
const maxNamed = 3

// leftAlone says what was read and is none of the compiler's business, so that nobody wonders where it went.
func (a *app) leftAlone(res *compiler.Result) {
	if len(res.Foreign) == 0 {
		return
	}
	count, files := map[string]int{}, []string{}
	for _, l := range res.Foreign {
		count[l.What]++
		if file := res.Display(l.Pos.File); l.What == load.NotKubernetes && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	if len(files) > maxNamed {
		files = append(files[:maxNamed], "…")
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(count)) {
		part := fmt.Sprintf("%d %s", count[k], k)
		if k == load.NotKubernetes {
			part += " (" + strings.Join(files, ", ") + ")"
		}
		parts = append(parts, part)
	}
	a.note("left alone: %s", strings.Join(parts, ", "))
}

// counted says which settings and policies a run went by: they are those of the source, unless a flag names others.
func counted(settings config.Config, folders []policies.Folder) string {
	var parts []string
	if settings.File != "" {
		parts = append(parts, "settings "+settings.File)
	}
	var names []string
	for _, f := range folders {
		names = append(names, f.Name)
	}
	if len(names) > 0 {
		parts = append(parts, "policies "+strings.Join(names, ", "))
	}
	if len(parts) == 0 {
		return ""
	}
	return "by " + strings.Join(parts, " and ")
}
