package load

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/meshc/meshc/internal/source"
)

// kustomizationFile is a kustomization file as kustomize itself reads it: it takes keys in any case, merge keys, aliases and
// tags, so what the file names is asked of the outcome. The syntax tree only tells where that stands.
type kustomizationFile struct {
	name string // in the file system
	node *yaml.Node
	types.Kustomization
}

// reference is a path that a kustomization file names.
type reference struct {
	field string
	text  string
	line  int
}

// parseKustomization reads a kustomization file. Nothing is returned for one that is no YAML or beyond the limits, which is
// reported, nor for one that kustomize will refuse, with its own words.
func (k *kustomization) parseKustomization(name string, data []byte) *kustomizationFile {
	p := &parser{file: inputFile(k.name(name), data), out: k.b}
	f := &kustomizationFile{name: name}
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		p.syntax(err)
		return nil
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 || n.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	f.node = n.Content[0]
	if _, over := p.bounded(f.node); over {
		return nil
	}
	if err := f.Unmarshal(data); err != nil {
		return nil
	}
	f.FixKustomization()
	return f
}

// bounded is the plain data of a tree, and tells whether it is beyond a limit, which is reported.
func (p *parser) bounded(n *yaml.Node) (any, bool) {
	v, problems := source.NewReader(source.DefaultLimits()).Value(n)
	over := false
	for _, pr := range problems {
		if pr.Kind == source.TooDeep || pr.Kind == source.TooLarge {
			over = true
			p.problem(&source.Document{File: p.file.name, Node: n}, pr)
		}
	}
	return v, over
}

// references lists what the file names of one field, in order.
func (f *kustomizationFile) references(field string, texts []string) []reference {
	out := make([]reference, 0, len(texts))
	for _, t := range texts {
		out = append(out, reference{field: field, text: t, line: f.line(field, t)})
	}
	return out
}

// files lists the files that the file names besides resources, components and what configures plugins.
func (f *kustomizationFile) files() []reference {
	var out []reference
	add := func(field string, texts ...string) {
		for _, t := range texts {
			if t != "" && !strings.Contains(t, "\n") { // else a patch in place
				out = append(out, f.references(field, []string{t})...)
			}
		}
	}
	add("configurations", f.Configurations...)
	add("crds", f.Crds...)
	add("openapi", f.OpenAPI["path"])
	for _, p := range f.PatchesStrategicMerge {
		add("patchesStrategicMerge", string(p))
	}
	for _, p := range f.PatchesJson6902 {
		add("patchesJson6902", p.Path)
	}
	for _, p := range f.Patches {
		add("patches", p.Path)
	}
	for _, r := range f.Replacements {
		add("replacements", r.Path)
	}
	for _, g := range f.ConfigMapGenerator {
		add("configMapGenerator", g.FileSources...)
		add("configMapGenerator", g.EnvSources...)
	}
	for _, g := range f.SecretGenerator {
		add("secretGenerator", g.FileSources...)
		add("secretGenerator", g.EnvSources...)
	}
	return out
}

// line is where a text stands below a field, or anywhere else in the file; 1 if it is not written as it is read.
func (f *kustomizationFile) line(field, text string) int {
	_, below := f.field(field)
	for _, within := range []*yaml.Node{below, f.node} {
		if n := find(within, text, 0); n != nil {
			return n.Line
		}
	}
	return 1
}

// field is a key of the syntax tree and its value, nil if there is none of the name.
func (f *kustomizationFile) field(name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(f.node.Content); i += 2 {
		if strings.EqualFold(f.node.Content[i].Value, name) {
			return f.node.Content[i], f.node.Content[i+1]
		}
	}
	return nil, nil
}

// find is the first scalar, or alias of one, that reads as a text.
func find(n *yaml.Node, text string, depth int) *yaml.Node {
	switch {
	case n == nil || depth > 20:
		return nil
	case n.Kind == yaml.ScalarNode && n.Value == text, n.Kind == yaml.AliasNode && n.Alias != nil && n.Alias.Value == text:
		return n
	}
	for _, c := range n.Content {
		if at := find(c, text, depth+1); at != nil {
			return at
		}
	}
	return nil
}

var (
	userAtHost = regexp.MustCompile(`^[a-z][a-z0-9-]*@`)
	remoteForm = regexp.MustCompile(`(?i)^([a-z][a-z0-9+.-]*://|gh:|(github|gitlab)\.com[/:]|bitbucket\.org[/:])|\?(ref|version)=|\.git(//|\?|$)`)
)

// fetched tells whether kustomize takes a path for an address: it then asks for it, whatever lies in the tree.
func fetched(p string) bool {
	if u, err := url.Parse(p); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return true
	}
	p, _, _ = strings.Cut(strings.TrimPrefix(strings.ToLower(p), "git::"), "?")
	for _, scheme := range []string{"ssh://", "https://", "http://", "file://"} {
		if strings.HasPrefix(p, scheme) {
			return true
		}
	}
	host := userAtHost.ReplaceAllString(p, "")
	if host == p && !strings.HasPrefix(p, "github.com/") && !strings.HasPrefix(p, "github.com:") {
		return false
	}
	at := strings.IndexAny(host, ":/")
	if at <= 0 {
		return false
	}
	repository := host[at+1:] // of an owner and a name, or with a mark that says where it ends
	return strings.Contains(repository, "/") || strings.Contains(repository, ".git")
}

// local refuses a path that is fetched, or that is meant to be: it looks like an address, and nothing is there.
func (k *kustomization) local(file string, r reference, there bool) bool {
	p := r.text
	if _, after, ok := strings.Cut(p, "="); ok && fetched(after) {
		p = after // a file of a generator: key=path
	}
	if !fetched(p) && (there || !remoteForm.MatchString(p)) {
		return true
	}
	k.fail(file, r.line, "MESHC1011", fmt.Sprintf("%s is fetched from the network, which a compile never does", r.text), "Vendor it: copy it into the repository and name the copy, so that the input is reviewed and the same every time.")
	return false
}
