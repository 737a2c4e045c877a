package diag

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Options are what a printer may need beside the findings.
type Options struct {
	Color   bool                             // ANSI colour, text only
	Quiet   bool                             // text: one line per finding, no source, no summary
	Version string                           // of meshc, for formats that name the tool
	Source  func(file string) (string, bool) // text of an input file; nil when there is none
	Code    func(id string) (Code, bool)     // what is known of a code; may be nil

	Silenced List // findings that somebody has silenced: counted in text, shown in JSON and SARIF
}

// Formats lists the names that Print understands, aliases left out.
func Formats() []string { return []string{"text", "json", "sarif", "github", "junit", "gitlab"} }

// Format returns the canonical name of a format: github-actions is github, gitlab-code-quality is gitlab.
func Format(name string) (string, error) {
	switch name {
	case "github-actions":
		return "github", nil
	case "gitlab-code-quality":
		return "gitlab", nil
	case "text", "json", "sarif", "github", "junit", "gitlab":
		return name, nil
	}
	return "", fmt.Errorf("unknown output format %q: use one of %s", name, strings.Join(Formats(), ", "))
}

// FromRoot tells whether what reads a format knows files by their path from the root of the repository.
func FromRoot(format string) bool { return format != "text" && format != "json" }

// Print writes the findings in a format of Formats, without the secrets in them. The list is expected to be sorted.
func Print(w io.Writer, format string, l List, o Options) error {
	name, err := Format(format)
	if err != nil {
		return err
	}
	text := newTexts(o.Source)
	l = shown(l, text)
	o.Silenced = shown(o.Silenced, text)
	switch name {
	case "json":
		return printJSON(w, l, o.Silenced)
	case "sarif":
		return printSARIF(w, l, o, text)
	case "github":
		return printGitHub(w, l)
	case "junit":
		return printJUnit(w, l)
	case "gitlab":
		return printGitLab(w, l)
	default:
		return printText(w, l, o, text)
	}
}

// fingerprints returns one stable identity per finding: of code, file-independent object and field, never of a line, so
// that it survives edits above it. Findings that agree in all of that are told apart by their message, then by count.
func fingerprints(l List) []string {
	seen := map[string]int{}
	out := make([]string, len(l))
	for i, d := range l {
		key := strings.Join([]string{d.Code, d.Object.Kind, d.Object.Namespace, d.Object.Name, d.Field}, "\x00")
		if d.Object.Name == "" {
			key += "\x00" + d.Pos.File // without an object the file is the nearest thing to a subject
		}
		n := seen[key]
		seen[key]++
		if n > 0 {
			key += fmt.Sprintf("\x00%d", n)
		}
		sum := sha256.Sum256([]byte(key))
		out[i] = hex.EncodeToString(sum[:])
	}
	return out
}

// sentence joins message and help for formats with one text field.
func sentence(d Diagnostic) string {
	if d.Help == "" {
		return d.Message
	}
	return strings.TrimRight(d.Message, ".") + ". " + d.Help
}

// place is the position with the least that every format accepts: a file and a line from 1.
func place(d Diagnostic) (file string, line int) {
	file, line = d.Pos.File, d.Pos.Line
	if file == "" {
		file = "meshc.yaml"
	}
	return strings.TrimPrefix(file, "./"), max(line, 1)
}
