package policies

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

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
	if err := yaml.Unmarshal(text, &n); err != nil {
		return refuse(1, "the data for policies is not YAML or JSON: "+err.Error(), "Mend the syntax.")
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
