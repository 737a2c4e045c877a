package diag

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// A workflow command ends at a line break, and its properties at a comma or colon; GitHub decodes these escapes.
var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// printGitHub writes workflow commands, which GitHub shows as annotations on the changed lines.
func printGitHub(w io.Writer, l List) error {
	b := bufio.NewWriter(w)
	for _, d := range l {
		command := d.Severity.String()
		if d.Severity == Info {
			command = "notice"
		}
		file, line := place(d)
		fmt.Fprintf(b, "::%s file=%s,line=%d", command, githubProperty.Replace(file), line)
		if d.Pos.Column > 0 {
			fmt.Fprintf(b, ",col=%d", d.Pos.Column)
		}
		if d.Pos.EndLine > 0 {
			fmt.Fprintf(b, ",endLine=%d", d.Pos.EndLine)
		}
		if d.Pos.EndColumn > 0 {
			fmt.Fprintf(b, ",endColumn=%d", d.Pos.EndColumn)
		}
		text := sentence(d)
		if s := subject(d); s != "" {
			text = s + ": " + text
		}
		fmt.Fprintf(b, ",title=%s::%s\n", githubProperty.Replace(d.Code), githubData.Replace(text))
	}
	return b.Flush()
}
