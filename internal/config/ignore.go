package config

import (
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/diag"
)

// ignore reads the findings that are silenced by path or object.
//
//	ignore:
//	- code: IST0101            # or a list of codes
//	  path: overlays/dev       # a file, a folder, or a pattern with * and **; and, or instead of it:
//	  object: shop/web         # NAMESPACE/NAME, or KIND/NAMESPACE/NAME
//	  reason: made at night
func (c *Config) ignore(file string, n *yaml.Node) diag.List {
	if n.Kind != yaml.SequenceNode {
		return diag.List{finding(file, n, "MESHC1801", "ignore is not a list", "Write ignore: [{code: IST0101, path: overlays/dev, reason: made at night}].")}
	}
	var l diag.List
	for _, item := range n.Content {
		codes, one := []string{}, Ignore{Pos: diag.Pos{File: file, Line: item.Line, Column: item.Column}}
		for i := 0; item.Kind == yaml.MappingNode && i+1 < len(item.Content); i += 2 {
			key, val := item.Content[i], item.Content[i+1]
			var text string
			if key.Value == "code" && val.Kind == yaml.SequenceNode {
				if val.Decode(&codes) != nil {
					l.Add(finding(file, val, "MESHC1801", "code is no list of codes", "Write code: [IST0101, IST0104]."))
				}
				continue
			}
			if val.Decode(&text) != nil || val.Kind != yaml.ScalarNode {
				l.Add(finding(file, val, "MESHC1801", key.Value+" of ignore is not a text", "Write one text."))
				continue
			}
			switch key.Value {
			case "code":
				codes = []string{text}
			case "path":
				one.Path = text
			case "object":
				one.Object = text
			case "reason":
				one.Reason = strings.TrimSpace(text)
			default:
				l.Add(finding(file, key, "MESHC1801", fmt.Sprintf("unknown key %q of ignore", key.Value), "The keys are code, path, object and reason."))
			}
		}
		switch {
		case len(codes) == 0:
			l.Add(finding(file, item, "MESHC1801", "ignore names no code", "Write code: IST0101; severity switches a code off everywhere."))
		case one.Path == "" && one.Object == "":
			l.Add(finding(file, item, "MESHC1801", "ignore names neither a path nor an object", "Write path or object; severity switches a code off everywhere."))
		case badPattern(one.Path):
			l.Add(finding(file, item, "MESHC1801", fmt.Sprintf("path %q is no pattern of paths in the repository", one.Path), "Write a path from the folder of these settings, with * for a part of a name and ** for folders."))
		case one.Reason == "":
			l.Add(finding(file, item, "MESHC1802", "findings are silenced without a reason", "Write reason: and why they do not matter here."))
		}
		for _, code := range codes {
			one.Code = code
			c.Ignore = append(c.Ignore, one)
		}
	}
	return l
}

// exclude reads the patterns of paths that are not read.
func (c *Config) exclude(file string, n *yaml.Node) diag.List {
	if n.Kind != yaml.SequenceNode || n.Decode(&c.Exclude) != nil {
		return diag.List{finding(file, n, "MESHC1801", "exclude is not a list of paths", "Write exclude: [charts, \"**/testdata\"].")}
	}
	for i, p := range c.Exclude {
		if p == "" || badPattern(p) {
			return diag.List{finding(file, n.Content[i], "MESHC1801", fmt.Sprintf("%q is no pattern of paths in the repository", p), "Write a path from the folder of these settings, with * for a part of a name and ** for folders.")}
		}
	}
	return nil
}

func badPattern(p string) bool {
	_, err := path.Match(p, "")
	return err != nil || path.IsAbs(p) || strings.HasPrefix(path.Clean(p), "..")
}

// Matches tells whether a pattern is for a file, or for a folder that it lies in: * stands for a part of a name, ** for any
// number of folders. Both are paths from the folder of the settings.
func Matches(pattern, file string) bool {
	return file != "" && matchParts(strings.Split(path.Clean(pattern), "/"), strings.Split(file, "/"))
}

func matchParts(pattern, name []string) bool {
	switch {
	case len(pattern) == 0 || len(pattern) == 1 && pattern[0] == ".":
		return true
	case pattern[0] == "**":
		for i := range len(name) + 1 {
			if matchParts(pattern[1:], name[i:]) {
				return len(pattern) > 1 || i < len(name)
			}
		}
		return false
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(pattern[0], name[0])
	return err == nil && ok && matchParts(pattern[1:], name[1:])
}
