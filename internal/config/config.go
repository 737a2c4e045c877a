// Package config reads meshc.yaml, the settings of a repository.
//
//	severity:            # by code of a finding; flags win
//	  IST0101: warning   # error, warning, info or off
//	policies: [policies] # folders with Rego, relative to this file, in its repository
//	lenient: true        # what Istio tolerates is a warning
//	clusters:            # sources of each Kubernetes cluster of the mesh, relative to this file, in its repository
//	  east: [base, clusters/east]
//	  west: [base, clusters/west]
//
// The file is read strictly: an unknown key, a wrong type or a severity that does not exist is a finding at its line,
// because a misspelled setting that does nothing is worse than none.
package config

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

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/internal/suggest"
	"go.yaml.in/yaml/v3"
)

// FileName is what the file is called, in the root of a repository.
const FileName = "meshc.yaml"

// Config is the content of meshc.yaml.
type Config struct {
	File     string            // path of the file, "" when there is none
	Severity map[string]string // code to error, warning, info or off; whether the codes exist is for UnknownCodes
	Policies []Folder          // those that the file names
	Lenient  bool
	Ignore   []Ignore
	Exclude  []string  // patterns of paths, from the folder of the file
	Clusters []Cluster // sorted by name
	Text     string    // of the file, as it was read

	named  []string              // folders of policies, as the file names them
	tree   *Tree                 // that the file is in
	dir    string                // of the file, in the tree
	places map[string]*yaml.Node // of the paths that the settings name
	codes  []*yaml.Node          // the keys of severity
}

// Ignore silences findings.
type Ignore struct {
	Code, Path, Object, Reason string
	Pos                        diag.Pos
}

// Cluster is what one Kubernetes cluster holds: sources, as the command line would name them.
type Cluster struct {
	Name    string
	Sources []string
}

// Load reads the settings at a path of a tree. What is wrong in them are findings; a file that cannot be read is an error.
func Load(t *Tree, name string) (Config, diag.List, error) {
	file := t.Show(name)
	if t.leads(name) {
		return Config{File: file, tree: t, dir: path.Dir(name)}, diag.List{finding(file, nil, "MESHC1800", "the settings are a symbolic link that leads out of the repository, or to nothing", "Replace the link by the file.")}, nil
	}
	b, err := regular.ReadFS(t.Files, name, limit.SettingsBytes)
	if err != nil {
		return Config{}, nil, fmt.Errorf("settings: %w", err)
	}
	c, l := Parse(file, b)
	c.Text, c.tree, c.dir = string(b), t, path.Dir(name)
	for _, p := range c.named {
		l.Add(c.folder(p)...)
	}
	for _, cl := range c.Clusters {
		for i, p := range cl.Sources {
			var found diag.List
			cl.Sources[i], found = c.source(p)
			l.Add(found...)
		}
	}
	return c, l, nil
}

// Folder is where the settings lie.
func (c *Config) Folder() Folder { return Folder{c.tree, c.dir} }

// folder takes a folder of policies that the settings name.
func (c *Config) folder(p string) diag.List {
	name, err := c.tree.inTree(c.dir, p)
	if err != nil || c.tree.leads(name) {
		return diag.List{c.outside("policies", "--policy DIR", p)} // and whether anything is there is not for the repository to learn
	}
	if info, err := fs.Stat(c.tree.Files, name); err != nil || !info.IsDir() {
		return diag.List{finding(c.File, c.places[p], "MESHC1801", fmt.Sprintf("policies names %q, and there is no such folder", p), "Create it, or take the entry out.")}
	}
	c.Policies = append(c.Policies, Folder{c.tree, name})
	return nil
}

// source is a source of a cluster that the settings name, as the command line would name it.
func (c *Config) source(p string) (string, diag.List) {
	file, revision := cut(p)
	name, err := c.tree.inTree(c.dir, file)
	if err != nil || c.tree.leads(name) {
		return p, diag.List{c.outside("clusters", "--cluster NAME=SOURCE", p)}
	}
	source, ok := c.tree.Source(name)
	if !ok || revision && c.tree.Disk == "" {
		return p, diag.List{finding(c.File, c.places[p], "MESHC1801", fmt.Sprintf("clusters names %q, and no source can name that inside of this one", p),
			"Unpack or check out what these settings are in, and name the directory.")}
	}
	if revision {
		source += strings.TrimPrefix(p, file)
	}
	return source, nil
}

