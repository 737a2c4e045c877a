// Package config reads meshc.yaml, the settings of a repository.
//
//	severity:            # by code of a finding; flags win
//	  IST0101: warning   # error, warning, info or off
//	policies: [policies] # folders with Rego, relative to this file
//	lenient: true        # what Istio tolerates is a warning
//	clusters:            # sources of each Kubernetes cluster of the mesh, relative to this file
//	  east: [base, clusters/east]
//	  west: [base, clusters/west]
//
// The file is read strictly: an unknown key, a wrong type or a severity that does not exist is a finding at its line,
// because a misspelled setting that does nothing is worse than none.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/meshc/meshc/internal/diag"
	"go.yaml.in/yaml/v3"
)

// FileName is what the file is called, in the root of a repository.
const FileName = "meshc.yaml"

const maxSize = 1 << 20

// Config is the content of meshc.yaml.
type Config struct {
	File     string            // path of the file, "" when there is none
	Severity map[string]string // code to error, warning, info or off
	Policies []string          // folders, joined to the folder of the file
	Lenient  bool
	Clusters []Cluster // sorted by name
}

// Cluster is what one Kubernetes cluster holds: folders or files, joined to the folder of the settings.
type Cluster struct {
	Name    string
	Sources []string
}

// Find returns the path of the settings that govern source: meshc.yaml in the folder of the source or in a folder above
// it, up to the root of its Git repository. Outside a repository only the source's own folder counts. It returns "" when
// there is none.
func Find(source string) string {
	dir := source
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		dir = filepath.Dir(dir)
	}
	var found string
	for cur, depth := dir, 0; depth < 64; depth++ {
		if found == "" && isFile(filepath.Join(cur, FileName)) {
			found = filepath.Join(cur, FileName)
		}
		if _, err := os.Lstat(filepath.Join(cur, ".git")); err == nil {
			return found
		}
		abs, err := filepath.Abs(cur)
		if err != nil || abs == filepath.Dir(abs) {
			break
		}
		cur = filepath.Join(cur, "..")
	}
	if own := filepath.Join(dir, FileName); isFile(own) {
		return own
	}
	return ""
}

func isFile(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular()
}

// Load reads the file at path. A file that cannot be read is an error; what is wrong in it are findings.
func Load(path string) (Config, diag.List, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Config{}, nil, err
	}
	if st.Size() > maxSize {
		return Config{}, nil, fmt.Errorf("%s has %d bytes, more than the %d that settings may have", path, st.Size(), maxSize)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, nil, err
	}
	c, l := Parse(path, b)
	for i, p := range c.Policies {
		if !filepath.IsAbs(p) {
			c.Policies[i] = filepath.Join(filepath.Dir(path), p)
		}
		if _, err := os.Stat(c.Policies[i]); errors.Is(err, fs.ErrNotExist) {
			l.Add(finding(path, nil, "MESHC1801", fmt.Sprintf("policies names the folder %q, which does not exist", p), "Create it, or take the entry out."))
		}
	}
	for _, cl := range c.Clusters {
		for i, p := range cl.Sources {
			if !filepath.IsAbs(p) {
				cl.Sources[i] = filepath.Join(filepath.Dir(path), p)
			}
		}
	}
	return c, l, nil
}

// Parse reads the text of a settings file.
func Parse(file string, text []byte) (Config, diag.List) {
	c := Config{File: file, Severity: map[string]string{}}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return c, diag.List{finding(file, nil, "MESHC1800", "the settings are not YAML: "+err.Error(), "Mend the syntax.")}
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		return c, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return c, diag.List{finding(file, root, "MESHC1800", "the settings are not a map", "Write keys such as severity, policies and lenient.")}
	}
	var l diag.List
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i], root.Content[i+1]
		switch key.Value {
		case "severity":
			l.Add(c.severity(file, val)...)
		case "policies":
			if err := val.Decode(&c.Policies); err != nil || val.Kind != yaml.SequenceNode {
				l.Add(finding(file, val, "MESHC1801", "policies is not a list of folders", "Write policies: [folder]."))
			}
		case "lenient":
			if err := val.Decode(&c.Lenient); err != nil {
				l.Add(finding(file, val, "MESHC1801", "lenient is neither true nor false", "Write lenient: true or leave it out."))
			}
		case "clusters":
			l.Add(c.clusters(file, val)...)
		default:
			l.Add(finding(file, key, "MESHC1801", fmt.Sprintf("unknown setting %q", key.Value), "The settings are severity, policies, lenient and clusters."))
		}
	}
	return c, l
}

func (c *Config) severity(file string, n *yaml.Node) diag.List {
	if n.Kind != yaml.MappingNode {
		return diag.List{finding(file, n, "MESHC1801", "severity is not a map from code to severity", "Write severity: {IST0101: warning}.")}
	}
	var l diag.List
	for i := 0; i+1 < len(n.Content); i += 2 {
		code, val := n.Content[i], n.Content[i+1]
		if !KnownSeverity(val.Value) {
			l.Add(finding(file, val, "MESHC1801", fmt.Sprintf("severity of %s is %q", code.Value, val.Value), "Use error, warning, info or off (in quotes, since a bare off is a truth value in YAML 1.1)."))
			continue
		}
		c.Severity[code.Value] = val.Value
	}
	return l
}

func (c *Config) clusters(file string, n *yaml.Node) diag.List {
	byName := map[string][]string{}
	if err := n.Decode(&byName); err != nil || n.Kind != yaml.MappingNode {
		return diag.List{finding(file, n, "MESHC1801", "clusters is not a map from the name of a cluster to a list of sources", "Write clusters: {east: [base, clusters/east]}.")}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		c.Clusters = append(c.Clusters, Cluster{name, byName[name]})
	}
	return nil
}

// KnownSeverity tells whether s can be given to a code.
func KnownSeverity(s string) bool {
	return s == "error" || s == "warning" || s == "info" || s == "off"
}

func finding(file string, n *yaml.Node, code, message, help string) diag.Diagnostic {
	p := diag.Pos{File: file, Line: 1, Column: 1}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	return diag.Diagnostic{Code: code, Severity: diag.Error, Pos: p, Message: message, Help: help}
}
