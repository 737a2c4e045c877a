package load

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/internal/suggest"
)

// objectKeys are the keys by which an object is known. Nothing is one that has not the first two; two of any of them show
// that one was meant.
var objectKeys = [...]string{"apiVersion", "kind", "metadata", "spec"}

// otherKeys are further keys that stand beside those in objects of Kubernetes.
var otherKeys = [...]string{"data", "stringData", "binaryData", "immutable", "type", "status", "rules", "subjects", "roleRef", "webhooks", "endpoints", "addressType", "ports", "subsets"}

// fragment is a mapping as far as it looks like an object.
type fragment struct {
	keys   map[string]*yaml.Node // where objectKeys stand, rightly spelled or not
	slips  map[string]*yaml.Node // those of them that are not
	others int                   // keys that no object has
}

func readFragment(n *yaml.Node) fragment {
	f := fragment{keys: map[string]*yaml.Node{}, slips: map[string]*yaml.Node{}}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if isOneOf(key.Value, objectKeys[:]) {
			f.keys[key.Value] = key
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		meant := slipOf(key.Value)
		switch {
		case isOneOf(key.Value, objectKeys[:]) || isOneOf(key.Value, otherKeys[:]):
		case meant != "" && f.keys[meant] == nil:
			f.keys[meant], f.slips[meant] = key, key
		default:
			f.others++
		}
	}
	return f
}

func isOneOf(s string, words []string) bool {
	for _, w := range words {
		if s == w {
			return true
		}
	}
	return false
}

// slipOf returns the key of an object that a key is a slip of, or "". Short words are easily words of their own.
func slipOf(key string) string {
	plain := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))
	for _, k := range objectKeys {
		d := suggest.Distance(plain, strings.ToLower(k))
		if d == 0 || len(k) > 4 && d <= 2 || d == 1 && strings.HasPrefix(plain, k[:1]) {
			return k
		}
	}
	return ""
}

// broken tells whether an object was meant: by half of its keys, by a group or kind that only a mesh has, or by keys none of
// which belongs to anything else.
func (f fragment) broken(file string) bool {
	_, version := f.keys["apiVersion"]
	if strings.HasPrefix(path.Base(file), "values") && !version {
		return false // of a Helm chart, which passes them on
	}
	return len(f.keys) >= 2 || len(f.keys) == 1 && f.others == 0
}

// ofMesh tells whether a group or a kind that only a mesh has is written.
func ofMesh(n *yaml.Node) bool {
	if v := child(n, "apiVersion"); v != nil && v.Kind == yaml.ScalarNode {
		if c := source.Classify(v.Value, ""); c == source.UnknownMesh || c == source.GatewayAPI || c == source.Installer {
			return true
		}
	}
	if v := child(n, "kind"); v != nil && v.Kind == yaml.ScalarNode {
		_, alone := source.IsRead(v.Value)
		return alone
	}
	return false
}

// half reports a mapping that is no object and was meant to be one.
func (p *parser) half(n *yaml.Node) bool {
	f := readFragment(n)
	if !f.broken(p.file.name) && !ofMesh(n) {
		return false
	}
	at, help := n, ""
	var missing []string
	for _, k := range objectKeys[:2] {
		v := child(n, k)
		switch key := f.slips[k]; {
		case key != nil:
			at, help = key, "Did you mean "+k+" where "+key.Value+" stands?"
			missing = append(missing, k)
		case v == nil:
			missing = append(missing, k)
		case v.Kind != yaml.ScalarNode || v.Value == "" || v.ShortTag() == "!!null":
			at, missing = f.keys[k], append(missing, k+" that is a word")
		}
	}
	if help == "" {
		help = "An object starts with apiVersion and kind; add what is missing, check the indentation and the --- before it, or move a file that is none out of the source."
	}
	p.fail(at, "MESHC1009", "this looks like an object and has no "+strings.Join(missing, " and no ")+", so that no API server would take it", help)
	return true
}

// sequence reports a list that holds objects, or what was meant to be one, without the List around it. An API server takes one
// object at a time, so that kubectl and kustomize refuse such a file. A list of what nobody here reads is none of ours.
func (p *parser) sequence(n *yaml.Node) bool {
	for _, c := range n.Content {
		c = follow(c)
		if c.Kind != yaml.MappingNode || !p.isRead(c) {
			continue
		}
		what := "an object"
		if kind := childText(c, "kind"); kind != "" {
			what = "a " + kind
		}
		p.fail(c, "MESHC1009", "this file is a list with "+what+" in it, and no API server takes a list of objects as it is",
			"Make each item a document of its own, behind a line of ---; or put the list below items of an object with apiVersion: v1 and kind: List.")
		return true
	}
	return false
}

// isRead tells whether a mapping is an object that counts here, or was meant to be one.
func (p *parser) isRead(n *yaml.Node) bool {
	apiVersion, kind := childText(n, "apiVersion"), childText(n, "kind")
	if apiVersion == "" || kind == "" {
		return readFragment(n).broken(p.file.name) || ofMesh(n)
	}
	if strings.HasSuffix(kind, "List") && child(n, "items") != nil || source.Classify(apiVersion, kind) != source.Foreign {
		return true
	}
	why, _ := source.Misnamed(apiVersion, kind)
	return why != ""
}

// text reports a document that is plain text.
func (p *parser) text(n *yaml.Node) {
	msg, help := "a manifest holds objects, and this is plain text", "Remove it, or give the file another ending than .yaml, .yml or .json."
	switch {
	case isPointer(n.Value):
		msg, help = "this is the pointer of a file that Git LFS keeps elsewhere, and not the file", "Fetch it with: git lfs pull. In a job, check out with LFS, as in actions/checkout with lfs: true."
	case !strings.Contains(n.Value, " ") && (strings.Contains(n.Value, "/") || isManifest(n.Value)):
		msg = "this is the path " + n.Value + " and no object: a symbolic link that was checked out as text"
		help = "Check out with symbolic links (git config core.symlinks true), or put the file in its place."
	}
	p.fail(n, "MESHC1009", msg, help)
}