// outside reports a path that leads out of the tree: what is in a repository does not decide what else of a machine is read.
func (c *Config) outside(setting, flag, p string) diag.Diagnostic {
	return finding(c.File, c.places[p], "MESHC1801", fmt.Sprintf("%s names %q, which lies outside of the repository of these settings", setting, p),
		"Move it into the repository; or name it on the command line, with "+flag+", where whoever runs meshc decides what is read.")
}

// Parse reads the text of a settings file.
func Parse(file string, text []byte) (Config, diag.List) {
	c := Config{File: file, Severity: map[string]string{}, places: map[string]*yaml.Node{}}
	var doc, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return c, diag.List{finding(file, nil, "MESHC1800", "the settings are not YAML: "+err.Error(), "Mend the syntax.")}
	}
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return c, diag.List{finding(file, &more, "MESHC1800", "the settings hold a second document, which nothing would read", "Put all keys into one document.")}
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		return c, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return c, diag.List{finding(file, root, "MESHC1800", "the settings are not a map", "Write keys such as severity, policies and lenient.")}
	}
	if l := checked(file, root); len(l) > 0 {
		return c, l
	}
	var l diag.List
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i], root.Content[i+1]
		switch key.Value {
		case "severity":
			l.Add(c.severity(file, val)...)
		case "policies":
			if err := val.Decode(&c.named); err != nil || val.Kind != yaml.SequenceNode {
				l.Add(finding(file, val, "MESHC1801", "policies is not a list of folders", "Write policies: [folder]."))
			}
			c.place(val)
		case "lenient":
			if err := val.Decode(&c.Lenient); err != nil {
				l.Add(finding(file, val, "MESHC1801", "lenient is neither true nor false", "Write lenient: true or leave it out."))
			}
		case "ignore":
			l.Add(c.ignore(file, val)...)
		case "exclude":
			l.Add(c.exclude(file, val)...)
		case "clusters":
			l.Add(c.clusters(file, val)...)
		default:
			help := "The settings are severity, policies, lenient, ignore, exclude and clusters."
			if meant := suggest.Word(key.Value, []string{"severity", "policies", "lenient", "ignore", "exclude", "clusters"}); meant != "" {
				help = "Did you mean " + meant + "? " + help
			}
			l.Add(finding(file, key, "MESHC1801", fmt.Sprintf("unknown setting %q", key.Value), help))
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
		c.codes = append(c.codes, code)
	}
	return l
}

func (c *Config) clusters(file string, n *yaml.Node) diag.List {
	byName := map[string][]string{}
	if err := n.Decode(&byName); err != nil || n.Kind != yaml.MappingNode {
		return diag.List{finding(file, n, "MESHC1801", "clusters is not a map from the name of a cluster to a list of sources", "Write clusters: {east: [base, clusters/east]}.")}
	}
	c.place(n)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		c.Clusters = append(c.Clusters, Cluster{name, byName[name]})
	}
	return nil
}

// checked reads the settings as documents are read, for keys that are given twice and for what is beyond the limits.
func checked(file string, root *yaml.Node) diag.List {
	var l diag.List
	_, problems := source.NewReader(source.DefaultLimits()).Value(root)
	for _, p := range problems {
		l.Add(finding(file, p.Node, "MESHC1800", p.Message, p.Help))
	}
	return l
}

// place keeps where the scalars below a node stand.
func (c *Config) place(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && c.places[n.Value] == nil {
		c.places[n.Value] = n
	}
	for _, x := range n.Content {
		c.place(x)
	}
}

// KnownSeverity tells whether s can be given to a code.
func KnownSeverity(s string) bool {
	return s == "error" || s == "warning" || s == "info" || s == "off"
}

func finding(file string, n *yaml.Node, code, message, help string) diag.Diagnostic {
	p := diag.Pos{File: file, Line: 1, Column: 1}
	if n != nil && n.Kind != 0 {
		p.Line, p.Column = n.Line, n.Column
	}
	return diag.Diagnostic{Code: code, Severity: diag.Error, Pos: p, Message: message, Help: help}
}
