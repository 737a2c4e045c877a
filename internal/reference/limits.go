package main

import (
	"fmt"
	"strings"

	"github.com/meshc/meshc/internal/limit"
)

const limitsIntro = `# Limits
What meshc takes before it gives up, so that no input can take a machine's memory or time. Limits are counted in what does not depend on the machine: bytes, values, files,
steps; only the server has some in time. They are far above what a real repository or a real server needs. This page is written by ` + "`" + `make docs` + "`" + ` from ` + "`" + `internal/limit` + "`" + `, which
holds every number once.

Codes are those of [findings](diagnostics.md). What Envoy itself takes, as of the size of a regular expression or the number of operations on headers, is no limit of this page: what it would refuse is a finding
at the field.
`

// limitsPage says of each reader and evaluator what bounds it.
func limitsPage() string {
	var b strings.Builder
	b.WriteString(limitsIntro)
	for _, t := range limit.Tables() {
		fmt.Fprintf(&b, "\n## %s\n| What | At most | Beyond it |\n|---|---|---|\n", t.Of)
		for _, r := range t.Bounds {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", r.What, r.Most, r.Beyond)
		}
	}
	return b.String()
}
