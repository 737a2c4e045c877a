package policies

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/internal/source"
)

// isData tells whether a file in a folder of policies holds data for them: one called data, which stands for its folder as in
// bundles of OPA, or one below a folder data, which is what conftest is given with --data.
func isData(p string) bool {
	ext := path.Ext(p)
	if ext != ".json" && ext != ".yaml" && ext != ".yml" {
		return false
	}
	return strings.TrimSuffix(path.Base(p), ext) == "data" || slices.Contains(strings.Split(path.Dir(p), "/"), "data")
}

// dataPath is where in the document data the content of a file belongs.
func dataPath(p string) []string {
	dirs := strings.Split(path.Dir(p), "/")
	if i := slices.Index(dirs, "data"); i >= 0 {
		return dirs[i+1:]
	}
	if dirs[0] == "." {
		return nil
	}
	return dirs
}

// data reads a file of data.
func (l *loader) data(files fs.FS, p, name string) error {
	text, ok, err := l.text(files, p, name, "file of data")
	if !ok {
		return err
	}
	refuse := func(line int, message, help string) error {
		l.list.Add(regoFinding(CodeNothing, name, max(line, 1), 1, message, help))
		return nil
	}
	var n yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&n); err != nil && !errors.Is(err, io.EOF) {
		return refuse(1, "the data for policies is not YAML or JSON: "+err.Error(), "Mend the syntax.")
	}
	var more yaml.Node
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return refuse(more.Line, "the file of data holds a second document, which no policy would see", "Write one document to a file.")
	}
	v, problems := source.NewReader(source.DefaultLimits()).Value(&n)
	for _, pr := range problems {
		return refuse(pr.Node.Line, "the data for policies cannot be read: "+pr.Message, pr.Help)
	}
	value, ok := v.(map[string]any)
	if !ok {
		return refuse(1, "the data for policies is no object, so that nothing can refer to it", "Write the value below a key: a policy finds it as data.KEY.")
	}
	if value["apiVersion"] != nil && value["kind"] != nil {
		return nil // an object, which only lies there
	}
	l.given(dataPath(p), n.Content[0], name)
	for _, dir := range slices.Backward(dataPath(p)) {
		value = map[string]any{dir: value}
	}
	if _, taken := value["meshc"]; taken {
		return refuse(1, "data.meshc is of meshc itself", "Use another key.")
	}
	if key := merge(l.values, value); key != "" {
		return refuse(1, fmt.Sprintf("data.%s is given by two files of data", key), "Keep one of the two.")
	}
	return nil
}

// given keeps where the keys of a file of data stand, for unread.
func (l *loader) given(dirs []string, n *yaml.Node, file string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.ShortTag() == "!!merge" {
			continue // its keys stand where they are merged from
		}
		l.keys = append(l.keys, dataKey{slices.Concat(dirs, []string{key.Value}), file, key.Line, key.Column})
	}
}

// dataKey is a key at the top of a file of data.
type dataKey struct {
	path         []string // in the document data
	file         string
	line, column int
}

// unrunTest is a test that this run does not run.
type unrunTest struct {
	files fs.FS
	path  string
}

// unread warns of keys that no policy and no test of the folders refers to: an exemption under a misspelled name exempts nobody.
func (l *loader) unread() {
	if l.list.HasErrors() || !slices.ContainsFunc(l.keys, l.unasked) {
		return
	}
	left := limit.PolicyBytes
	for _, t := range l.unrun {
		text, err := regular.ReadFS(t.files, t.path, limit.PolicyFileBytes)
		if left -= len(text); err != nil || left < 0 {
			return // what cannot be read may ask for any of them
		}
		m, err := parse(t.path, string(text))
		if err != nil {
			return
		}
		l.ask(m)
	}
	for _, k := range l.keys {
		if !l.unasked(k) {
			continue
		}
		d := regoFinding(CodeNothing, k.file, k.line, k.column, "no policy asks for data."+strings.Join(k.path, ".")+", so that it does nothing",
			"Correct the key, ask for it in a policy, or take it out.")
		d.Severity = diag.Warning
		l.list.Add(d)
	}
}

// unasked tells whether nothing refers to a key, or to what is above or below it.
func (l *loader) unasked(k dataKey) bool {
	return !slices.ContainsFunc(l.asked, func(words []string) bool {
		n := min(len(words), len(k.path))
		return slices.Equal(words[:n], k.path[:n])
	})
}

// ask keeps what a policy or a test refers to below data.
func (l *loader) ask(m *ast.Module) {
	ast.WalkRefs(m, func(r ast.Ref) bool {
		if r.HasPrefix(ast.DefaultRootRef) {
			l.asked = append(l.asked, dataWords(r))
		}
		return false
	})
}

// dataWords are the words behind data in a reference, as far as they are constant.
func dataWords(r ast.Ref) []string {
	var words []string
	for _, t := range r.ConstantPrefix()[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		words = append(words, string(s))
	}
	return words
}

// merge puts one object into another, and returns the path that both have, if there is one.
func merge(into, from map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(from)) {
		before, there := into[k]
		a, both := before.(map[string]any)
		b, objects := from[k].(map[string]any)
		switch {
		case !there:
			into[k] = from[k]
		case !both || !objects:
			return k
		default:
			if key := merge(a, b); key != "" {
				return k + "." + key
			}
		}
	}
	return ""
}

// with adds the data of the folders to what meshc supplies.
func (l *loader) with(own map[string]any) map[string]any {
	out := maps.Clone(l.values)
	maps.Copy(out, own)
	return out
}
