package load

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// conflict finds the markers that Git leaves in a file whose merge was not finished, and says so. The line is 0 if there are
// none.
func conflict(data []byte) (line int, msg, help string) {
	first, found := 0, ""
	for i, l := range bytes.Split(data, []byte("\n")) {
		mark := ""
		switch l = bytes.TrimRight(l, "\r"); {
		case bytes.Equal(l, []byte("=======")):
			mark = "="
		case len(l) > 8 && l[7] == ' ' && (l[0] == '<' || l[0] == '>' || l[0] == '|') && bytes.Count(l[:7], l[:1]) == 7:
			mark = string(l[:1])
		}
		switch {
		case mark == "" || mark == found:
		case first == 0:
			first, found = i+1, mark
		default: // two of the marks, which nothing else has
			return first, "a merge of Git ended in a conflict here that was not resolved: <<<<<<<, ======= and >>>>>>> mark the two sides",
				"Keep what is meant of the two sides, and take the marks out."
		}
	}
	return 0, "", ""
}

// tabbed is the line, at or near one at which a reader of YAML gave up, whose indentation holds a tab, or 0.
func tabbed(data []byte, line int) int {
	lines := bytes.Split(data, []byte("\n"))
	for _, at := range []int{line, line + 1, line - 1} {
		if at < 1 || at > len(lines) {
			continue
		}
		l := lines[at-1]
		if rest := bytes.TrimLeft(l, " \t-"); len(rest) > 0 && bytes.ContainsRune(l[:len(l)-len(rest)], '\t') {
			return at
		}
	}
	return 0
}

// unseparated reports a second object that begins in the middle of one, because the --- between them was lost.
func (p *parser) unseparated(n *yaml.Node) bool {
	var first, found *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch k := n.Content[i]; {
		case k.Kind != yaml.ScalarNode || k.Value != "apiVersion":
		case first == nil:
			first = k
		default:
			found = k
			p.fail(k, "MESHC1007", "a second object begins here, and no line --- stands between it and the one before", "Put a line --- before it.")
		}
	}
	return found != nil
}

// archiveForm says what form of archive bytes are that were taken for a manifest, "" for none.
func archiveForm(data []byte) string {
	for _, form := range []struct {
		at          int
		magic, name string
	}{
		{257, "ustar", "a tar archive"},
		{0, "\x1f\x8b", "a file packed by gzip"},
		{0, "PK\x03\x04", "a zip archive"},
		{0, "# v2 git bundle", "a bundle of Git"},
		{0, "# v3 git bundle", "a bundle of Git"},
	} {
		if len(data) >= form.at && bytes.HasPrefix(data[form.at:], []byte(form.magic)) {
			return form.name
		}
	}
	return ""
}
