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

// maxAnnotations is how many annotations of each kind GitHub shows of one step.
const maxAnnotations = 10

// printGitHub writes workflow commands, which GitHub shows as annotations on the changed lines, and a summary. The log shows
// no more of a command than its message, so that has the place, too: it is all there is of what GitHub does not annotate.
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
		at := Pos{File: file, Line: line, Column: d.Pos.Column}
		fmt.Fprintf(b, ",title=%s::%s: %s [%s]\n", githubProperty.Replace(d.Code), githubData.Replace(at.String()), githubData.Replace(text), githubData.Replace(d.Code))
	}
	fmt.Fprintln(b, Summary(l)+beyondAnnotations(l))
	return b.Flush()
}

// beyondAnnotations says that the log has more than the annotations, if so.
func beyondAnnotations(l List) string {
	for _, s := range []Severity{Error, Warning, Info} {
		if l.Count(s) > maxAnnotations {
			return fmt.Sprintf("; GitHub annotates %d of each kind, all of them stand above", maxAnnotations)
		}
	}
	return ""
}
