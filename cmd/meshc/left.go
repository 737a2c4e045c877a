package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/load"
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
